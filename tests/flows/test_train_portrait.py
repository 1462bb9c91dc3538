"""The flow that trains a video diffusion model from a store."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flows.config import PortraitFlowConfig
from flows.errors import FlowError, NothingToDo
from flows.features import FeatureNames
from flows.orchestra import run
from flows.train_portrait import (
    portrait_data,
    portrait_settings,
    train_portrait,
)
from render.diffusion.checkpoint import MODEL, load_portrait, read
from render.diffusion.data import shrink
from store import Cache

TINY: dict[str, Any] = {
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
    told = portrait_data(snapshot, "clips", FeatureNames(), 32, frames, moving=True)
    shown = told.clips[0].moving
    assert shown is not None
    # Brows, eyes and lips are in every frame, and a small part of it.
    assert shown.shape == clip.frames.shape[:3]
    assert 0.01 < (shown > 128).mean() < 0.3
    assert told.digest() != data.digest()
    with pytest.raises(NothingToDo, match=r"no clip of nobody .* people who do: iris"):
        portrait_data(snapshot, "clips", FeatureNames(), 32, frames, ("nobody",))


def test_more_steps_go_on_and_other_settings_never_remove_a_model(
    looked_at: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(**settings: Any) -> dict[str, Any]:
        out, given = tmp_path / "portrait", TINY | settings
        config = PortraitFlowConfig(store=str(looked_at), out=out, settings=given)
        return run(train_portrait, config)

    trained()
    assert not trained(steps=3)["reused"]
    saved = read(tmp_path / "portrait" / MODEL)
    assert saved.state["step"] == 3
    first = (tmp_path / "portrait" / MODEL).read_bytes()
    assert trained(steps=3)["reused"]
    assert not trained(learning_rate=0.1)["reused"]
    (kept,) = tmp_path.glob("portrait.*")
    said = f"(settings.learning_rate: 0.0005 then, 0.1 now); it is now {kept}"
    assert said in capsys.readouterr().err
    assert (kept / MODEL).read_bytes() == first


def test_moees_model_takes_two_stages(looked_at: Path, tmp_path: Path) -> None:
    experts = {"latent": 16, "tokens": 2, "inner": 16, "heads": 2}
    out = tmp_path / "portrait-moee"

    def trained(**settings: Any) -> dict[str, Any]:
        given = TINY | settings | {"network": TINY["network"] | {"experts": experts}}
        config = PortraitFlowConfig(store=str(looked_at), system="moee", out=out, settings=given)
        return run(train_portrait, config)

    assert not trained()["reused"]
    assert trained()["reused"]
    model, first = load_portrait(out), read(tmp_path / "portrait-moee-first" / MODEL)
    assert model.experts is not None
    assert not model.config.coefficients
    assert not any(name.startswith("experts.") for name in first.groups["model"])
    for name, tensor in first.groups["model"].items():
        assert torch.equal(model.state_dict()[name], tensor), name
    # More steps are the second stage's.
    trained(steps=3)
    assert read(out / MODEL).state["step"] == 3
    assert read(tmp_path / "portrait-moee-first" / MODEL).state["step"] == 2


def test_settings_are_presets_with_changes() -> None:
    demo = portrait_settings("demo", {"network.size": 96, "network": {"frames": 4}})
    assert demo.network.frames == 4
    assert (demo.network.size, demo.network.block, demo.seconds) == (96, 8, 300.0)
    assert portrait_settings("demo", {"steps": 5}).seconds is None
    moee = portrait_settings("demo", {"network.experts.where": "middle"}, "moee")
    assert moee.frozen
    assert moee.network.experts is not None
    assert (moee.network.experts.where, moee.network.block) == ("middle", 8)
    with pytest.raises(FlowError, match=r"unknown training setting\(s\) colour"):
        portrait_settings("paper", {"colour": 1})
