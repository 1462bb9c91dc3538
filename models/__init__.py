"""Networks from speech to expression, and their trainers.

The face of the folder; what is behind a name is imported when it is first used, so that listing
the commands of emohead does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint, load
    from models.config import AudioExpressionConfig, InputWidths, TrainConfig
    from models.control import ControlConfig, Steered, steer
    from models.data import (
        ClipRow,
        LabelledClip,
        SpeechFeatures,
        TrainingData,
        join_clips,
        read_steps,
    )
    from models.emotion import Timeline
    from models.inference import Prediction, predict
    from models.network import AudioExpressionNetwork
    from models.speech import Speech, speak
    from models.split import SplitConfig, SplitKey, assign_splits
    from models.trainer import train_audio_expression

_PLACES = {
    "AudioExpressionConfig": "models.config",
    "AudioExpressionNetwork": "models.network",
    "Checkpoint": "models.checkpoint",
    "ClipRow": "models.data",
    "ControlConfig": "models.control",
    "InputWidths": "models.config",
    "LabelledClip": "models.data",
    "Prediction": "models.inference",
    "Speech": "models.speech",
    "SpeechFeatures": "models.data",
    "SplitConfig": "models.split",
    "SplitKey": "models.split",
    "Steered": "models.control",
    "Timeline": "models.emotion",
    "TrainConfig": "models.config",
    "TrainingData": "models.data",
    "assign_splits": "models.split",
    "join_clips": "models.data",
    "load": "models.checkpoint",
    "predict": "models.inference",
    "read_steps": "models.data",
    "speak": "models.speech",
    "steer": "models.control",
    "train_audio_expression": "models.trainer",
}

__all__ = [
    "AudioExpressionConfig",
    "AudioExpressionNetwork",
    "Checkpoint",
    "ClipRow",
    "ControlConfig",
    "InputWidths",
    "LabelledClip",
    "Prediction",
    "Speech",
    "SpeechFeatures",
    "SplitConfig",
    "SplitKey",
    "Steered",
    "Timeline",
    "TrainConfig",
    "TrainingData",
    "assign_splits",
    "join_clips",
    "load",
    "predict",
    "read_steps",
    "speak",
    "steer",
    "train_audio_expression",
]


def __getattr__(name: str) -> Any:
    """Bring a name of the face."""
    if name not in _PLACES:
        raise AttributeError(f"module 'models' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
