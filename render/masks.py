"""Which of the 19 face-parsing labels belong to the head, and which to the torso layer.

AD-NeRF's split (YudongGuo/AD-NeRF: data_util/face_parsing/test.py): the head moves with the face's
pose; neck and clothes go with the torso.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

HEAD = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18)
NECK = (14, 15)
CLOTH = (16,)
MOUTH = (11, 12, 13)
EYES = (2, 3, 4, 5)
LABELS = 19


def members(labels: tuple[int, ...]) -> Bool[np.ndarray, " 256"]:
    """Lookup table: members(HEAD)[label image] is the head's mask."""
    table = np.zeros(256, bool)
    table[list(labels)] = True
    return table


def head_mask(labels: UInt8[np.ndarray, "*any"]) -> Bool[np.ndarray, "*any"]:
    """Pixels of the head: skin, features, ears, hair, hat."""
    return members(HEAD)[labels]


def person_mask(labels: UInt8[np.ndarray, "*any"]) -> Bool[np.ndarray, "*any"]:
    """Pixels of the person: every label that is not background (255 is: not parsed)."""
    return (labels != 0) & (labels < LABELS)


def soft(mask: Bool[np.ndarray, "h w"], radius: float) -> Float[np.ndarray, "h w"]:
    """The mask with edges `radius` pixels soft: a Gaussian blur, 0.5 on the edge itself."""
    import cv2

    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(radius, 1e-3))
    return np.asarray(blurred, np.float32)
