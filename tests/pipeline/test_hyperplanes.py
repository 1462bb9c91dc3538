"""Whitening, mouth groups, hyperplanes: hand-made cases, invariants, refusals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat

from pipeline.errors import InputError
from pipeline.hyperplane_record import from_record, to_record
from pipeline.hyperplanes import POOLED, HyperplaneConfig, fit_hyperplanes, fit_scopes
from pipeline.mouth_groups import (
    balanced_sample,
    balanced_weights,
    evenly,
    group_edges,
    group_of,
    thinned,
)
from pipeline.svm import balanced_accuracy, linear_svm, within_metric
from pipeline.whitening import Whitening, fit_whitening

OFFSETS = {"neutral": (0.0, 0.0), "happy": (3.0, 0.0), "sad": (0.0, 3.0)}


def people(
    identities: tuple[str, ...] = ("ann", "bob"), clips: int = 3, frames: int = 40, seed: int = 0
) -> dict[str, Any]:
    """Frames of talking faces: column 0 speech, 1 and 2 emotion, 3 identity; raw scales differ."""
    rng = np.random.default_rng(seed)
    alpha, mar, tags, clip_ids, who = [], [], [], [], []
    for n, identity in enumerate(identities):
        for tag, offset in OFFSETS.items():
            for clip in range(clips):
                speech = np.abs(rng.normal(size=frames))
                columns = [speech, *(rng.normal(size=(frames, 2)) + offset).T, np.full(frames, n)]
                alpha.append(np.column_stack(columns) + 0.1 * rng.normal(size=(frames, 4)))
                mar.append(speech * 0.1)
                tags += [tag] * frames
                clip_ids += [f"{identity}_{tag}_{clip}"] * frames
                who += [identity] * frames
    scale = np.array([1.0, 10.0, 0.1, 5.0])
    return {
        "alpha": (np.concatenate(alpha) * scale).astype(np.float32),
        "mar": np.concatenate(mar).astype(np.float32),
        "tags": tags,
        "clip_ids": clip_ids,
        "identities": who,
    }


def of_one(**changes: Any) -> dict[str, Any]:
    made = people(("ann",)) | changes
    made.pop("identities", None)
    return made


def test_whitening_is_undone() -> None:
    raw = np.random.default_rng(0).normal(size=(50, 3)) * [1, 100, 0.01] + [5, -3, 0]
    whitening = fit_whitening(raw)
    white = whitening.whiten(raw)
    assert white.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert white.std(axis=0) == pytest.approx(np.ones(3))
    assert whitening.unwhiten(white) == pytest.approx(raw)
    assert whitening.whiten(raw.astype(np.float32)).dtype == np.float32


def test_whitening_leaves_frames_without_a_face_out() -> None:
    raw = np.array([[0.0], [2.0], [np.nan]])
    whitening = fit_whitening(raw)
    assert (whitening.mean[0], whitening.std[0]) == (1.0, 1.0)
    assert np.isnan(whitening.whiten(raw)[2, 0])


def test_whitening_names_what_never_moves() -> None:
    with pytest.raises(InputError, match=r"coefficient brow_gap is the same in all 4 frames"):
        fit_whitening(np.array([[0.0, 1.0]] * 2 + [[1.0, 1.0]] * 2), ("jaw_open", "brow_gap"))
    with pytest.raises(InputError, match="needs 2 frames with finite coefficients, found 0 of 3"):
        fit_whitening(np.full((3, 2), np.nan))
    with pytest.raises(InputError, match=r"std of coefficient 1 is 0\.0"):
        Whitening(np.zeros(2), np.array([1.0, 0.0]))


def test_groups_are_of_equal_width_and_open_outwards() -> None:
    mar = np.linspace(0, 1, 101)
    edges = group_edges(mar, 5, 0.1, 0.9)
    assert edges == pytest.approx([0.1, 0.26, 0.42, 0.58, 0.74, 0.9])
    assert group_of(np.array([-5.0, 0.25, 0.27, 0.89, 7.0]), edges).tolist() == [0, 0, 1, 4, 4]


def test_a_mouth_that_never_moves_is_refused() -> None:
    with pytest.raises(InputError, match=r"MAR is 0.3000 at quantile 0.01 and 0.3000 at 0.99"):
        group_edges(np.full(10, 0.3), 5, 0.01, 0.99)


@given(
    total=st.integers(0, 60),
    available=st.lists(st.integers(0, 20), min_size=1, max_size=6),
)
def test_evenly_takes_all_it_can_and_levels(total: int, available: list[int]) -> None:
    taken = evenly(total, available)
    assert sum(taken) == min(total, sum(available))
    assert all(0 <= t <= a for t, a in zip(taken, available, strict=True))
    short = [t for t, a in zip(taken, available, strict=True) if t < a]
    if short:  # whoever still has some was given at most one less than anybody
        assert min(short) >= max(taken) - 1


@given(seed=st.integers(0, 200))
def test_a_balanced_sample_hides_the_mouth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind, group = rng.integers(3, size=300), rng.integers(5, size=300)
    positive = kind == 0
    rows, counts = balanced_sample(positive, group, kind, 5, 100, rng)
    assert len(set(rows.tolist())) == len(rows)
    for g in range(5):
        mine = rows[group[rows] == g]
        assert positive[mine].sum() == (~positive[mine]).sum() == counts[g]
        others = [(kind[mine] == k).sum() for k in (1, 2)]
        scarce = min(((kind == k) & (group == g)).sum() for k in (1, 2))
        assert max(others) - min(others) <= 1 or min(others) == scarce
    assert counts.max() <= 20


def test_an_empty_group_stays_empty() -> None:
    positive = np.array([True, True, False, False, False])
    group = np.array([0, 1, 0, 0, 2])
    kind = np.array([0, 0, 1, 1, 1])
    rows, counts = balanced_sample(positive, group, kind, 3, 99, np.random.default_rng(0))
    assert counts.tolist() == [1, 0, 0]
    assert len(rows) == 2


def test_weights_by_hand() -> None:
    positive = np.array([True, True, True, False, False, False, False])
    group = np.array([0, 0, 1, 0, 0, 0, 2])
    kind = np.array([0, 0, 0, 1, 1, 2, 1])
    weight, counts = balanced_weights(positive, group, kind, 3)
    assert counts.tolist() == [2, 0, 0]
    # two of the tag share one half, tag 1's two a quarter, tag 2's one a quarter; 5 in all
    np.testing.assert_allclose(weight, [1.25, 1.25, 0, 0.625, 0.625, 1.25, 0])
    weight, counts = balanced_weights(positive, np.array([0, 0, 1, 2, 2, 2, 2]), kind, 3)
    assert not weight.any()
    assert not counts.any()


@given(seed=st.integers(0, 200))
def test_weights_hide_the_mouth_and_the_other_tags(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind, group = rng.integers(3, size=300), rng.integers(5, size=300)
    positive = kind == 0
    weight, _ = balanced_weights(positive, group, kind, 5)
    assert weight.mean() == pytest.approx(1)
    for g in range(5):
        here = group == g
        assert weight[here].sum() == pytest.approx(60)
        assert weight[here & positive].sum() == pytest.approx(30)
        assert weight[here & (kind == 1)].sum() == pytest.approx(15)


@given(seed=st.integers(0, 100), limit=st.integers(1, 40))
def test_thinning_takes_from_the_full_cells_only(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    kind, group = rng.integers(3, size=200), rng.integers(4, size=200)
    rows = thinned(group, kind, limit, rng)
    assert len(set(rows.tolist())) == len(rows)
    for g in range(4):
        for k in range(3):
            cell = (group == g) & (kind == k)
            assert cell[rows].sum() == min(cell.sum(), limit)


def test_distance_is_measured_within_emotions() -> None:
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1], 4000)
    spread = np.array([[4.0, 1.0], [0.0, 0.5]])
    x = rng.normal(size=(8000, 2)) @ spread + np.array([[0.0, 0.0], [3.0, 1.0]])[kind]
    seen = x @ within_metric(x, kind, 0.0)
    rest = seen - np.stack([seen[kind == k].mean(axis=0) for k in (0, 1)])[kind]
    np.testing.assert_allclose(rest.T @ rest / len(rest), np.eye(2), atol=1e-9)
    # a sphere all over: directions stay, lengths are those of the mean deviation
    ball = within_metric(x, kind, 1.0)
    np.testing.assert_allclose(ball, np.eye(2) * ball[0, 0], atol=1e-12)
    points = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]])
    np.testing.assert_array_equal(within_metric(points, np.array([0, 0, 1]), 0.1), np.eye(2))
    # the plane comes back in the units of x: on its own side with and without
    for metric in (None, within_metric(x, kind, 0.1)):
        w, b = linear_svm(x, kind == 1, 1.0, np.ones(len(x)), metric)
        assert np.linalg.norm(w) == pytest.approx(1)
        assert balanced_accuracy(x @ w + b > 0, kind == 1) > 0.6


def test_drawing_and_weighing_agree_where_nothing_is_scarce() -> None:
    data = of_one()
    fits = {
        config: fit_hyperplanes(**data, config=config)
        for config in (
            HyperplaneConfig(),
            HyperplaneConfig(balance="weigh"),
            HyperplaneConfig(balance="weigh", within=0.1),
        )
    }
    for tag in OFFSETS:
        drawn, weighed, within = (found.planes[tag] for found in fits.values())
        assert drawn.w @ weighed.w > 0.99
        assert within.accuracy is not None
        assert drawn.accuracy is not None
        assert within.accuracy > drawn.accuracy - 0.03


def test_svm_of_two_points_is_their_bisector() -> None:
    # Points (0, 0) and (2, 0): the widest margin lies at x = 1, its normal points to +x.
    x = np.array([[0.0, 0.0], [2.0, 0.0]] * 20)
    w, b = linear_svm(x, np.array([False, True] * 20), 100.0)
    assert w == pytest.approx([1, 0], abs=1e-3)
    assert b == pytest.approx(-1, abs=2e-2)


def test_balanced_accuracy_is_the_mean_recall() -> None:
    said = np.array([True, True, False, True, False])
    truth = np.array([True, True, True, False, False])
    assert balanced_accuracy(said, truth) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_planes_separate_held_out_clips_and_point_to_the_emotion() -> None:
    planes = fit_hyperplanes(**of_one(), scope="ann", names=("jaw", "smile", "brow", "who"))
    assert set(planes.planes) == set(OFFSETS)
    assert not planes.rejected
    for tag in ("happy", "sad"):
        plane = planes.plane(tag)
        assert np.linalg.norm(plane.w) == pytest.approx(1)
        assert plane.accuracy is not None
        assert plane.accuracy > 0.8
        assert plane.margin > 0 > plane.rest_margin
    assert np.abs(planes.plane("happy").w).argmax() == 1
    assert planes.plane("happy").w[1] > 0.9
    assert planes.plane("sad").w[2] > 0.9
    assert abs(planes.plane("happy").w[0]) < 0.15  # the mouth's opening is no emotion


def test_moving_along_the_normal_adds_to_the_margin() -> None:
    data = of_one()
    planes = fit_hyperplanes(**data)
    plane = planes.plane("sad")
    moved = planes.whitening.unwhiten(
        planes.whitening.whiten(data["alpha"].astype(np.float64)) + 2 * plane.w
    )
    before = planes.margins("sad", data["alpha"].astype(np.float64))
    assert planes.margins("sad", moved) == pytest.approx(before + 2)


def test_the_same_seed_gives_the_same_planes() -> None:
    a, b = (fit_hyperplanes(**of_one()) for _ in range(2))
    assert all(np.array_equal(a.planes[t].w, b.planes[t].w) for t in OFFSETS)


def test_frames_without_a_face_are_left_out() -> None:
    data = of_one()
    data["alpha"][::7] = np.nan
    planes = fit_hyperplanes(**data)
    assert planes.plane("happy").frames == np.isfinite(data["alpha"][120:240, 0]).sum()


def test_unlabelled_frames_count_for_the_whitening_alone() -> None:
    data = of_one()
    data["tags"] = ["" if tag == "sad" else tag for tag in data["tags"]]
    planes = fit_hyperplanes(**data)
    assert set(planes.planes) == {"neutral", "happy"}
    assert planes.whitening.mean == pytest.approx(data["alpha"].mean(axis=0), rel=1e-5)


def test_one_emotion_is_refused_with_the_cure() -> None:
    with pytest.raises(InputError, match=r"found 1 \(happy\); add clips of another emotion"):
        fit_hyperplanes(**of_one(tags=["happy"] * 360))


def test_lengths_that_differ_are_named() -> None:
    with pytest.raises(InputError, match=r"'tags': 360, 'clip_ids': 3"):
        fit_hyperplanes(**of_one(clip_ids=["a", "b", "c"]))


def test_a_thin_tag_is_refused_with_both_numbers() -> None:
    data = of_one()
    data["tags"] = ["sad" if i < 10 else "happy" for i in range(360)]
    planes = fit_hyperplanes(**data, config=HyperplaneConfig(min_frames=25))
    assert "of 10 with this tag, 25 are needed; add clips of 'sad'" in planes.rejected["sad"]
    with pytest.raises(InputError, match=r"no hyperplane for 'sad' in scope 'pooled'"):
        planes.plane("sad")
    with pytest.raises(InputError, match=r"no clip carries this tag; have: "):
        planes.plane("calm")


def test_groups_that_share_nothing_are_refused() -> None:
    data = of_one()
    happy = np.array([tag == "happy" for tag in data["tags"]])
    data["mar"] = np.where(happy, 0.9, 0.1).astype(np.float32)
    planes = fit_hyperplanes(**data)
    assert "0 balanced frames of 120" in planes.rejected["happy"]


def test_one_clip_of_a_tag_leaves_accuracy_unmeasured() -> None:
    data = people(("ann",), clips=1)
    data.pop("identities")
    plane = fit_hyperplanes(**data).plane("happy")
    assert plane.accuracy is None
    assert plane.accuracy_note == "not measured: 1 clip of the tag, holding out needs 2"


def test_accuracy_is_measured_on_clips_that_took_no_part() -> None:
    """Clips that differ in nothing but their own offset are separable in training, not held out."""
    rng = np.random.default_rng(0)
    frames, tags = 30, ["happy", "sad"] * 6
    alpha = np.concatenate([rng.normal(size=(1, 40)) * 5 + rng.normal(size=(frames, 40)) * 0.1
                            for _ in tags])  # fmt: skip
    planes = fit_hyperplanes(
        alpha,
        rng.random(len(alpha)),
        np.repeat(tags, frames).tolist(),
        np.repeat([f"c{i}" for i in range(len(tags))], frames).tolist(),
    )
    plane = planes.plane("happy")
    assert plane.train_accuracy > 0.99
    assert plane.accuracy is not None
    assert plane.accuracy < 0.85


def test_scopes_whiten_each_identity_by_itself() -> None:
    data = people()
    sets, refused = fit_scopes(**data)
    assert set(sets) == {"ann", "bob", POOLED}
    assert not refused
    assert sets["ann"].whitening.mean[3] != pytest.approx(sets["bob"].whitening.mean[3])
    assert sets[POOLED].whitening.mean == pytest.approx(np.zeros(4))
    assert abs(sets[POOLED].plane("happy").w[3]) < 0.1  # who it is does not matter


def test_an_identity_with_one_emotion_keeps_its_whitening() -> None:
    data = people()
    who = np.array(data["identities"])
    data["tags"] = np.where(who == "bob", "neutral", data["tags"]).tolist()
    sets, refused = fit_scopes(**data)
    assert not refused
    assert sets["bob"].planes == {}
    assert "add clips of another emotion" in sets["bob"].rejected["neutral"]
    assert sets["bob"].whitening.k == 4


def test_an_identity_without_faces_is_refused() -> None:
    data = people()
    data["alpha"][np.array(data["identities"]) == "bob"] = np.nan
    sets, refused = fit_scopes(**data)
    assert "found 0 of 360" in refused["bob"]
    assert set(sets) == {"ann", POOLED}


def test_records_survive_json() -> None:
    planes = fit_hyperplanes(**of_one(), scope="ann", names=("a", "b", "c", "d"))
    arrays, attributes = to_record(planes)
    back = from_record(arrays, json.loads(json.dumps(attributes)))
    assert (back.scope, back.names, back.config) == (planes.scope, planes.names, planes.config)
    for tag, plane in planes.planes.items():
        assert np.array_equal(back.planes[tag].w, plane.w)
        assert np.array_equal(back.planes[tag].bin_counts, plane.bin_counts)
        assert back.planes[tag].accuracy == plane.accuracy
    sad = people(("ann",))
    sad["tags"] = ["sad"] * 360
    empty = fit_scopes(**sad)[0]["ann"]
    arrays, attributes = to_record(empty)
    assert from_record(arrays, attributes).rejected == dict(empty.rejected)
    for name in ("balance", "within"):  # a record from before there was a choice
        del attributes["config"][name]
    assert from_record(arrays, attributes).config == HyperplaneConfig()


def test_emotions_of_one_real_person_are_found_in_another(shared_data: Path) -> None:
    """MEAD, M030 and W009 x 8 emotions, coefficients of another fitter: one clip a tag and person.

    Holding out a clip of the pooled planes here means holding out a person, so half is chance.
    """
    expression, tags, clips, who = [], [], [], []
    for path in sorted((shared_data / "real" / "mead").glob("*.mat")):
        coefficients = loadmat(path)["coeff"][:, 80:144]
        identity, _, tag = path.stem.split("_")[:3]
        expression.append(coefficients)
        tags += [tag] * len(coefficients)
        clips += [path.stem] * len(coefficients)
        who += [identity] * len(coefficients)
    alpha = np.concatenate(expression).astype(np.float64)
    talking = np.concatenate([part - part.mean(axis=0) for part in expression])
    mouth = alpha @ np.linalg.svd(talking, full_matrices=False)[2][0]  # what moves most: the mouth
    modes = np.linalg.svd(alpha - alpha.mean(axis=0), full_matrices=False)[2][:10]
    sets, refused = fit_scopes(alpha @ modes.T, mouth, tags, clips, who)
    assert not refused
    assert all(len(planes.planes) == 8 for planes in sets.values())
    assert all(plane.accuracy is None for plane in sets["M030"].planes.values())
    across = [plane.accuracy for plane in sets[POOLED].planes.values()]
    assert np.mean([a for a in across if a is not None]) > 0.6
