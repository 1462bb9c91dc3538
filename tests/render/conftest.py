"""A synthetic head with known cameras: an ellipsoid whose mouth opens with α, ray cast exactly."""

from collections.abc import Callable

import numpy as np
import pytest

from render.head_data import HeadData

SIZE = 48
FOCAL = 4.0 * SIZE
DEPTH = 20.0


def _camera(yaw: float) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.concatenate([rotation, [[0.0], [0.0], [DEPTH]]], 1).astype(np.float32)


def _frame(camera: np.ndarray, opening: float) -> tuple[np.ndarray, np.ndarray]:
    """Picture and labels of the ellipsoid x²/1.6² + y²/2² + z²/1.6² = 1."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    d = np.stack([(x - SIZE / 2) / FOCAL, (y - SIZE / 2) / FOCAL, np.ones_like(x)], -1)
    rotation, t = camera[:, :3], camera[:, 3]
    d = d @ rotation
    o = -rotation.T @ t
    radii = np.array([1.6, 2.0, 1.6])
    u, v = d / radii, o / radii
    a, b, c = (u * u).sum(-1), 2 * (u * v).sum(-1), (v * v).sum() - 1
    root = b * b - 4 * a * c
    hit = root > 0
    depth = (-b - np.sqrt(np.maximum(root, 0))) / (2 * a)
    p = o + depth[..., None] * d
    colour = 0.5 + 0.3 * np.stack([np.sin(2 * p[..., 0]), np.cos(2 * p[..., 1]), p[..., 0] / 2], -1)
    front = p[..., 2] < 0
    height = 0.15 + 0.2 * max(opening + 1, 0)
    mouth = hit & front & ((p[..., 0] / 0.6) ** 2 + ((p[..., 1] - 0.8) / height) ** 2 < 1)
    colour[mouth] = [0.1, 0.02, 0.02]
    picture = np.where(hit[..., None], colour, [0.2, 0.6, 0.3])
    labels = np.where(mouth, 11, np.where(hit, 1, 0)).astype(np.uint8)
    body = (y > SIZE * 0.8) & ~hit
    labels[body] = 16
    picture[body] = [0.1, 0.1, 0.4]
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8), labels


@pytest.fixture(scope="session")
def make_head_data() -> Callable[[int, int], HeadData]:
    """make(n, clips): n frames of a turning, talking ellipsoid; the last clip is held out."""

    def make(n: int, clips: int) -> HeadData:
        rng = np.random.default_rng(7)
        alpha = rng.normal(size=(n, 2)).astype(np.float32).clip(-1.5, 1.5)
        cameras = np.stack([_camera(yaw) for yaw in rng.uniform(-0.4, 0.4, n)])
        pairs = [_frame(camera, float(a[0])) for camera, a in zip(cameras, alpha, strict=True)]
        clip_ids = tuple(f"clip{i * clips // n}" for i in range(n))
        last = clip_ids[-1]
        return HeadData(
            np.stack([p for p, _ in pairs]),
            np.stack([labels for _, labels in pairs]),
            cameras,
            FOCAL,
            alpha,
            np.ones(n, bool),
            clip_ids,
            np.array([c == last for c in clip_ids]),
        )

    return make
