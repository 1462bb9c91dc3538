"""A talking head whose every pixel is known: an ellipsoid with a mouth that opens with α, ray cast.

For measurements and tests that need frames, masks and cameras but no person.
"""

import numpy as np
from jaxtyping import Float, UInt8

from render.head_data import HeadData

DEPTH = 20.0
RADII = np.array([1.6, 2.0, 1.6])


def synthetic_head(n: int, clips: int, size: int, seed: int = 7) -> HeadData:
    """n frames of a turning, talking ellipsoid; the last clip is held out."""
    rng = np.random.default_rng(seed)
    alpha = rng.normal(size=(n, 2)).astype(np.float32).clip(-1.5, 1.5)
    cameras = np.stack([camera(yaw) for yaw in rng.uniform(-0.4, 0.4, n)])
    pairs = [frame(c, float(a[0]), size) for c, a in zip(cameras, alpha, strict=True)]
    clip_ids = tuple(f"clip{i * clips // n}" for i in range(n))
    return HeadData(
        np.stack([picture for picture, _ in pairs]),
        np.stack([labels for _, labels in pairs]),
        cameras,
        4.0 * size,
        alpha,
        np.ones(n, bool),
        clip_ids,
        np.array([c == clip_ids[-1] for c in clip_ids]),
    )


def camera(yaw: float) -> Float[np.ndarray, "3 4"]:
    """A camera that looks at the head from the side by `yaw` radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.concatenate([rotation, [[0.0], [0.0], [DEPTH]]], 1).astype(np.float32)


def frame(
    camera: Float[np.ndarray, "3 4"], opening: float, size: int
) -> tuple[UInt8[np.ndarray, "s s 3"], UInt8[np.ndarray, "s s"]]:
    """Picture and labels of x²/1.6² + y²/2² + z²/1.6² = 1 with a mouth, over a body."""
    focal = 4.0 * size
    y, x = np.mgrid[0:size, 0:size] + 0.5
    d = np.stack([(x - size / 2) / focal, (y - size / 2) / focal, np.ones_like(x)], -1)
    rotation, t = camera[:, :3], camera[:, 3]
    d = d @ rotation
    o = -rotation.T @ t
    u, v = d / RADII, o / RADII
    a, b, c = (u * u).sum(-1), 2 * (u * v).sum(-1), (v * v).sum() - 1
    root = b * b - 4 * a * c
    hit = root > 0
    depth = (-b - np.sqrt(np.maximum(root, 0))) / (2 * a)
    p = o + depth[..., None] * d
    colour = 0.5 + 0.3 * np.stack([np.sin(2 * p[..., 0]), np.cos(2 * p[..., 1]), p[..., 0] / 2], -1)
    height = 0.15 + 0.2 * max(opening + 1, 0)
    inside = (p[..., 0] / 0.6) ** 2 + ((p[..., 1] - 0.8) / height) ** 2 < 1
    mouth = hit & (p[..., 2] < 0) & inside
    colour[mouth] = [0.1, 0.02, 0.02]
    picture = np.where(hit[..., None], colour, [0.2, 0.6, 0.3])
    labels = np.where(mouth, 11, np.where(hit, 1, 0)).astype(np.uint8)
    body = (y > size * 0.8) & ~hit
    labels[body] = 16
    picture[body] = [0.1, 0.1, 0.4]
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8), labels
