"""`emotion_free`: what becomes of clips without an emotion label when a video model is trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from render.diffusion.batches import PortraitBatches
from render.diffusion.config import NetworkConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData
from render.diffusion.trainer import train_portrait

Maker = Callable[..., PortraitClip]


def test_left_out_clips_teach_neither_windows_nor_statistics(
    make_clip: Maker, tiny: NetworkConfig, tmp_path: Path
) -> None:
    """24 frames in windows of 4: 21 a clip. The labelled sound is 1 throughout, the other 3."""
    happy, free = make_clip("red", emotion="happy"), make_clip("blue", seed=1)
    happy = replace(happy, audio=np.full_like(happy.audio, 1.0))
    free = replace(free, audio=np.full_like(free.audio, 3.0))
    data = PortraitData((happy, free))
    weights = []
    for together, windows, mean in ((True, 42, 2.0), (False, 21, 1.0)):
        config = PortraitTraining(tiny, steps=2, warm_up=1, emotion_free=together)
        batches = PortraitBatches(data.training(together), config)
        assert batches.windows == windows
        # red discs are brighter in the first channel than in the last, blue ones the other way
        shown = [batches.of(step).picture[0] for step in range(windows)]
        assert {bool(p[0].mean() > p[2].mean()) for p in shown} == {True, not together}
        model = train_portrait(data, config, tmp_path / str(together))
        np.testing.assert_allclose(model.tokens.audio_mean, mean)
        weights.append({n: w.detach().clone() for n, w in model.named_parameters()})
    # Without the free clip training is what it is where there never was one.
    alone = train_portrait(PortraitData((happy,)), PortraitTraining(tiny, steps=2, warm_up=1),
                           tmp_path / "alone")  # fmt: skip
    for name, weight in alone.named_parameters():
        assert weight.equal(weights[1][name]), name
    assert any(not w.equal(weights[1][n]) for n, w in weights[0].items())
