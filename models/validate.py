"""How well a network follows clips it has not learnt from."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from models.checkpoint import AudioExpressionModel
from models.data import HELD_OUT, ClipRow, TrainingData, normal_of, plane_of
from models.inference import predict
from models.labels import label_vector


def rmse(predicted: Float[np.ndarray, "frames k"], true: Float[np.ndarray, "frames k"]) -> float:
    """Root mean square over frames with a face and all coefficients."""
    known = np.isfinite(true).all(axis=1)
    return float(np.sqrt(np.mean(np.square(predicted[known] - true[known]))))


def correlations(
    predicted: Float[np.ndarray, "frames k"], true: Float[np.ndarray, "frames k"]
) -> Float[np.ndarray, " k"]:
    """Pearson correlation per coefficient over frames with a face; NaN where one is constant."""
    known = np.isfinite(true).all(axis=1)
    a = predicted[known] - predicted[known].mean(axis=0)
    b = true[known] - true[known].mean(axis=0)
    norm = np.sqrt(np.square(a).sum(axis=0) * np.square(b).sum(axis=0))
    return np.divide((a * b).sum(axis=0), norm, out=np.full(a.shape[1], np.nan), where=norm > 1e-12)


def predict_clip(
    model: AudioExpressionModel, data: TrainingData, clip: ClipRow, window: int, planes: str
) -> Float[np.ndarray, "frames k"]:
    """α̂ of one clip with its own tag."""
    normal = normal_of(data.planes, clip.identity, clip.emotion, planes)
    normals = np.tile(normal, (clip.frames, 1))
    labels = None
    if model.config.takes_labels and clip.emotion:
        labels = np.tile(label_vector(clip.emotion, model.config.labels), (clip.frames, 1))
    return predict(model, data.clip_features(clip), normals, window, labels).alpha_hat


def score(
    model: AudioExpressionModel,
    data: TrainingData,
    clips: Sequence[ClipRow],
    window: int,
    planes: str = "identity",
) -> dict[str, float]:
    """Whitened RMSE, mean correlation, and share of frames on the tag's side of its plane."""
    predicted = [predict_clip(model, data, clip, window, planes) for clip in clips]
    true = [data.whitened(clip) for clip in clips]
    sides = []
    for clip, alpha in zip(clips, predicted, strict=True):
        if not clip.emotion:
            continue
        plane = plane_of(data.planes, clip.identity, clip.emotion, planes)
        sides.append(alpha @ plane.w + plane.b > 0)
    a, b = np.concatenate(predicted), np.concatenate(true)
    # nanmean would warn where no coefficient moves; no correlation is then NaN, plainly.
    r = correlations(a, b)
    r = r[np.isfinite(r)]
    return {
        "rmse": rmse(a, b),
        "correlation": float(r.mean()) if len(r) else float("nan"),
        "emotion_side": float(np.concatenate(sides).mean()) if sides else float("nan"),
    }


def validate(
    model: AudioExpressionModel, data: TrainingData, window: int, planes: str = "identity"
) -> dict[str, dict[str, float]]:
    """`score` of each held-out part that has clips."""
    parts = {split: data.part(split) for split in HELD_OUT}
    return {
        split: score(model, data, clips, window, planes) for split, clips in parts.items() if clips
    }
