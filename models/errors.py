"""What can go wrong in the networks, grouped by what the caller would do about it.

::

    ModelError
    ├── ModelConfigError   change the configuration
    ├── TrainingDataError  mend or exclude a clip, a feature, a hyperplane
    ├── EmotionError       write another tag or timeline
    ├── TrainingDivergedError  train more gently
    └── CheckpointError    take another checkpoint, store or folder

Each message names the item, both values, and the cure.
"""


class ModelError(Exception):
    """Root of everything that `models` raises on purpose."""


class ModelConfigError(ModelError, ValueError):
    """A configuration contradicts itself or the data."""


class TrainingDataError(ModelError, ValueError):
    """Arrays handed to a network are absent, not finite, or of the wrong length."""


class EmotionError(ModelError, ValueError):
    """An emotion tag or a timeline of tags cannot be used."""


class TrainingDivergedError(ModelError, RuntimeError):
    """The loss of a training is not a number any more."""


class CheckpointError(ModelError, RuntimeError):
    """A checkpoint cannot be read, or was made from other data, code or configuration."""
