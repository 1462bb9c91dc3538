"""A run that was stopped, or killed, ends with the same bits as one that was not."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_kit import config, joined, made_clips
from safetensors.torch import load_file

from models.checkpoint import BEST, LAST, load
from models.data import TrainingData
from models.trainer import train_audio_expression


def straight_and_resumed(data: TrainingData, folder: Path, **changes: Any) -> tuple[dict, dict]:
    straight, resumed = folder / "straight", folder / "resumed"
    train_audio_expression(data, config(steps=40, save_every=10, **changes), straight)
    train_audio_expression(data, config(steps=20, save_every=10, **changes), resumed)
    train_audio_expression(data, config(steps=40, save_every=10, **changes), resumed)
    return load_file(straight / LAST), load_file(resumed / LAST)


@pytest.mark.parametrize(
    "changes",
    [
        {"text_dropout": 0.3, "ema": 0.9, "weight_decay": 0.5},
        {"precision": "bfloat16", "loss_units": "raw"},
        {"architecture": "transformer", "refinement": False},
    ],
    ids=["average and decay", "bfloat16 and raw units", "plain transformer"],
)
def test_a_resumed_run_ends_with_the_same_bits(
    data: TrainingData, tmp_path: Path, changes: dict[str, Any]
) -> None:
    a, b = straight_and_resumed(data, tmp_path, **changes)
    assert a.keys() == b.keys()
    assert any(name.startswith("adam/") for name in a)
    assert any("average/" in name for name in a) == ("ema" in changes)
    for name in a:
        assert torch.equal(a[name], b[name]), name


def _train_slowly(folder: Path) -> None:
    torch.set_num_threads(1)

    def linger(step: int, steps: int, metrics: dict[str, float]) -> None:
        time.sleep(0.03)

    train_audio_expression(joined(made_clips()), KILLED, folder, linger)


def _train_on(folder: Path) -> None:
    torch.set_num_threads(1)
    train_audio_expression(joined(made_clips()), KILLED, folder)


KILLED = config(steps=60, save_every=2, log_every=1, validate_every=7, ema=0.9)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL at random moments: between steps, while saving, while validating."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    seed = int.from_bytes(os.urandom(2))
    rng = np.random.default_rng(seed)
    reached = 0
    for _ in range(2):
        child = multiprocessing.get_context("spawn").Process(target=_train_slowly, args=(killed,))
        child.start()
        assert child.pid is not None
        for _ in range(1200):
            if (killed / LAST).exists() and load(killed, "last").step > reached:
                break
            assert child.is_alive(), "the child ended before it could be killed"
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.4))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL, f"the child had ended (seed {seed})"
        assert load(killed, "last").step > reached
        reached = load(killed, "last").step
    assert reached < 60, f"nothing was left to resume (seed {seed})"
    # In processes of their own, too: what other tests did to this one must not count.
    for folder in (killed, whole):
        child = multiprocessing.get_context("spawn").Process(target=_train_on, args=(folder,))
        child.start()
        child.join()
        assert child.exitcode == 0
    for name in (LAST, BEST):
        a, b = load_file(killed / name), load_file(whole / name)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), f"{name} differs (seed {seed})"
