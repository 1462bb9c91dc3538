"""Smooth continuation of an image into the parts that are unknown."""

from typing import Any

import cv2
import numpy as np
from jaxtyping import Float


def push_pull(
    image: Float[np.ndarray, "h w 3"], known: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """`image` where `known` is 1; elsewhere the colours round it, coarser the farther away.

    Source: Gortler et al., The Lumigraph (1996), section 3.3 (push-pull over a pyramid).
    """
    weight: Any = known.astype(np.float32)
    colour: Any = image.astype(np.float32) * weight[..., None]
    levels = [(colour, weight)]
    while min(levels[-1][1].shape) > 4:
        colour, weight = levels[-1]
        levels.append((cv2.pyrDown(colour), cv2.pyrDown(weight)))
    colour, weight = levels[-1]
    filled = colour / np.maximum(weight, 1e-6)[..., None]
    for colour, weight in reversed(levels[:-1]):
        up = cv2.pyrUp(filled, dstsize=(colour.shape[1], colour.shape[0]))
        sure = np.clip(weight * 1.5, 0, 1)[..., None]
        filled = sure * colour / np.maximum(weight, 1e-6)[..., None] + (1 - sure) * up
    return filled.astype(np.float64)


def reflect_rows(
    image: Float[np.ndarray, "h w 3"],
    hidden: Float[np.ndarray, "h w"],
    centre: Float[np.ndarray, "h w 3"],
) -> Float[np.ndarray, "h w 3"]:
    """Each row's hidden span continued from both its ends by reflection; `centre` in the middle.

    Keeps an edge that meets the span sharp, where `push_pull` would blur it.
    """
    out = centre.copy()
    width = image.shape[1]
    for y in range(len(image)):
        columns = np.flatnonzero(hidden[y] > 0.5)
        if not columns.size:
            continue
        first, last = int(columns[0]), int(columns[-1])
        reach = min((last - first) // 2, first, width - 1 - last)
        fade = np.clip(np.linspace(3, 0, reach), 0, 1)[:, None] if reach else np.empty((0, 1))
        left, right = image[y, first - reach : first][::-1], image[y, last + 1 : last + 1 + reach]
        span = out[y, first : first + reach]
        span += fade * (left - span)
        span = out[y, last + 1 - reach : last + 1]
        span += fade[::-1] * (right[::-1] - span)
    return out
