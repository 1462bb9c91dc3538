"""Whether α moves the rendered face: landmarks of renders driven by α beside renders with α fixed.

Held-out frames only. Each is rendered by its own camera with its own α, with the mean α of
training, and by *another* held-out frame's camera with its α: then pose cannot have carried the
expression. The same landmarker reads renders and true frames; landmarks are turned upright by the
camera, so that frames of different poses compare.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

from pipeline.face import models
from pipeline.face.indices import LANDMARKS, LEFT_BROW, LIPS_INNER, LIPS_OUTER, RIGHT_BROW
from pipeline.face.semantic import upright
from render.backdrop import background_plate
from render.compositing import compose
from render.errors import HeadDataError
from render.head import Head
from render.head_data import HeadData
from render.masks import head_mask
from render.metrics.landmark_error import MOUTH_68, frame_distances, ibug

MOUTH = np.concatenate([LIPS_OUTER, LIPS_INNER])
BROWS = np.concatenate([RIGHT_BROW, LEFT_BROW])
Finder = Callable[[UInt8[np.ndarray, "s s 3"]], Float32[np.ndarray, "points 3"]]
"""Landmarks of a picture in its pixels, NaN where there is no face."""


@dataclass(frozen=True)
class ExpressionScore:
    """Means over held-out frames in which a face was found everywhere."""

    frames: int
    m_lmd: float
    """Of renders by own camera and α, pixels (20 lip points, as TalkingGaussian)."""
    m_lmd_fixed: float
    """The same with the mean α of training."""
    f_lmd: float
    """All 68 points, pixels."""
    f_lmd_fixed: float
    mouth: float
    """Upright lip points, own camera and α: % of the face's rigid size."""
    mouth_swapped: float
    """By another frame's camera, with the frame's α."""
    mouth_fixed: float
    """By another frame's camera, with the mean α."""
    brows: float
    brows_swapped: float
    brows_fixed: float

    @property
    def ratio(self) -> float:
        """Distance with the frame's α over that with α fixed, by another frame's camera; mouth and
        brows together. 0 is a perfect follower, 1 one that α does not move."""
        return (self.mouth_swapped + self.brows_swapped) / (self.mouth_fixed + self.brows_fixed)

    def record(self) -> dict[str, float]:
        """JSON-able."""
        values = asdict(self) | {"expression_ratio": self.ratio}
        return {k: round(float(v), 4) for k, v in values.items()}


def face_mesh(picture: UInt8[np.ndarray, "s s 3"]) -> Float32[np.ndarray, "points 3"]:
    """MediaPipe's landmarks of one still."""
    points = np.full((LANDMARKS, 3), np.nan, np.float32)
    with models.using(models.face_mesh(tracking=False)) as mesh:
        faces: Any = mesh.process(np.ascontiguousarray(picture)).multi_face_landmarks
    if faces:
        size = len(picture)
        points[:] = [(p.x * size, p.y * size, p.z * size) for p in faces[0].landmark]
    return points


def score_expression(
    head: Head, data: HeadData, frames: int = 20, find: Finder = face_mesh
) -> ExpressionScore:
    """Render held-out frames evenly chosen four ways and compare landmarks.

    Raises:
        HeadDataError: nothing was held out, or no face was found in any render.
    """
    test, train = data.held_out(), data.training()
    if len(test.frames) < 2:
        raise HeadDataError(
            f"expression: {len(test.frames)} usable held-out frames, at least 2 are needed to swap "
            "expressions; hold out a clip (hold_out)"
        )
    rows = np.linspace(0, len(test.frames) - 1, min(frames, len(test.frames))).astype(int)
    # Half the chosen frames further on: another sentence or emotion wherever there is one.
    others = np.roll(rows, len(rows) // 2)
    neutral = train.alpha.mean(0)
    plate = background_plate(train)

    def shown(i: int, alpha: np.ndarray) -> Float32[np.ndarray, "points 3"]:
        rgb, opacity = head.render(test.cameras[i], alpha, data.size)
        mask = head_mask(test.labels[i])[..., None]
        return find(compose(rgb, opacity, np.where(mask, plate, test.frames[i])))

    own_rows, other_rows = rows.tolist(), others.tolist()
    truth = np.stack([find(test.frames[i]) for i in own_rows])
    own = np.stack([shown(i, test.alpha[i]) for i in own_rows])
    fixed = np.stack([shown(i, neutral) for i in own_rows])
    pairs = zip(own_rows, other_rows, strict=True)
    swapped = np.stack([shown(j, test.alpha[i]) for i, j in pairs])
    fixed_elsewhere = fixed[np.roll(np.arange(len(rows)), len(rows) // 2)]
    found = np.isfinite(np.stack([truth, own, fixed, swapped, fixed_elsewhere])).all((0, 2, 3))
    if not found.any():
        raise HeadDataError(
            f"expression: no face was found in the renders of {len(rows)} held-out frames; train "
            "longer"
        )

    def at(points: np.ndarray, which: np.ndarray) -> np.ndarray:
        cameras = test.cameras[which].astype(np.float32)
        return upright(points, cameras)[found][:, :, :2]

    wanted = at(truth, rows)
    poses = {"": (own, rows), "_swapped": (swapped, others), "_fixed": (fixed_elsewhere, others)}
    upright_error = {
        f"{part}{name}": 100 * _apart(at(points, which)[:, index], wanted[:, index])
        for part, index in (("mouth", MOUTH), ("brows", BROWS))
        for name, (points, which) in poses.items()
    }
    flat = {name: ibug(p[found]) for name, p in (("t", truth), ("own", own), ("fixed", fixed))}

    def lmd(name: str, part: slice) -> float:
        return float(frame_distances(flat[name][:, part], flat["t"][:, part]).mean())

    return ExpressionScore(
        int(found.sum()),
        lmd("own", MOUTH_68),
        lmd("fixed", MOUTH_68),
        lmd("own", slice(0, 68)),
        lmd("fixed", slice(0, 68)),
        upright_error["mouth"],
        upright_error["mouth_swapped"],
        upright_error["mouth_fixed"],
        upright_error["brows"],
        upright_error["brows_swapped"],
        upright_error["brows_fixed"],
    )


def _apart(a: Float[np.ndarray, "f p 2"], b: Float[np.ndarray, "f p 2"]) -> float:
    return float(np.linalg.norm(a - b, axis=2).mean())
