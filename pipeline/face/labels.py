"""The 19 labels of CelebAMask-HQ as face parsers number them, and the parts they form."""

import numpy as np
from jaxtyping import Bool, UInt8

BACKGROUND, SKIN, LEFT_BROW, RIGHT_BROW, LEFT_EYE, RIGHT_EYE = 0, 1, 2, 3, 4, 5
NOSE, MOUTH, UPPER_LIP, LOWER_LIP, NECK, CLOTH, HAIR = 10, 11, 12, 13, 14, 16, 17
UNKNOWN = 255
"""A frame that could not be parsed (no face), or was never written."""

LABELS = (
    *("background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear"),
    *("ear_r", "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat"),
)
"""Names by number. Left and right are those of the picture."""

HEAD = (*range(1, 14), 17, 18)
"""Labels that move with the head (AD-NeRF's split)."""
FEATURES = (LEFT_BROW, RIGHT_BROW, LEFT_EYE, RIGHT_EYE, MOUTH, UPPER_LIP, LOWER_LIP)
"""Brows, eyes, mouth: what an expression moves."""
FACE = (SKIN, *FEATURES, 6, NOSE)
"""The face without ears and hair."""
TORSO = (14, 15, 16)
"""Neck, necklace, cloth: what the head sits on."""


def part(
    labels: UInt8[np.ndarray, "*shape"], wanted: tuple[int, ...]
) -> Bool[np.ndarray, "*shape"]:
    """Where a label picture shows one of the wanted labels."""
    table = np.zeros(256, bool)
    table[list(wanted)] = True
    return table[labels]
