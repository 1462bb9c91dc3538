"""The portrait all samples are made from: a public-domain photograph in scikit-image's wheel.

Coordinates of this folder: *units* are pixels of the photograph, measured from the centre of a
square window round head and shoulders; x right, y down, z away from the viewer. The window is
what a rendered frame shows when the head has not moved.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from skimage import data

WINDOW = 236
"""Side of the window, units."""
LEFT, TOP = 107, -12
"""Upper left corner of the window in the photograph, pixels."""
TEXELS = 3
"""Texture pixels per unit."""
_FACTS = Path(__file__).parent / "portrait.npz"


@dataclass(frozen=True)
class Portrait:
    """What is known of the photograph, or of its mirror image."""

    image: UInt8[np.ndarray, "side side 3"]
    """The window at `TEXELS` pixels a unit, RGB."""
    matte: Float[np.ndarray, "side side"]
    """1 where the person is, 0 on the background, at the image's resolution."""
    landmarks: Float[np.ndarray, "478 3"]
    """Face mesh in units; z grows away from the viewer."""
    mirrored: bool = False
    """Whether left and right are exchanged."""


def photograph_window() -> UInt8[np.ndarray, "window window 3"]:
    """The window at one pixel a unit; above the photograph's edge its first row is mirrored."""
    photo = data.astronaut()
    padded = cv2.copyMakeBorder(photo, -TOP, 0, 0, 0, cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(padded[:WINDOW, LEFT : LEFT + WINDOW])


def enlarge(window: UInt8[np.ndarray, "window window 3"]) -> UInt8[np.ndarray, "side side 3"]:
    """To texture resolution: Lanczos, then the crispness a lens would have left."""
    side = WINDOW * TEXELS
    large = cv2.resize(window, (side, side), interpolation=cv2.INTER_LANCZOS4).astype(np.float32)
    soft = cv2.GaussianBlur(large, (0, 0), 2.0)
    return np.clip(large + 0.35 * (large - soft), 0, 255).round().astype(np.uint8)


def load_portrait(*, mirrored: bool = False) -> Portrait:
    """The portrait with its committed landmarks and matte; no model runs here."""
    with np.load(_FACTS) as facts:
        name = "mirrored" if mirrored else "plain"
        landmarks = facts[f"landmarks_{name}"].astype(np.float64)
        matte = facts["matte"].astype(np.float32) / 255.0
    image = enlarge(photograph_window())
    side = WINDOW * TEXELS
    matte = cv2.resize(matte, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    if mirrored:
        image, matte = image[:, ::-1], matte[:, ::-1]
    return Portrait(
        np.ascontiguousarray(image),
        np.ascontiguousarray(matte, dtype=np.float64),
        landmarks,
        mirrored,
    )
