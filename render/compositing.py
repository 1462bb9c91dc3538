"""Laying the rendered head over torso and background."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from render.errors import RenderError


def compose(
    head_rgb: Float[np.ndarray, "h w 3"],
    opacity: Float[np.ndarray, "h w"],
    under: UInt8[np.ndarray, "s s 3"],
    size: int | None = None,
) -> UInt8[np.ndarray, "out out 3"]:
    """head_rgb (premultiplied, over black) over `under`, both brought to `size` (default: under's).

    out = head + (1 - opacity) under. A head rendered smaller than the picture is enlarged smoothly.

    Raises:
        RenderError: the head's picture is not square.
    """
    height, width = opacity.shape
    if height != width:
        raise RenderError(
            f"compose: the head's picture is {height} x {width}, must be square as the frames are; "
            "pass what Head.render gave"
        )
    side = size or int(under.shape[0])
    layer = np.concatenate([head_rgb, opacity[..., None]], 2)
    if layer.shape[0] != side:
        layer = np.asarray(cv2.resize(layer, (side, side), interpolation=cv2.INTER_CUBIC))
    below = under
    if under.shape[0] != side:
        below = np.asarray(cv2.resize(under, (side, side), interpolation=cv2.INTER_AREA))
    a = np.clip(layer[..., 3:], 0, 1)
    out = np.clip(layer[..., :3], 0, 1) + (1 - a) * (below.astype(np.float32) / np.float32(255))
    return (np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8)


def over(
    head_rgb: Float[np.ndarray, "h h 3"],
    opacity: Float[np.ndarray, "h h"],
    torso: UInt8[np.ndarray, "s s 4"] | None,
    behind: UInt8[np.ndarray, "s s 3"] | None,
    side: int,
) -> UInt8[np.ndarray, "s s channels"]:
    """Head over torso over background, all of one side but for the head, which is brought to it.

    Args:
        head_rgb: colour over black (premultiplied), 0-1.
        opacity: 0-1.
        torso: premultiplied; None: the head alone.
        behind: the background; None: RGBA comes out (not premultiplied), else RGB.
        side: pixels, `s`.
    """
    layer = np.concatenate([head_rgb, opacity[..., None]], 2, dtype=np.float32)
    if len(layer) != side:
        how = cv2.INTER_CUBIC if len(layer) < side else cv2.INTER_AREA
        layer = np.asarray(cv2.resize(layer, (side, side), interpolation=how))
    layer = np.clip(layer, 0, 1) * np.float32(255)
    if torso is not None:
        layer += (1 - layer[..., 3:] / np.float32(255)) * torso
    if behind is not None:
        through = 1 - layer[..., 3:] / np.float32(255)
        return _as_bytes(layer[..., :3] + through * behind)
    straight = layer[..., :3] * (255 / np.maximum(layer[..., 3:], np.float32(0.5)))
    return _as_bytes(np.concatenate([straight, layer[..., 3:]], 2))


def _as_bytes(values: Float[np.ndarray, "h w channels"]) -> UInt8[np.ndarray, "h w channels"]:
    return (np.clip(values, 0, 255) + 0.5).astype(np.uint8)
