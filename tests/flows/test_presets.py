"""Presets of a head's training: each builds; a setting changes what it names and nothing else."""

from dataclasses import replace
from typing import get_args

import pytest

from flows.errors import FlowError
from flows.presets import HEAD, HeadPreset, configured, head_settings
from render.head_config import HeadConfig, RefineConfig


def test_every_preset_is_a_config() -> None:
    assert set(HEAD) == set(get_args(HeadPreset))
    names = get_args(HeadPreset)
    built = {name: configured(HeadConfig, head_settings(name), {}, "head") for name in names}
    assert built["demo"].refine is None  # the demo's minutes are for the picture
    assert built["paper"].steps == built["gpu"].steps == 200_000
    assert built["paper"].refine == RefineConfig()
    assert built["gpu"].field.grid.log2_entries == 19


def test_a_dotted_name_changes_one_thing_inside() -> None:
    base = configured(HeadConfig, head_settings("quick"), {}, "head")
    changed = configured(HeadConfig, head_settings("quick"), {"refine.every": 4}, "head")
    assert base.refine is not None
    assert changed == replace(base, refine=replace(base.refine, every=4))
    deep = configured(HeadConfig, head_settings("gpu"), {"field.grid.levels": 3}, "head")
    assert deep.field.grid.levels == 3
    assert deep.field.grid.log2_entries == 19
    assert configured(HeadConfig, head_settings("demo"), {"steps": 5}, "head").seconds is None
    assert configured(HeadConfig, head_settings("quick"), {"refine": None}, "head").refine is None


@pytest.mark.parametrize("name", ["nonsense", "refine.nonsense", "field.grid.nonsense"])
def test_a_setting_that_is_none_is_named(name: str) -> None:
    with pytest.raises(FlowError, match="nonsense"):
        configured(HeadConfig, head_settings("quick"), {name: 1}, "head")
