"""The learned torso answers to the head's pose and lives in the head's folder."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from render.cameras import head_box
from render.errors import ConfigError, HeadFolderError
from render.hash_grid_config import HashGridConfig
from render.head_data import HeadData
from render.masks import head_mask
from render.torso_field import LearnedTorso, TorsoConfig, load_torso, train_torso

Maker = Callable[[int, int], HeadData]
SMALL = TorsoConfig(HashGridConfig(5, 2, 10, 8, 1.5, dimensions=2), width=16, steps=250, pixels=512)


def leaning(data: HeadData) -> HeadData:
    """The body's left edge follows the head's yaw: shoulders turn with the head."""
    frames, labels = data.frames.copy(), data.labels.copy()
    y, x = np.mgrid[0:48, 0:48]
    for i, camera in enumerate(data.cameras):
        body = (y > 38) & (x > 12 + 25 * camera[0, 2]) & ~head_mask(labels[i])
        old = labels[i] == 16
        frames[i][old] = (0.2 * 255, 0.6 * 255, 0.3 * 255)
        labels[i][old] = 0
        frames[i][body], labels[i][body] = (25, 25, 102), 16
    return replace(data, frames=frames, labels=labels)


@pytest.fixture(scope="module")
def learned(make_head_data: Maker) -> tuple[LearnedTorso, HeadData]:
    data = leaning(make_head_data(60, 3))
    train = data.training()
    box = head_box(head_mask(train.labels), train.cameras, train.focal)
    return train_torso(train, box, SMALL), data


def test_the_torso_of_a_pose_never_seen_is_where_it_belongs(
    learned: tuple[LearnedTorso, HeadData],
) -> None:
    torso, data = learned
    test = data.held_out()
    errors, still = [], []
    for i in range(0, len(test.frames), 4):
        outside = ~head_mask(test.labels[i])
        outside[:36] = False
        truth = test.frames[i][outside].astype(float)
        errors.append(np.abs(torso.layer(test.cameras[i])[outside] - truth).mean())
        still.append(np.abs(torso.layer(test.cameras[0])[outside] - truth).mean())
    assert np.mean(errors) < 14
    assert np.mean(errors) < 0.7 * np.mean(still[1:]), (errors, still)


def test_it_reads_back_the_same_and_a_newer_one_is_refused(
    learned: tuple[LearnedTorso, HeadData], tmp_path: Path
) -> None:
    torso, data = learned
    assert load_torso(tmp_path) is None
    torso.save(tmp_path)
    again = load_torso(tmp_path)
    assert again is not None
    np.testing.assert_array_equal(again.layer(data.cameras[1]), torso.layer(data.cameras[1]))
    record = json.loads((tmp_path / "torso.json").read_text())
    (tmp_path / "torso.json").write_text(json.dumps(record | {"format": 9}))
    with pytest.raises(HeadFolderError, match=r"torso format 9.*update emohead"):
        load_torso(tmp_path)
    wide = record | {"config": record["config"] | {"width": 8}}
    (tmp_path / "torso.json").write_text(json.dumps(wide))
    with pytest.raises(HeadFolderError, match="does not fit"):
        load_torso(tmp_path)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="a picture has 2"):
        TorsoConfig(HashGridConfig(4))
    with pytest.raises(ConfigError, match="steps = 0"):
        TorsoConfig(steps=0)
