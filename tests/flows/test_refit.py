"""After a change only the identities whose clips changed are fitted anew, and the pooled planes."""

import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from flows.cli import app
from flows.config import HyperplaneFlowConfig, UpdateConfig
from flows.fit_hyperplanes import fit_hyperplanes, planes_key, read_planes
from flows.orchestra import call
from pipeline import hyperplanes
from pipeline.hyperplane_record import to_record
from store import Cache, ClipRow, ClipWrite, FeatureSchema

EXPRESSION, MAR = "expression/semantic", "face/mar"
SCHEMAS = {
    EXPRESSION: FeatureSchema(EXPRESSION, (10,), "float32", float("nan")),
    MAR: FeatureSchema(MAR, (), "float32", float("nan")),
}
FRAMES = 120


def add(cache: Cache, *clips: tuple[str, str, int]) -> None:
    """Clips (identity, emotion, number) whose expression tells the emotion."""
    rows = [
        ClipRow(
            f"{who}-{emotion}-{number}",
            f"{who}{emotion}{number}",
            FRAMES,
            dict.fromkeys(SCHEMAS, f"print-{number}"),
            identity=who,
            emotion=emotion,
        )
        for who, emotion, number in clips
    ]
    with cache.write("clips", SCHEMAS, "clips") as session:
        session.allocate(rows)
        for row, (who, emotion, number) in zip(rows, clips, strict=True):
            rng = np.random.default_rng([len(who), len(emotion), number])
            alpha = rng.normal(size=(FRAMES, 10)).astype("float32")
            alpha[:, 0] += 3 if emotion == "happy" else -3
            mar = rng.uniform(0.0, 0.6, FRAMES).astype("float32")
            session.write_clip(ClipWrite(row.clip_id, FRAMES, {EXPRESSION: alpha, MAR: mar}))


def fitted(cache: Cache, **settings: Any) -> tuple[list[str], dict[str, Any]]:
    """Scopes that a run of the flow fits, and its summary."""
    scopes: list[str] = []
    whole = hyperplanes.fit_hyperplanes

    def noted(*given: Any, **more: Any) -> Any:
        scopes.append(more["scope"])
        return whole(*given, **more)

    with patch.object(hyperplanes, "fit_hyperplanes", noted):
        summary = call(
            fit_hyperplanes, HyperplaneFlowConfig(store=cache.location, settings=settings)
        )
    return scopes, summary


def test_only_what_changed_is_fitted_anew_and_the_planes_are_those_of_a_fit_of_all(
    tmp_path: Path,
) -> None:
    cache = Cache.open(tmp_path / "store", create=True)
    people = [
        (who, tag, n) for who in ("ann", "bo", "cy") for tag in ("happy", "sad") for n in (1, 2)
    ]
    add(cache, *people)
    assert fitted(cache)[0] == ["ann", "bo", "cy", "pooled"]
    scopes, again = fitted(cache)
    assert (scopes, again["reused"]) == ([], True)

    add(cache, ("bo", "sad", 3))  # a new clip of one
    scopes, summary = fitted(cache)
    assert (scopes, summary["kept"]) == (["bo", "pooled"], ["ann", "cy"])

    with cache.write("clips", {}, "cy leaves") as session:
        session.remove_clips([f"cy-{tag}-{n}" for tag in ("happy", "sad") for n in (1, 2)])
    scopes, summary = fitted(cache)
    assert (scopes, summary["kept"]) == (["pooled"], ["ann", "bo"])
    assert {row["scope"] for row in summary["planes"]} == {"ann", "bo", "pooled"}

    kept = read_planes(cache.snapshot(), "clips", EXPRESSION)
    other = Cache.open(tmp_path / "other", create=True)
    add(other, *people[:8], ("bo", "sad", 3))
    assert fitted(other)[0] == ["ann", "bo", "pooled"]
    fresh = read_planes(other.snapshot(), "clips", EXPRESSION)
    assert kept.keys() == fresh.keys() == {"ann", "bo", "pooled"}
    for scope, planes in kept.items():
        arrays, attributes = to_record(planes)
        expected, told = to_record(fresh[scope])
        assert attributes == told
        for name, values in arrays.items():
            np.testing.assert_array_equal(values, expected[name])


def test_other_settings_fit_everything_anew(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path / "store", create=True)
    add(cache, *[(who, tag, 1) for who in ("ann", "bo") for tag in ("happy", "sad")])
    everybody = ["ann", "bo", "pooled"]
    assert fitted(cache)[0] == everybody
    paper = planes_key(cache.snapshot(), "clips", EXPRESSION)
    # Nothing but a setting has changed: no clip, no cell, no label.
    assert fitted(cache, groups=3)[0] == everybody
    three = read_planes(cache.snapshot(), "clips", EXPRESSION)
    assert {planes.config.groups for planes in three.values()} == {3}
    assert all(len(p.bin_edges) == 4 for planes in three.values() for p in planes.planes.values())
    # Networks and heads are told that these are other planes.
    assert planes_key(cache.snapshot(), "clips", EXPRESSION) != paper
    scopes, again = fitted(cache, groups=3)
    assert (scopes, again["reused"]) == ([], True)
    # New clips and the same settings: the others' planes stay as they are.
    add(cache, ("ann", "happy", 2))
    assert fitted(cache, groups=3)[0] == ["ann", "pooled"]
    assert fitted(cache)[0] == everybody
    assert fitted(cache, groups=5)[0] == []  # what is the default anyway is no other setting


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"group": 3}, "hyperplanes has no setting 'group'; it has groups,"),
        ({"groups": "three"}, "hyperplanes.groups = 'three' is a str; int is needed"),
        ({"groups": 1}, "hyperplanes.min_groups = 2: 1 to 1, the groups"),
        ({"max_frames": 3}, "hyperplanes.max_frames = 3: at least one for each group"),
        ({"low_quantile": 0.99}, "hyperplanes.low_quantile = 0.99: from 0 to below"),
        ({"within": 0.0}, "hyperplanes.within = 0.0: none, or a share above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_the_form(
    settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        HyperplaneFlowConfig(store="cache", settings=settings)
    with pytest.raises(ValidationError, match=re.escape(told)):
        UpdateConfig(data="videos", store="cache", planes=settings)


def test_the_command_takes_settings_and_refuses_others(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path / "store", create=True)
    add(cache, *[(who, tag, 1) for who in ("ann", "bo") for tag in ("happy", "sad")])
    fit = ["fit-hyperplanes", "--store", cache.location]
    done = CliRunner().invoke(app, [*fit, "--set", "hyperplanes.groups=4"])
    assert done.exit_code == 0, done.output
    pooled = read_planes(cache.snapshot(), "clips", EXPRESSION)["pooled"]
    assert pooled.config.groups == 4
    wrong = CliRunner().invoke(app, [*fit, "--set", "logmel.mels=64"])
    assert wrong.exit_code == 2
    assert "this command knows hyperplanes.NAME" in wrong.output
