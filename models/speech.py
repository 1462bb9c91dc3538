"""From speech features and a timeline of emotions to the coefficients a head is rendered with."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from models.checkpoint import Checkpoint
from models.control import ControlConfig, Steered, steer
from models.data import SpeechFeatures, merged_planes, whitening_of
from models.emotion import Timeline
from models.inference import Prediction, predict
from models.labels import COMPOUNDS, label_frames, strongest
from models.voices import contradiction

LOG = logging.getLogger(__name__)


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
    remark: str = ""
    """What somebody who looks at the result should know: a voice that contradicts the label."""


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
    if checkpoint.model.config.takes_labels:
        return _labelled(checkpoint, features, timeline, identity)
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


def _labelled(
    checkpoint: Checkpoint, features: SpeechFeatures, timeline: Timeline, identity: str
) -> Speech:
    """The network is told the emotion itself: nothing is moved afterwards."""
    whitening = whitening_of(checkpoint.planes, identity)
    labels = label_frames(timeline, features.frames, checkpoint.model.config.labels)
    prediction, against = by_label(checkpoint, features, labels)
    remarks = [why for why in (untaught(checkpoint, timeline.tags), against) if why]
    for remark in remarks:
        LOG.warning(remark)
    alpha = prediction.alpha_hat
    margin = margins(alpha, timeline.tags, checkpoint, identity)
    steered = Steered(alpha, timeline.tags, np.zeros_like(margin), margin)
    return Speech(alpha, whitening.unwhiten(alpha), prediction, steered, "; ".join(remarks))


def untaught(checkpoint: Checkpoint, tags: Iterable[str]) -> str | None:
    """What to log where no clip that a network learnt from carried a label; None: all were carried,
    or it is not kept which were."""
    if checkpoint.state.get("voices") is None:
        return None
    taught = checkpoint.voices().means
    asked = dict.fromkeys(part for tag in tags for part in COMPOUNDS.get(tag, (tag,)))
    missing = [tag for tag in asked if tag not in taught]
    if not missing:
        return None
    return (
        f"no clip that the network learnt from was labelled {', '.join(missing)} (there were: "
        f"{', '.join(sorted(taught)) or 'none'}): what it shows for that is a guess"
    )


def by_label(
    checkpoint: Checkpoint,
    features: SpeechFeatures,
    labels: Float32[np.ndarray, "frames labels"],
) -> tuple[Prediction, str | None]:
    """What a network that is told labels makes of a sound; and what to log where the voice surely
    carries another emotion, which is then not read."""
    config = checkpoint.model.config
    wanted = strongest(labels.mean(axis=0), config.labels)
    against = contradiction(checkpoint.voices(), features, wanted)
    nothing = np.zeros((features.frames, config.k), dtype=np.float32)
    window = checkpoint.train.window
    said = predict(checkpoint.model, features, nothing, window, labels, voice=against is None)
    return said, against


def margins(
    alpha: Float32[np.ndarray, "frames k"],
    tags: tuple[str, ...],
    checkpoint: Checkpoint,
    identity: str,
) -> Float64[np.ndarray, "frames tags"]:
    """How deep each frame lies on each tag's side; NaN for a tag or compound without hyperplane."""
    planes = merged_planes(checkpoint.planes, identity, checkpoint.train.planes).planes
    nothing = np.full(len(alpha), np.nan)
    return np.stack(
        [alpha @ planes[t].w + planes[t].b if t in planes else nothing for t in tags], axis=1
    )
