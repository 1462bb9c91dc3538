"""What is kept of a head looked at from where no camera was: one piece with a soft edge.

Behind and beside what the cameras saw a field holds shreds of haze, and surfaces end in the steps
of the occupancy grid. Both hide behind the head in recorded views and show in others.
"""

import cv2
import numpy as np
from jaxtyping import Float

SOLID = 0.5
"""Opacity from which on something belongs to the head."""
FINEST = 96
"""A width of a picture over this is rubbed off: whiskers and shreds thinner than twice that go."""


def whole_and_soft(
    rgb: Float[np.ndarray, "s s 3"], opacity: Float[np.ndarray, "s s"]
) -> tuple[Float[np.ndarray, "s s 3"], Float[np.ndarray, "s s"]]:
    """The largest solid piece without shreds, its outline rounded and soft over some pixels.

    Opacity only falls: nothing is made up. Colours are premultiplied and fall with it.
    """
    radius = max(1, round(len(opacity) / FINEST))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    solid = cv2.morphologyEx((opacity > SOLID).astype(np.uint8), cv2.MORPH_OPEN, disc)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(solid)
    if count < 2:
        return rgb, opacity
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    kept = (np.asarray(pieces) == largest).astype(np.float32)
    # The blurred mask is a half on the outline: nothing there, all of it some pixels further in, so
    # that the steps of the outline lie where nothing is seen of them.
    slope = np.asarray(cv2.GaussianBlur(kept, (0, 0), 1.5 * radius), np.float32)
    matte = np.clip(2 * slope - 1, 0, 1) * kept
    return rgb * matte[..., None], opacity * matte
