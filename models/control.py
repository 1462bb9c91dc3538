"""How strongly an emotion is laid over speech: the network's own τ, or a margin to be reached.

Eq. 9 moves every frame by the τ the network has learnt. τ is learnt to reproduce recordings, where
sound and face agree; asked for another emotion than the voice has, it moves by the wrong amount.
`margin` is ours, not the paper's: move along w_z until the frame lies as deep on z's side of the
hyperplane as recordings of z do on average, times the intensity.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy.ndimage import gaussian_filter1d

from models.emotion import Timeline, check_tags
from models.inference import Prediction
from pipeline import clock
from pipeline.hyperplanes import HyperplaneSet

LEAST = 0.25
"""Share of a normal that must be left without its mouth part."""


@dataclass(frozen=True)
class ControlConfig:
    """How steering is done; recorded with each video."""

    mode: Literal["margin", "tau"] = "margin"
    """`tau`: eq. 9 with the network's τ. `margin`: to the class's mean margin."""
    keep_mouth: bool = True
    """`margin` only: move across the direction that opens the mouth (`models.mouth`), so that the
    lips go on following the sound; the step grows until the frame lies as deep. To the same end the
    paper balances the mouth's opening when it fits the planes; what w_z keeps of it is left out."""
    on_side: float = 0.97
    """`margin` only: share of frames that lie on the target's side at full intensity. Where the
    recordings' mean margin is less than speech itself moves (neutral faces), go deeper than it."""
    gain: float = 1.0
    """Scale on top of the timeline's intensities."""
    level_seconds: float = 0.8
    """Deviation of the Gaussian that separates the expression's level from speech, seconds: what
    is faster is audio-driven motion and left alone."""
    ease_seconds: float = 0.12
    """Deviation of the Gaussian that rounds the corners of the timeline, seconds."""


@dataclass(frozen=True)
class Steered:
    """Expression after steering, whitened units."""

    alpha_hat: Float32[np.ndarray, "frames k"]
    tags: tuple[str, ...]
    shift: Float64[np.ndarray, "frames tags"]
    """Step along each tag's normal (margin it adds)."""
    margin: Float64[np.ndarray, "frames tags"]
    """Margin reached at each tag's hyperplane; above 0 the frame is on the tag's side."""


def steer(
    prediction: Prediction,
    timeline: Timeline,
    planes: HyperplaneSet,
    config: ControlConfig | None = None,
    mouth: Float64[np.ndarray, " k"] | None = None,
) -> Steered:
    """Lay a timeline of emotions over predicted speech.

    Args:
        prediction: what the network said.
        timeline: which emotions, when.
        planes: hyperplanes of the identity.
        config: how.
        mouth: direction that opens the identity's mouth, of length 1; None: not known.

    Raises:
        EmotionError: a tag without hyperplane, or a timeline beyond the end of the sound.
    """
    config = config or ControlConfig()
    tags = timeline.tags
    check_tags(tags, planes)
    alpha = prediction.alpha_tilde.astype(np.float64)
    weights = timeline.weights(len(alpha)) * config.gain
    w = np.stack([planes.planes[tag].w for tag in tags])
    b = np.array([planes.planes[tag].b for tag in tags])
    if config.mode == "tau":
        direction = w
        shift = weights * prediction.tau[:, None].astype(np.float64)
    else:
        direction = w if mouth is None or not config.keep_mouth else across(w, mouth)
        margin = alpha @ w.T + b
        level = smooth(margin, config.level_seconds)
        goal = np.array([planes.planes[tag].margin for tag in tags])
        deep = -np.quantile(margin - level, 1 - config.on_side, axis=0)
        goal = np.maximum(goal, deep)
        shift = margin_shift(smooth(weights, config.ease_seconds), level, goal)
    moved = alpha + shift @ direction
    return Steered(moved.astype(np.float32), tags, shift, moved @ w.T + b)


def across(
    w: Float64[np.ndarray, "tags k"], mouth: Float64[np.ndarray, " k"]
) -> Float64[np.ndarray, "tags k"]:
    """Directions that leave the mouth's opening as it is and raise the margin by 1 a unit.

    w without its part along `mouth`, longer by what that part was worth. A plane that is mostly
    mouth keeps w.
    """
    along = w @ mouth
    rest = 1 - np.square(along)
    still = (w - np.outer(along, mouth)) / np.maximum(rest, LEAST)[:, None]
    return np.where(rest[:, None] > LEAST, still, w)


def margin_shift(
    weights: Float64[np.ndarray, "frames tags"],
    level: Float64[np.ndarray, "frames tags"],
    goal: Float64[np.ndarray, " tags"],
) -> Float64[np.ndarray, "frames tags"]:
    """Step along each normal that brings the slow margin to the goal.

    weight 1 reaches the goal, 0.5 goes half the way, 1.5 goes to one and a half times the goal.
    What already lies deeper than asked is left there.
    """
    wanted = np.maximum(weights, 1.0) * goal - level
    return np.minimum(weights, 1.0) * np.maximum(wanted, 0.0)


def smooth(
    values: Float[np.ndarray, "frames columns"], seconds: float
) -> Float64[np.ndarray, "frames columns"]:
    """Gaussian over time; the ends hold. No phase shift: what moves keeps its moment."""
    if seconds <= 0:
        return values.astype(np.float64)
    return gaussian_filter1d(
        values.astype(np.float64), seconds * clock.FPS, axis=0, mode="nearest", truncate=3.0
    )
