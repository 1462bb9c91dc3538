"""Measure the head template once: `python -m pipeline.face.author_template`.

A network that sees little detail answers with the face it expects. So the face mesh looks at a
softened public-domain portrait (NASA, `skimage.data.astronaut`) at several sizes and both ways
round; the answers are aligned, averaged and made symmetric. On eleven clips of seven people the
result fits the rigid landmarks to 4 % of the eye distance, the unsoftened portrait to 5 %.
"""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment

from pipeline.errors import RejectedClip
from pipeline.face import indices, models, rigid

TEMPLATE = Path(__file__).with_name("template.npz")
_FACE = (slice(40, 240), slice(125, 325))
_SIZES = (224, 256, 288, 320)
_SOFT = (1.5, 2.0, 2.5)


def measure() -> Float64[np.ndarray, "478 3"]:
    """Landmarks of the expected face in head coordinates (see `pipeline.face.template`)."""
    import skimage.data

    face = skimage.data.astronaut()[_FACE]
    seen = []
    with models.using(models.face_mesh(tracking=False)) as mesh:
        for soft in _SOFT:
            for size in _SIZES:
                picture = cv2.resize(cv2.GaussianBlur(face, (0, 0), soft), (size, size))
                for view in (picture, np.ascontiguousarray(picture[:, ::-1])):
                    found = mesh.process(view).multi_face_landmarks
                    if found:
                        seen.append([(p.x, p.y, p.z) for p in found[0].landmark])
    if len(seen) < len(_SOFT) * len(_SIZES):
        raise RejectedClip(f"the mesh found the portrait's face in only {len(seen)} views")
    faces = np.array(seen, np.float64)
    shape = faces[0]
    for _ in range(5):
        scale, rotation, shift = rigid.similarity(faces, shape)
        back = np.einsum("nji,npj->npi", rotation, faces - shift[:, None])
        shape = (back / scale[:, None, None]).mean(axis=0)
    return upright(_symmetric(upright(shape)))


def upright(shape: Float64[np.ndarray, "478 3"]) -> Float64[np.ndarray, "478 3"]:
    """Turn, shift and scale into head coordinates: see `pipeline.face.template`."""
    pairs = indices.MIRROR_PAIRS
    across = (shape[pairs[:, 1]] - shape[pairs[:, 0]]).mean(axis=0)
    down = shape[indices.CHIN] - shape[indices.FOREHEAD_TOP]
    x = across / np.linalg.norm(across)
    y = down - x * (x @ down)
    y /= np.linalg.norm(y)
    turned = shape @ np.stack([x, y, np.cross(x, y)]).T
    right = turned[list(indices.RIGHT_EYE_CORNERS)].mean(axis=0)
    left = turned[list(indices.LEFT_EYE_CORNERS)].mean(axis=0)
    origin = (right + left) / 2
    origin[2] = turned[list(indices.EARS), 2].mean()
    return (turned - origin) / np.linalg.norm(left - right)


def mirror_map(shape: Float64[np.ndarray, "478 3"]) -> Int64[np.ndarray, " 478"]:
    """For each landmark its twin on the other side: the one-to-one match of least distance."""
    mirrored = shape * [-1, 1, 1]
    cost = ((mirrored[:, None] - shape[None]) ** 2).sum(axis=-1)
    return linear_sum_assignment(cost)[1].astype(np.int64)


def _symmetric(shape: Float64[np.ndarray, "478 3"]) -> Float64[np.ndarray, "478 3"]:
    return (shape + (shape * [-1, 1, 1])[mirror_map(shape)]) / 2


if __name__ == "__main__":
    points = measure()
    np.savez(TEMPLATE, points=points.astype(np.float32))
    print(f"{TEMPLATE}: {points.shape}, nose tip {points[1].round(3)}")
