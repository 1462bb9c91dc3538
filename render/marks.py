"""The visible mark of a synthetic video: a small word in the corner of every frame."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw, ImageFont

TEXT = "synthetic"
HEIGHT = 0.05
"""Of the letters, of the frame's side."""
LEAST = 9
"""Pixels below which letters cannot be read."""
GROUND = 140
"""Opacity of the dark ground under the letters, of 255."""


@dataclass(frozen=True)
class VisibleMark:
    """White letters on a dark, half transparent ground, in the lower right corner."""

    colour: Float32[np.ndarray, "h w 3"]
    """0-255."""
    opacity: Float32[np.ndarray, "h w 1"]
    """0-1."""
    top: int
    left: int

    @staticmethod
    def of(size: int, text: str = TEXT) -> "VisibleMark":
        """Drawn once for frames of `size`."""
        height = max(LEAST, round(HEIGHT * size))
        font = ImageFont.load_default(height)
        left, top, right, bottom = font.getbbox(text)
        pad = max(2, height // 4)
        width = int(right - left) + 2 * pad
        tall = int(bottom - top) + 2 * pad
        patch = Image.new("RGBA", (min(width, size), min(tall, size)), (0, 0, 0, GROUND))
        letters = Image.new("L", patch.size, 0)
        ImageDraw.Draw(letters).text((pad - left, pad - top), text, fill=255, font=font)
        patch.paste((255, 255, 255, 255), mask=letters)
        values = np.asarray(patch, np.float32)
        margin = min(max(2, size // 50), size - patch.height, size - patch.width)
        return VisibleMark(
            values[..., :3],
            values[..., 3:] / np.float32(255),
            size - margin - patch.height,
            size - margin - patch.width,
        )

    def draw(self, frame: UInt8[np.ndarray, "s s channels"]) -> None:
        """Lay it over an RGB or RGBA frame, in place."""
        height, width = self.opacity.shape[:2]
        part = frame[self.top : self.top + height, self.left : self.left + width]
        under = part[..., :3].astype(np.float32)
        if frame.shape[2] == 3:
            part[:] = (self.opacity * self.colour + (1 - self.opacity) * under + 0.5).astype(
                np.uint8
            )
            return
        below = part[..., 3:].astype(np.float32) / 255 * (1 - self.opacity)
        whole = self.opacity + below
        part[..., :3] = (self.opacity * self.colour + below * under) / np.maximum(whole, 1e-6) + 0.5
        part[..., 3:] = whole * 255 + 0.5
