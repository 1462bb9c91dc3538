"""Textures of one identity: the atlas of its surfaces, and the plate that stands still behind."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pipeline.samples import indices
from pipeline.samples.cavities import DARK_TILE, SIDE, TONGUE_TILE, texture_position
from pipeline.samples.fill import push_pull, reflect_rows
from pipeline.samples.geometry import COLLAR_TOP, head_region, opening
from pipeline.samples.portrait import TEXELS, WINDOW, Portrait


@dataclass(frozen=True)
class Skin:
    """What the rasteriser samples."""

    atlas: UInt8[np.ndarray, "rows columns 4"]
    """RGBA: the portrait with the head's matte, and below it eyeballs, teeth, tongue, dark."""
    plate: UInt8[np.ndarray, "side side 3"]
    """Body and background without the head, at texture resolution."""


def _grid() -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(SIDE) + 0.5) / TEXELS - WINDOW / 2
    x, y = np.meshgrid(axis, axis)
    return x, y


def _grow(mask: np.ndarray, units: float) -> np.ndarray:
    size = 2 * round(units * TEXELS) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.dilate(mask.astype(np.float32), kernel).astype(np.float64)


def _shrunk(landmarks: np.ndarray, upper: tuple[int, ...], lower: tuple[int, ...], by: float):
    corners = texture_position(opening(landmarks, upper, lower))
    mask = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 1.0, shift=4)
    size = 2 * round(by * TEXELS) + 1
    return cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def _behind(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Eyeballs and teeth continued beyond the lids and lips of the portrait."""
    out = np.zeros_like(image)
    for upper, lower, by, reach in (
        (indices.EYE_RIGHT_UPPER, indices.EYE_RIGHT_LOWER, 0.5, 15),
        (indices.EYE_LEFT_UPPER, indices.EYE_LEFT_LOWER, 0.5, 15),
        (indices.LIP_INNER_UPPER, indices.LIP_INNER_LOWER, 0.7, 26),
    ):
        known = _shrunk(landmarks, upper, lower, by)
        x, y = texture_position(opening(landmarks, upper, lower)).mean(axis=0)
        half = reach * TEXELS
        box = (slice(int(y - half), int(y + half)), slice(int(x - half), int(x + half)))
        empty = out[box].sum(axis=2, keepdims=True) == 0
        out[box] = np.where(empty, push_pull(image[box], known[box].astype(np.float64)), out[box])
    cv2.circle(out, DARK_TILE, 15, (34, 12, 12), -1)
    cv2.circle(out, TONGUE_TILE, 15, (128, 58, 58), -1)
    return out


def _without_corner_shadows(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The picture without the dark of the smile's corners, which a closed mouth lacks."""
    out = image.copy()
    for corner in (61, 291):
        x, y = texture_position(landmarks[[corner]])[0]
        half = 9 * TEXELS
        box = (slice(int(y - half), int(y + half)), slice(int(x - half), int(x + half)))
        part = out[box]
        v, u = np.mgrid[-half:half, -half:half] / TEXELS
        near = np.clip(1.6 - np.hypot(u / 5.5, v / 4.0), 0, 1)
        light = cv2.GaussianBlur(part.sum(axis=2) / 3, (0, 0), 1.0)
        dark = np.clip((np.percentile(light, 40) - light) / 25, 0, 1)
        hidden = cv2.dilate((near * dark).astype(np.float32), np.ones((5, 5), np.uint8))
        hidden = hidden.astype(np.float64)
        part += hidden[..., None] * (push_pull(part, 1 - np.clip(hidden * 3, 0, 1)) - part)
    return out


def _softer_folds(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The smile's folds from nose to mouth at part of their depth."""
    folds = np.zeros((SIDE, SIDE), np.float32)
    for line in ((129, 203, 206, 216, 212), (358, 423, 426, 436, 432)):
        points = texture_position(landmarks[list(line)])
        cv2.polylines(folds, [np.round(points).astype(np.int32)], False, 1.0, 9 * TEXELS)
    for corner in (61, 291):
        x, y = texture_position(landmarks[[corner]])[0]
        cv2.circle(folds, (int(x), int(y)), 3 * TEXELS, 0.0, -1)
    folds = cv2.GaussianBlur(folds, (0, 0), 1.5 * TEXELS).astype(np.float64)[..., None]
    smooth = cv2.GaussianBlur(image, (0, 0), 5.0 * TEXELS)
    fine = image - cv2.GaussianBlur(image, (0, 0), 0.8 * TEXELS)
    lifted = np.maximum(image, smooth + fine)
    return image + 0.7 * folds * (lifted - image)


def build_skin(portrait: Portrait) -> Skin:
    """Atlas and plate of a portrait (already in the identity's colours)."""
    image = portrait.image.astype(np.float64)
    x, y = _grid()
    loose = cv2.GaussianBlur(_grow(portrait.matte, 1.2), (0, 0), 1.5 * TEXELS / 2)
    to_neck = np.clip((y - 20) / 10, 0, 1)
    matte = np.where(y < COLLAR_TOP - 14, loose + to_neck * (portrait.matte - loose), 1.0)
    alpha = matte * head_region(x, y, portrait)
    relaxed = _softer_folds(_without_corner_shadows(image, portrait.landmarks), portrait.landmarks)
    top = np.dstack([relaxed, 255 * alpha])
    behind = np.dstack([_behind(image, portrait.landmarks), np.full((SIDE, SIDE), 255.0)])
    atlas = np.concatenate([top, behind]).clip(0, 255).round().astype(np.uint8)

    head = (alpha > 0.02) & (y < COLLAR_TOP - 2)
    # beside the neck the plate keeps all it can of the ring, and continues it by reflection
    hidden = np.where(y < 31, _grow(head, 2.5), _grow(head, 0.5))
    to_neck = np.clip((y - 31) / 8, 0, 1)[..., None]
    filled = push_pull(image, 1.0 - hidden)
    filled += to_neck * (reflect_rows(image, hidden, filled) - filled)
    soft = cv2.GaussianBlur(hidden, (0, 0), 2.0)[..., None]
    plate = image * (1 - soft) + filled * soft
    return Skin(np.ascontiguousarray(atlas), plate.clip(0, 255).round().astype(np.uint8))


def plate_at(skin: Skin, side: int) -> Float[np.ndarray, "side side 3"]:
    """The plate at a picture size, float32."""
    return cv2.resize(skin.plate, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
