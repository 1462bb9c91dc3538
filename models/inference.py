"""Expression for audio of any length: overlapping windows, blended."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from models.asked import Asked
from models.checkpoint import AudioExpressionModel
from models.data import SpeechFeatures
from models.errors import TrainingDataError
from models.windows import gather

BATCH = 16
"""Windows that go through the network at a time."""


@dataclass(frozen=True)
class Prediction:
    """What the network says about each of V frames, whitened units."""

    alpha_tilde: Float32[np.ndarray, "frames k"]
    """Before refinement (eq. 8)."""
    tau: Float32[np.ndarray, " frames"]
    """Step along the normal (eq. 8)."""
    alpha_hat: Float32[np.ndarray, "frames k"]
    """Refined (eq. 9)."""


def window_starts(frames: int, window: int) -> Int[np.ndarray, " windows"]:
    """First frames of windows that overlap by half; the last one ends with the audio.

    >>> window_starts(10, 4).tolist()
    [0, 2, 4, 6]
    """
    if frames <= window:
        return np.zeros(1, dtype=np.int64)
    hop = max(window // 2, 1)
    starts = np.arange(0, frames - window, hop)
    return np.append(starts, frames - window)


def blend(
    parts: Float[np.ndarray, "windows window k"],
    starts: Int[np.ndarray, " windows"],
    frames: int,
) -> Float32[np.ndarray, "frames k"]:
    """Mean of overlapping windows; a frame counts for more the deeper it lies in its window."""
    window = parts.shape[1]
    depth = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float64)
    total = np.zeros((frames, parts.shape[2]))
    weight = np.zeros((frames, 1))
    for part, start in zip(parts, starts, strict=True):
        total[start : start + window] += part * depth[:, None]
        weight[start : start + window] += depth[:, None]
    return (total / weight).astype(np.float32)


def check_features(features: SpeechFeatures, model: AudioExpressionModel) -> None:
    """Hold inputs against the network.

    Raises:
        TrainingDataError: no frames, other widths or lengths, or values that are not finite.
    """
    widths = model.config.widths
    expected = (widths.audio, widths.emotion, widths.text)
    got = tuple(a.shape[1] for a in (features.audio, features.emotion, features.tokens))
    if got != expected:
        raise TrainingDataError(
            f"features of widths (audio, emotion, text) {got}, the checkpoint was trained on "
            f"{expected}; use the encoders it was trained with"
        )
    lengths = (len(features.audio), len(features.emotion), len(features.token_index))
    if len(set(lengths)) > 1 or lengths[0] == 0:
        raise TrainingDataError(
            f"audio, emotion and text have {lengths} frames; equal lengths above 0 are needed"
        )
    for name in ("audio", "emotion"):
        finite = np.isfinite(getattr(features, name)).all(axis=1)
        if not finite.all():
            raise TrainingDataError(
                f"{name} is not finite at frame {int(np.argmin(finite))} of {len(finite)}; "
                "compute the feature for this clip"
            )


def predict(
    model: AudioExpressionModel,
    features: SpeechFeatures,
    normals: Float[np.ndarray, "frames k"],
    window: int,
    labels: Float[np.ndarray, "frames labels"] | None = None,
    voice: bool = True,
) -> Prediction:
    """Expression of every frame.

    Args:
        model: trained network with its statistics.
        features: inputs of V frames; V may be shorter or longer than a window.
        normals: weighted normals a frame (`Timeline.normals`, or w_z repeated).
        window: frames T the network was trained on.
        labels: emotion asked for a frame (`models.labels`), for networks that take one; None:
            voice and words decide.
        voice: let the voice's emotion count as well.
    """
    check_features(features, model)
    frames = features.frames
    if normals.shape != (frames, model.config.k):
        raise TrainingDataError(
            f"normals of shape {normals.shape} for {frames} frames of {model.config.k} "
            "coefficients; make them for this audio"
        )
    starts = window_starts(frames, window)
    size = min(window, frames)
    parts = []
    # A few windows at a time: minutes of speech need no more memory than seconds.
    for begin in range(0, len(starts), BATCH):
        some = starts[begin : begin + BATCH]
        zeros = np.zeros(len(some), dtype=np.int64)
        inputs = gather(features, some, zeros, zeros + frames, size, model.config, model.standard)
        nothing = torch.zeros(len(some), size, model.config.k, device=inputs.audio.device)
        asked = None
        if model.config.takes_labels:
            asked = asked_of(some, size, labels, voice, len(model.config.labels), nothing.device)
        with torch.inference_mode():
            said = model.network(
                inputs.audio, inputs.emotion, inputs.text, nothing, inputs.past, asked
            )
        parts.append((said.alpha_tilde.cpu().numpy(), said.tau.cpu().numpy()))
    alpha_tilde, tau = (
        blend(np.concatenate(values), starts, frames) for values in zip(*parts, strict=True)
    )
    alpha_hat = (alpha_tilde + tau * normals).astype(np.float32)
    return Prediction(alpha_tilde, tau[:, 0], alpha_hat)


def asked_of(
    starts: Int[np.ndarray, " windows"],
    size: int,
    labels: Float[np.ndarray, "frames labels"] | None,
    voice: bool,
    width: int,
    device: torch.device,
) -> Asked:
    """What each window is asked to show.

    Raises:
        TrainingDataError: labels of another width than the network's.
    """
    if labels is None:
        return Asked.nothing(len(starts), size, width, device)
    if labels.shape[1] != width:
        raise TrainingDataError(
            f"labels of {labels.shape[1]} weights, the network was trained on {width}; make them "
            "with its own list of labels"
        )
    cut = np.stack([labels[start : start + size] for start in starts]).astype(np.float32)
    known = torch.tensor([[True, voice, True]], device=device).expand(len(starts), 3)
    return Asked(torch.from_numpy(cut).to(device), known)
