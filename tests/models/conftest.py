"""The small world of `model_kit`, joined once; puts the kit within reach, here and in children."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from model_kit import joined, made_clips

from models.data import TrainingData


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data() -> TrainingData:
    """24 clips of 60 frames."""
    return joined(made_clips())
