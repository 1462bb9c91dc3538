"""Masked noisy emotion sampling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data import ClipRow
from models.labels import LABELS
from models.noisy import NoisySampler, mixed_labels, mixed_targets
from models.windows import Draw

CLIPS = [
    ClipRow(f"{who}_{tag}", who, tag, None, "train", 0, 40)
    for who in ("ann", "bob")
    for tag in ("neutral", "happy", "sad")
] + [ClipRow("bob_", "bob", "", None, "train", 0, 40)]


def everyone() -> Draw:
    clip = np.arange(len(CLIPS)).repeat(50)
    nothing = np.zeros(len(clip), dtype=int)
    return Draw(clip, nothing, nothing - 1, nothing, np.zeros(len(clip)))


def test_partners_are_the_same_person_in_another_emotion() -> None:
    sampler = NoisySampler(CLIPS, 24, 1.0, seed=3)
    draw = everyone()
    noisy = sampler.draw(7, draw)
    partners: dict[int, set[int]] = {}
    for mine, other, start in zip(draw.clip, noisy.clip, noisy.start, strict=True):
        partners.setdefault(mine, set()).add(other)
        assert 0 <= start <= 40 - 24
    assert partners == {
        0: {1, 2},
        1: {0, 2},
        2: {0, 1},
        3: {4, 5},
        4: {3, 5},
        5: {3, 4},
        6: {3, 4, 5},
    }
    assert ((noisy.share == 0) == (noisy.clip < 0)).all()
    bare = draw.clip == 6  # nobody knows what its own label would be: all of the other's
    assert (noisy.share[bare] == 1).all()
    whole = (noisy.share == 1)[~bare].mean()
    assert 0.4 < whole < 0.6


def test_the_share_of_noisy_windows_is_the_one_asked_for_and_steps_differ_but_repeat() -> None:
    sampler, draw = NoisySampler(CLIPS[:6], 24, 0.3, seed=3), everyone()
    draw = Draw(
        *(getattr(draw, n)[:300] for n in ("clip", "start", "other", "other_start", "lots"))
    )
    one, two, again = sampler.draw(1, draw), sampler.draw(2, draw), sampler.draw(1, draw)
    assert (one.clip >= 0).mean() == pytest.approx(0.3, abs=0.08)
    assert (one.clip == again.clip).all()
    assert (one.clip != two.clip).any()
    assert not (NoisySampler(CLIPS, 24, 0.0, 3).draw(1, everyone()).clip >= 0).any()


@given(st.floats(0.05, 1.0), st.integers(0, 1000))
def test_the_mouth_stays_that_of_the_sound_and_the_rest_moves_by_the_share(
    share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    own, other = rng.normal(size=(2, 1, 9, 4))
    mouth = rng.normal(size=(1, 4))
    mouth /= np.linalg.norm(mouth)
    got = mixed_targets(own, other, np.array([share]), mouth)
    along = np.einsum("bfk,bk->bf", got - own, mouth)
    assert along == pytest.approx(np.zeros((1, 9)), abs=1e-9)
    across = (other - own) - np.einsum("bfk,bk->bf", other - own, mouth)[..., None] * mouth
    assert got - own == pytest.approx(share * across, abs=1e-9)


def test_a_window_without_partner_stays_as_it_was_recorded() -> None:
    own = np.ones((2, 3, 4), dtype=np.float32)
    got = mixed_targets(own, np.full_like(own, np.nan), np.array([0.0, 0.0]), np.zeros((2, 4)))
    assert (got == own).all()
    assert got.dtype == np.float32


def test_labels_are_mixed_by_the_same_share() -> None:
    got = mixed_labels(
        ["happy", "neutral", ""], ["sad", "happy", ""], np.array([0.25, 1, 0]), LABELS
    )
    row = dict(zip(LABELS, got[0], strict=True))
    assert (row["happy"], row["sad"]) == (0.75, 0.25)
    assert dict(zip(LABELS, got[1], strict=True))["happy"] == 1
    assert not got[2].any()
