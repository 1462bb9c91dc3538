"""A checkpoint is not used with a store it was not trained on; the message says what differs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.checkpoint import Checkpoint
from models.compare import compare
from models.compatibility import check_store
from models.config import TrainConfig
from models.data import TrainingData
from models.errors import CheckpointError
from models.trainer import train_audio_expression
from pipeline.whitening import Whitening


@pytest.fixture(scope="module")
def checkpoint(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    config = TrainConfig(steps=1, window=24, d=8, d_h=8, ffn_widths=(8,))
    named = replace(data, provenance={"snapshot": "ABC", "features": {"audio": "audio/logmel"}})
    return train_audio_expression(named, config, tmp_path_factory.mktemp("run"))


def test_its_own_store_is_taken(checkpoint: Checkpoint, data: TrainingData) -> None:
    check_store(checkpoint, data)
    more = {**data.planes, "eve": data.planes["ann"]}
    check_store(checkpoint, replace(data, planes=more))
    assert compare(checkpoint, data)[0]["held out"] == "sentence"


def test_other_widths_are_named(checkpoint: Checkpoint, data: TrainingData) -> None:
    f = data.features
    wide = replace(data, features=replace(f, audio=np.hstack([f.audio, f.audio])))
    with pytest.raises(
        CheckpointError, match=r"audio has 24 channels in the store, 12 in the checkpoint; train ag"
    ):
        check_store(checkpoint, wide)


def test_other_features_of_the_same_width_are_named(
    checkpoint: Checkpoint, data: TrainingData
) -> None:
    other = replace(data, provenance={"features": {"audio": "audio/mfcc"}})
    with pytest.raises(
        CheckpointError, match=r"audio is audio/mfcc in the store, audio/logmel in the checkpoint"
    ):
        compare(checkpoint, other)


def test_another_whitening_is_named(checkpoint: Checkpoint, data: TrainingData) -> None:
    own = data.planes["ann"]
    std = own.whitening.std * np.array([1, 1, 2, 1])
    planes = {**data.planes, "ann": replace(own, whitening=Whitening(own.whitening.mean, std))}
    with pytest.raises(
        CheckpointError, match=r"whitening of 'ann': std of coefficient 2 is .* in the store"
    ):
        check_store(checkpoint, replace(data, planes=planes))


def test_other_planes_and_identities_are_named(checkpoint: Checkpoint, data: TrainingData) -> None:
    own = data.planes["ann"]
    turned = replace(own.planes["sad"], w=-own.planes["sad"].w)
    planes = {**data.planes, "ann": replace(own, planes={**own.planes, "sad": turned})}
    with pytest.raises(CheckpointError, match=r"'sad' of 'ann' is turned \(cosine -1.0000\)"):
        check_store(checkpoint, replace(data, planes=planes))
    few = {**data.planes, "ann": replace(own, planes={"sad": own.planes["sad"]})}
    with pytest.raises(
        CheckpointError, match=r"'ann': sad in the store, happy, neutral, sad in the checkpoint"
    ):
        check_store(checkpoint, replace(data, planes=few))
    gone = {name: planes for name, planes in data.planes.items() if name != "bob"}
    ann = tuple(clip for clip in data.clips if clip.identity == "ann")
    end = ann[-1].first + ann[-1].frames
    f = data.features
    features = replace(f, audio=f.audio[:end], emotion=f.emotion[:end],
                       token_index=f.token_index[:end])  # fmt: skip
    alone = replace(data, clips=ann, planes=gone, features=features,
                    expression=data.expression[:end])  # fmt: skip
    with pytest.raises(CheckpointError, match=r"'bob' is in the checkpoint, not in the store"):
        check_store(checkpoint, alone)


def test_a_folder_of_another_store_is_not_continued(
    checkpoint: Checkpoint, data: TrainingData
) -> None:
    f = data.features
    wide = replace(data, features=replace(f, audio=np.hstack([f.audio, f.audio])))
    folder: Path = checkpoint.path.parent
    with pytest.raises(CheckpointError, match=r"audio has 24 channels .* another folder"):
        train_audio_expression(wide, checkpoint.train, folder)
