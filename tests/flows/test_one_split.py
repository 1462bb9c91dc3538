"""Network and head of one person hold out the same clips."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from model_kit import made_clips, stored

from flows.config import HyperplaneFlowConfig
from flows.features import FeatureNames
from flows.fit_hyperplanes import fit_hyperplanes
from flows.orchestra import run
from flows.train_audio_expression import training_data
from flows.train_head import held_out_frames

NAMES = FeatureNames(
    audio="audio/a", emotion="emotion/e", text="text/t", expression="expression/x", mouth="face/mar"
)


def test_a_head_holds_out_what_the_network_does(tmp_path: Path) -> None:
    cache = stored(made_clips(), tmp_path / "store")
    run(fit_hyperplanes, HyperplaneFlowConfig(store=str(tmp_path / "store"),
                                              expression=NAMES.expression))  # fmt: skip
    snapshot = cache.snapshot()
    data = training_data(snapshot, "clips", NAMES, tmp_path / "packs")
    split = {clip.clip_id: clip.split for clip in data.clips}
    mine = [clip_id for clip_id in split if clip_id.startswith("bob")]
    test = held_out_frames(snapshot, "clips", NAMES, tuple(np.repeat(mine, 3).tolist()))
    held = {clip for clip, out in zip(np.repeat(mine, 3).tolist(), test, strict=True) if out}
    assert held == {clip_id for clip_id in mine if split[clip_id] != "train"}
    assert held
    # clips without sound are learnt from; a lone clip gives its last fifth
    silent = held_out_frames(snapshot, "clips", NAMES, tuple(mine) + ("bob_silent",) * 4)
    assert not silent[-4:].any()
    lone = held_out_frames(snapshot, "clips", NAMES, (mine[0],) * 10)
    assert lone.tolist() == [False] * 8 + [True] * 2
