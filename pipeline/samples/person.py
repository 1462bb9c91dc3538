"""One identity, ready to be posed: vertices in head coordinates, their fields, their textures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pipeline.samples import indices
from pipeline.samples.cavities import Patch, build_cavities, texture_position
from pipeline.samples.deform import NAMES, Basis, build_basis
from pipeline.samples.frame import HeadFrame
from pipeline.samples.geometry import build_surface, face_length
from pipeline.samples.identity import Looks, looks_of
from pipeline.samples.neutral import close_mouth, lower_side
from pipeline.samples.portrait import load_portrait
from pipeline.samples.skin import Skin, build_skin

GAZE_UNITS = 2.0
"""How far the iris moves for a gaze of 1, units."""


@dataclass(frozen=True)
class Person:
    """Vertices 0..467 are the face mesh; the patches behind the openings come last."""

    neutral: Float[np.ndarray, "vertices 3"]
    """Head coordinates with a closed, relaxed mouth, units."""
    basis: Basis
    """Semantic fields over all vertices."""
    gaze: Float[np.ndarray, " vertices"]
    """1 for eyeball vertices."""
    follow: Float[np.ndarray, " vertices"]
    texture: Float[np.ndarray, "vertices 2"]
    shade: Float[np.ndarray, " vertices"]
    lit: Float[np.ndarray, " vertices"]
    """1 where light follows the surface's direction, 0 for what lies in the face."""
    triangles: Int[np.ndarray, "triangles 3"]
    frame: HeadFrame
    skin: Skin
    unit: float
    """Distance of the eyes' centres, units: the length unit of the truth's translations."""


def _at_inner_lips(picture: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much a vertex lies on the inner edge of the upper and of the lower lip, 0..1."""
    x, y = picture.T
    out = []
    for contour in (indices.LIP_INNER_UPPER, indices.LIP_INNER_LOWER):
        line = landmarks[list(contour)]
        s = 2 * (x - line[0, 0]) / (line[-1, 0] - line[0, 0]) - 1
        near = np.exp(-(((y - np.interp(x, line[:, 0], line[:, 1])) / 0.6) ** 2))
        out.append(near * np.clip(4 * (1 - np.abs(s)), 0, 1))
    return out[0], out[1]


def _jaw_motion(patches: list[Patch], length: float) -> np.ndarray:
    counts = [len(p.head) for p in patches]
    fields = np.zeros((len(NAMES), sum(counts), 3))
    jaw = np.repeat([p.jaw for p in patches], counts)
    fields[NAMES.index("jaw_open")] = length * jaw[:, None] * np.array([0.0, 1.0, 0.35])
    return fields


def build_person(identity: str) -> Person:
    """Make an identity from the portrait; about a second."""
    looks: Looks = looks_of(identity)
    portrait = looks.recolour(load_portrait(mirrored=looks.mirrored))
    surface = build_surface(portrait)
    low = lower_side(surface.head)
    sheet = looks.reshape(close_mouth(surface.head, looks.mouth))
    patches = build_cavities(portrait.landmarks, surface.frame)
    basis = build_basis(sheet, low)
    length = face_length(sheet)
    behind = [looks.reshape(p.head) for p in patches]
    vertices = np.concatenate([sheet, *behind])
    fields = np.concatenate([basis.fields, _jaw_motion(patches, length)], axis=1)
    upper, lower = _at_inner_lips(surface.picture, portrait.landmarks)
    # texture of the lips' edges is taken from inside the lip, off the teeth's reflections
    inset = surface.picture + np.column_stack([np.zeros(len(upper)), 0.7 * lower - 0.6 * upper])
    starts = np.cumsum([len(sheet), *(len(p.head) for p in patches)])
    triangles = [surface.triangles]
    triangles += [p.triangles + s for p, s in zip(patches, starts, strict=False)]
    count, extra = len(sheet), sum(len(p.head) for p in patches)
    eyes = sheet[[33, 133]].mean(axis=0) - sheet[[263, 362]].mean(axis=0)
    return Person(
        neutral=vertices,
        basis=Basis(fields, basis.eye_gap),
        gaze=np.concatenate(
            [np.zeros(count), *(np.full(len(p.head), float(p.gaze)) for p in patches)]
        ),
        follow=np.concatenate([surface.follow, np.ones(extra)]),
        texture=np.concatenate([texture_position(inset), *(p.texture for p in patches)]),
        shade=np.concatenate([1 - 0.3 * upper - 0.2 * lower, *(p.shade for p in patches)]),
        lit=np.concatenate([surface.follow, np.zeros(extra)]),
        triangles=np.concatenate(triangles),
        frame=surface.frame,
        skin=build_skin(portrait),
        unit=float(np.linalg.norm(eyes)),
    )
