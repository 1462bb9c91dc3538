"""From speech features and a timeline of emotions to the coefficients a head is rendered with."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from models.checkpoint import Checkpoint
from models.control import ControlConfig, Steered, steer
from models.data import SpeechFeatures, merged_planes, whitening_of
from models.emotion import Timeline
from models.inference import Prediction, predict


@dataclass(frozen=True)
class Speech:
    """Expression of V frames."""

    alpha: Float32[np.ndarray, "frames k"]
    """Steered coefficients in the identity's whitened units: what `render` takes."""
    raw: Float32[np.ndarray, "frames k"]
    """The same in the extractor's units."""
    prediction: Prediction
    steered: Steered
    """Without an emotion: no tags, and the expression as the voice alone gives it."""


def speak(
    checkpoint: Checkpoint,
    features: SpeechFeatures,
    emotion: str | Timeline | None,
    identity: str,
    control: ControlConfig | None = None,
) -> Speech:
    """Say `features` as `identity`, in `emotion`; with None in whatever emotion the voice has.

    Raises:
        EmotionError: an unknown tag or a timeline that does not fit the sound.
        TrainingDataError: features of other widths, not finite, or an unknown identity.
    """
    if emotion is None:
        return _unsteered(checkpoint, features, identity)
    timeline = Timeline.parse(emotion) if isinstance(emotion, str) else emotion
    planes = merged_planes(checkpoint.planes, identity, checkpoint.train.planes)
    normals = timeline.normals(planes, features.frames).astype(np.float32)
    prediction = predict(checkpoint.model, features, normals, checkpoint.train.window)
    mouth = checkpoint.mouth(identity)
    along = None if mouth is None else mouth.direction
    steered = steer(prediction, timeline, planes, control, along)
    raw = whitening_of(checkpoint.planes, identity).unwhiten(steered.alpha_hat)
    return Speech(steered.alpha_hat, raw, prediction, steered)


def _unsteered(checkpoint: Checkpoint, features: SpeechFeatures, identity: str) -> Speech:
    whitening = whitening_of(checkpoint.planes, identity)
    normals = np.zeros((features.frames, whitening.k), dtype=np.float32)
    prediction = predict(checkpoint.model, features, normals, checkpoint.train.window)
    nothing = np.zeros((features.frames, 0))
    alpha = prediction.alpha_tilde
    return Speech(
        alpha, whitening.unwhiten(alpha), prediction, Steered(alpha, (), nothing, nothing)
    )
