"""The flow that trains a video diffusion model from a store."""

from pathlib import Path

import numpy as np
import pytest

from flows.errors import FlowError, NothingToDo
from flows.features import FeatureNames
from flows.orchestra import run
from flows.train_portrait import (
    PortraitFlowConfig,
    portrait_data,
    portrait_settings,
    train_portrait,
)
from render.diffusion.checkpoint import load_portrait
from render.diffusion.data import shrink
from store import Cache

TINY = {
    "steps": 2,
    "network": {
        "size": 32, "channels": [16, 32], "heads": 2, "groups": 8, "token_width": 32, "frames": 4,
        "audio_margin": 1,
    },
}  # fmt: skip


def test_a_store_becomes_a_portrait_model_once(looked_at: Path, tmp_path: Path) -> None:
    config = PortraitFlowConfig(store=str(looked_at), out=tmp_path / "portrait", settings=TINY)
    first = run(train_portrait, config)
    assert (first["clips"], first["identities"], first["labelled"]) == (4, ["iris"], 4)
    assert not first["reused"]
    model = load_portrait(tmp_path / "portrait")
    assert (model.config.size, model.k) == (32, 10)
    again = run(train_portrait, config)
    assert again["reused"]

    snapshot = Cache.open(str(looked_at)).snapshot()
    frames = tmp_path / "portrait-frames"
    data = portrait_data(snapshot, "clips", FeatureNames(), 32, frames)
    clip = data.clips[0]
    assert isinstance(clip.frames.base, np.memmap)
    np.testing.assert_array_equal(
        clip.frames, shrink(snapshot.read("clips", "video/rgb", clip.clip_id), 32)
    )
    with pytest.raises(NothingToDo, match=r"no clip of nobody .* people who do: iris"):
        portrait_data(snapshot, "clips", FeatureNames(), 32, frames, ("nobody",))


def test_settings_are_presets_with_changes() -> None:
    demo = portrait_settings("demo", {"network.size": 96, "network": {"frames": 4}})
    assert demo.network.frames == 4
    assert (demo.network.size, demo.network.block, demo.seconds) == (96, 8, 300.0)
    assert portrait_settings("demo", {"steps": 5}).seconds is None
    with pytest.raises(FlowError, match=r"unknown training setting\(s\) colour"):
        portrait_settings("paper", {"colour": 1})
