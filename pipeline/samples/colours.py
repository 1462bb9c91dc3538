"""Recolouring the photograph region by region, so that two people can come from one portrait.

Every change is a gain or a curve under a soft mask, so edges between regions keep their own blend
of light and no outline appears.
"""

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.samples import indices
from pipeline.samples.fill import push_pull
from pipeline.samples.geometry import head_region
from pipeline.samples.portrait import TEXELS, WINDOW, Portrait

Mask = Float[np.ndarray, "side side"]


def _pixels(points: np.ndarray) -> np.ndarray:
    return (points[:, :2] + WINDOW / 2) * TEXELS


def _filled(portrait: Portrait, points: np.ndarray, feather: float) -> np.ndarray:
    mask = np.zeros(portrait.matte.shape, np.float32)
    cv2.fillPoly(mask, [np.round(_pixels(points) * 16).astype(np.int32)], 1.0, shift=4)
    return cv2.GaussianBlur(mask, (0, 0), feather * TEXELS).astype(np.float64)


def _features(image: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return cv2.GaussianBlur(lab, (0, 0), 2.0).reshape(-1, 3).astype(np.float64)


def hair_mask(portrait: Portrait) -> Mask:
    """1 on hair: a linear discriminant between colours that are surely hair and surely skin."""
    side = portrait.matte.shape[0]
    axis = (np.arange(side) + 0.5) / TEXELS - WINDOW / 2
    x, y = np.meshgrid(axis, axis)
    landmarks = portrait.landmarks
    face = _filled(portrait, landmarks[list(indices.OVAL)], 0.1) > 0.5
    brows = landmarks[[*indices.BROW_RIGHT_UPPER, *indices.BROW_LEFT_UPPER], 1].min()
    sure_skin = face & (y > brows + 22)
    sure_hair = (portrait.matte > 0.95) & ((y < -48) | ((np.abs(x) > 54) & (y < 0)))
    features = _features(portrait.image)
    a, b = features[sure_hair.ravel()], features[sure_skin.ravel()]
    spread = np.linalg.inv(np.cov(a.T) + np.cov(b.T))
    direction = spread @ (a.mean(axis=0) - b.mean(axis=0))
    score = features @ direction
    low, high = (b @ direction).mean(), (a @ direction).mean()
    share = ((score - low) / (high - low)).reshape(side, side)
    mask = np.clip((share - 0.25) / 0.3, 0, 1) * np.clip(portrait.matte * 1.2, 0, 1)
    # within the face only the fringe is hair; below the ears nothing is
    inner = _filled(portrait, _below_fringe(landmarks), 1.5)
    mask = mask * (1 - inner) * np.clip((36 - y) / 6, 0, 1)
    guide = cv2.GaussianBlur(portrait.image, (0, 0), 0.8).astype(np.float32) / 255
    return (
        cv2.ximgproc.guidedFilter(guide, mask.astype(np.float32), 8, 1e-4).clip(0, 1).astype(float)
    )


def _below_fringe(landmarks: np.ndarray) -> np.ndarray:
    """Polygon of the face from the brows down."""
    above = landmarks[[*indices.BROW_RIGHT_LOWER, *indices.BROW_LEFT_LOWER[::-1]], :2]
    sides = landmarks[[454, 361, 397, 152, 172, 132, 234], :2] * (0.93, 1.0)
    return np.concatenate([above, sides])


def _gain(image: np.ndarray, mask: np.ndarray, gain: tuple[float, float, float]) -> np.ndarray:
    return image * (1 + mask[..., None] * (np.array(gain) - 1))


def _surely_outside(portrait: Portrait) -> np.ndarray:
    """1 on background, also where the matte is a little loose: there colour decides."""
    image, matte = portrait.image.astype(np.float64), portrait.matte
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (10 * TEXELS + 1, 10 * TEXELS + 1))
    around = cv2.dilate(matte.astype(np.float32), kernel)
    behind = push_pull(image, (around < 0.1).astype(np.float64))
    near_edge = 1 - cv2.erode(matte.astype(np.float32), kernel)
    distance = np.linalg.norm(cv2.GaussianBlur(image, (0, 0), 1.0) - behind, axis=2)
    alike = np.exp(-((distance / 45) ** 2)) * near_edge
    face = _filled(portrait, portrait.landmarks[list(indices.OVAL)], 1.0)
    axis = (np.arange(len(matte)) + 0.5) / TEXELS - WINDOW / 2
    x, y = np.meshgrid(axis, axis)
    neck = head_region(x, y, portrait) * (y > 33)
    inside = np.maximum(matte * (1 - alike), np.maximum(face, neck))
    return cv2.GaussianBlur(1 - inside, (0, 0), 0.25 * TEXELS)


