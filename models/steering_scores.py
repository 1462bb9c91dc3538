"""What asking for an emotion does: the face shows it, or not; the lips follow the sound, or not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from models.checkpoint import Checkpoint
from models.control import ControlConfig, steer
from models.data import ClipRow, TrainingData, merged_planes
from models.emotion import Timeline
from models.inference import predict
from models.labels import label_vector
from models.mouth import MouthOpening
from models.speech import by_label


@dataclass(frozen=True)
class SteeringScore:
    """Means over frames of clips asked for one target."""

    target: str
    mode: str
    frames: int
    side: float
    """Share of frames on the target's side of its hyperplane."""
    side_before: float
    """The same of α̃, before refinement."""
    mouth_error: float
    """Mean distance of the mouth aspect ratio that the coefficients give (`models.mouth`) from the
    recorded one, in deviations of the identity's; NaN where that is not known."""
    mouth_error_before: float
    """The same of α̃."""

    @property
    def mouth_growth(self) -> float:
        """How much the mouth error grew, as a fraction."""
        return self.mouth_error / self.mouth_error_before - 1


def steering_scores(
    checkpoint: Checkpoint,
    data: TrainingData,
    clips: Sequence[ClipRow],
    control: ControlConfig | None = None,
    own: bool = True,
) -> list[SteeringScore]:
    """One score a target: every clip is asked for every tag its identity has a hyperplane of.

    Args:
        checkpoint: a trained network.
        data: where the clips' features and true coefficients are.
        clips: held-out clips.
        control: how steering is done; a network that is told labels is asked by label, and
            `side_before` is what it shows when nothing is asked.
        own: ask a clip for the emotion it was recorded in as well.
    """
    control = control or ControlConfig()
    mode = "label" if checkpoint.model.config.takes_labels else control.mode
    found: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for clip in clips:
        planes = merged_planes(data.planes, clip.identity, checkpoint.train.planes)
        nothing = np.zeros((clip.frames, data.k), dtype=np.float32)
        features = data.clip_features(clip)
        said = predict(checkpoint.model, features, nothing, checkpoint.train.window)
        mouth = checkpoint.mouth(clip.identity)
        for tag, plane in planes.planes.items():
            if tag == clip.emotion and not own:
                continue
            if checkpoint.model.config.takes_labels:
                alpha = shown(checkpoint, data, clip, tag)
            else:
                direction = mouth.direction if mouth else None
                alpha = steer(said, Timeline.parse(tag), planes, control, direction).alpha_hat
            before = said.alpha_tilde @ plane.w + plane.b
            found.setdefault(tag, []).append(
                (
                    alpha @ plane.w + plane.b > 0,
                    before > 0,
                    mouth_distance(mouth, alpha, data, clip),
                    mouth_distance(mouth, said.alpha_tilde, data, clip),
                )
            )
    scores = []
    for tag in sorted(found):
        side, side_before, mouth, mouth_before = map(np.concatenate, zip(*found[tag], strict=True))
        known = np.isfinite(mouth)
        errors = [float(m[known].mean()) if known.any() else float("nan")
                  for m in (mouth, mouth_before)]  # fmt: skip
        scores.append(
            SteeringScore(
                tag, mode, len(side), float(side.mean()), float(side_before.mean()), *errors
            )
        )
    return scores


def recorded_sides(
    data: TrainingData, clips: Sequence[ClipRow], prefer: str = "identity"
) -> dict[str, float]:
    """Share of a tag's recorded frames that lie on its side of its hyperplane, a tag.

    What asking for a tag is held against: speech moves recorded faces across the plane, too.

    Args:
        data: where the true coefficients are.
        clips: clips whose own tags count.
        prefer: `TrainConfig.planes`.
    """
    found: dict[str, list[np.ndarray]] = {}
    for clip in clips:
        planes = merged_planes(data.planes, clip.identity, prefer).planes
        if clip.emotion in planes:
            plane = planes[clip.emotion]
            alpha = data.whitened(clip)
            alpha = alpha[np.isfinite(alpha).all(axis=1)]
            found.setdefault(clip.emotion, []).append(alpha @ plane.w + plane.b > 0)
    return {tag: float(np.concatenate(found[tag]).mean()) for tag in sorted(found)}


def shown(
    checkpoint: Checkpoint, data: TrainingData, clip: ClipRow, tag: str, intensity: float = 1.0
) -> Float32[np.ndarray, "frames k"]:
    """What a network that is told labels makes of a clip's sound in an emotion."""
    label = label_vector(tag, checkpoint.model.config.labels) * np.float32(intensity)
    labels = np.tile(label, (clip.frames, 1))
    return by_label(checkpoint, data.clip_features(clip), labels)[0].alpha_hat


def mouth_distance(
    mouth: MouthOpening | None,
    alpha: Float[np.ndarray, "frames k"],
    data: TrainingData,
    clip: ClipRow,
) -> Float[np.ndarray, " frames"]:
    """|predicted - recorded| aspect ratio of each frame, in deviations; NaN where unknown."""
    if mouth is None or data.mouth is None:
        return np.full(len(alpha), np.nan)
    recorded = data.mouth[clip.first : clip.first + clip.frames]
    return np.abs(mouth.of(alpha) - recorded) / mouth.deviation