def darken_brows(portrait: Portrait, strength: float, widen: float, seed: int) -> Portrait:
    """Fuller brows: hair-like strokes painted along the brows' contours."""
    rng = np.random.default_rng(seed)
    side = portrait.matte.shape[0]
    ink = np.zeros((side, side), np.float32)
    for upper, lower in (
        (indices.BROW_RIGHT_UPPER, indices.BROW_RIGHT_LOWER),
        (indices.BROW_LEFT_UPPER, indices.BROW_LEFT_LOWER),
    ):
        top, bottom = (_pixels(portrait.landmarks[list(i)]) for i in (upper, lower))
        middle, half = (top + bottom) / 2, (bottom - top) / 2
        stations = np.linspace(0, 4, 5)
        for t in rng.uniform(0.15, 3.95, 420):
            point = np.array([np.interp(t, stations, middle[:, k]) for k in (0, 1)])
            across = np.array([np.interp(t, stations, half[:, k]) for k in (0, 1)])
            outward = np.array([np.interp(max(t - 1, 0), stations, middle[:, k]) for k in (0, 1)])
            direction = (outward - point) / (np.linalg.norm(outward - point) + 1e-6)
            taper = np.interp(t, [0, 0.8, 3.6, 4], [0.25, 0.9, 1.0, 0.6])
            start = point + across * rng.uniform(-1, 1) * widen * taper
            end = start + direction * rng.uniform(5, 10) - across * rng.uniform(0.0, 0.5)
            line = [tuple(int(v) for v in np.round(p * 16)) for p in (start, end)]
            stroke = np.zeros_like(ink)
            cv2.line(stroke, line[0], line[1], 1.0, 1, cv2.LINE_AA, 4)
            ink = np.maximum(ink, 0.55 * stroke + ink * (1 - 0.45 * stroke))
    ink = cv2.GaussianBlur(ink, (0, 0), 0.9).clip(0, 1)[..., None] * strength
    image = portrait.image * (1 - ink * np.array([0.62, 0.68, 0.74]))
    return replace(portrait, image=_as_picture(image))


def redden_lips(portrait: Portrait, gain: tuple[float, float, float]) -> Portrait:
    """Lips set off from the skin, their shine damped: the photograph's are pale with light."""
    landmarks = portrait.landmarks
    outer = [*indices.LIP_OUTER_UPPER, *indices.LIP_OUTER_LOWER[-2:0:-1]]
    inner = [*indices.LIP_INNER_UPPER, *indices.LIP_INNER_LOWER[-2:0:-1]]
    lips = _filled(portrait, landmarks[outer], 0.5) * (1 - _filled(portrait, landmarks[inner], 0.3))
    image = portrait.image.astype(np.float64)
    tone = np.median(image[lips > 0.8], axis=0)
    shine = np.maximum(image - tone, 0)
    matt = image - 0.5 * shine
    return replace(
        portrait, image=_as_picture(_gain(image + lips[..., None] * (matt - image), lips, gain))
    )


def _as_picture(image: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    return np.clip(image, 0, 255).round().astype(np.uint8)


def repaint(
    portrait: Portrait,
    *,
    skin: tuple[float, float, float],
    hair: tuple[float, float, float],
    hair_gamma: float,
    background: tuple[float, float, float],
) -> Portrait:
    """Gains for skin, hair and background; the suit's orange becomes blue."""
    image = portrait.image.astype(np.float64)
    side = image.shape[0]
    axis = (np.arange(side) + 0.5) / TEXELS - WINDOW / 2
    x, y = np.meshgrid(axis, axis)
    cloth = np.clip((y - 60) / 10, 0, 1) * portrait.matte * (1 - head_region(x, y, portrait))
    hairy = hair_mask(portrait)
    saturation = (image.max(axis=2) - image.min(axis=2)) / (image.max(axis=2) + 1)
    warm = (image[..., 0] > image[..., 2] + 12).astype(np.float32)
    warm = cv2.GaussianBlur(warm, (0, 0), 2.0)
    head = np.clip((90 - y) / 6, 0, 1) * (1 - hairy) * np.clip(portrait.matte * 1.1, 0, 1) * warm

    out = _gain(image, head, skin)
    grey = image.mean(axis=2, keepdims=True)
    dyed = 255 * (np.clip(0.35 * image + 0.65 * grey, 0, 255) / 255) ** hair_gamma * np.array(hair)
    out += hairy[..., None] * (dyed - out)
    out = _gain(out, _surely_outside(portrait), background)
    suit = np.clip((saturation - 0.45) / 0.2, 0, 1) * cloth
    blue = image[..., [2, 1, 0]] * np.array([0.7, 0.9, 0.75])
    out += suit[..., None] * (blue - out)
    return replace(portrait, image=_as_picture(out))
