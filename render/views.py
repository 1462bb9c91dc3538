"""Where the head is looked at from: the poses of a clip, another clip's, or a camera that circles.

Conventions of `render.cameras`: x_cam = R X + t, the world fixed to the head, so that turning the
head by D is R D.
"""

import numpy as np
from jaxtyping import Float

from pipeline.clock import FPS
from render.errors import HeadDataError


def mean_camera(cameras: Float[np.ndarray, "n 3 4"]) -> Float[np.ndarray, "3 4"]:
    """The rotation nearest to all (in the sense of squared matrix distance), the mean translation.

    Raises:
        HeadDataError: no camera, or one that is not finite.
    """
    if len(cameras) == 0 or not np.isfinite(cameras).all():
        raise HeadDataError(
            f"mean pose: {len(cameras)} poses, {int((~np.isfinite(cameras)).any((1, 2)).sum())} of "
            "them not finite; take a stretch in which the face is found"
        )
    u, _, v = np.linalg.svd(cameras[:, :, :3].sum(0).astype(np.float64))
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))]) @ v
    return np.concatenate([turn, cameras[:, :, 3].mean(0)[:, None]], 1)


def orbit(
    base: Float[np.ndarray, "3 4"], frames: int, yaw: float, pitch: float, seconds: float
) -> Float[np.ndarray, "n 3 4"]:
    """The head turned there and back: a lying eight of ±yaw and ±pitch degrees round `base`.

    Args:
        base: where it begins, and passes through twice a turn.
        frames: how many.
        yaw: largest turn to the sides, degrees.
        pitch: largest turn up and down, degrees.
        seconds: one whole turn.
    """
    phase = 2 * np.pi * np.arange(frames) / FPS / seconds
    across, along = np.radians(yaw) * np.sin(phase), np.radians(pitch) * np.sin(2 * phase)
    c, s, zero, one = np.cos(across), np.sin(across), np.zeros(frames), np.ones(frames)
    about_y = np.stack([c, zero, s, zero, one, zero, -s, zero, c], 1).reshape(-1, 3, 3)
    c, s = np.cos(along), np.sin(along)
    about_x = np.stack([one, zero, zero, zero, c, -s, zero, s, c], 1).reshape(-1, 3, 3)
    turned = base[:, :3] @ about_y @ about_x
    place = np.repeat(base[None, :, 3:], frames, 0)
    return np.concatenate([turned, place], 2)


def carried(
    cameras: Float[np.ndarray, "n 3 4"], base: Float[np.ndarray, "3 4"]
) -> Float[np.ndarray, "n 3 4"]:
    """Another head's movements round its own mean pose, made round `base`."""
    mean = mean_camera(cameras)
    turns = mean[:, :3].T @ cameras[:, :, :3]
    return np.concatenate(
        [base[:, :3] @ turns, (base[:, 3] + cameras[:, :, 3] - mean[:, 3])[..., None]], 2
    )


def within(
    cameras: Float[np.ndarray, "n 3 4"], seen: Float[np.ndarray, "m 3 4"]
) -> Float[np.ndarray, "n 3 4"]:
    """Each camera, or where it looks from beyond all that was seen, the nearest place that was.

    Fields learn how colours change with the direction only in the directions of their recordings;
    polynomials (spherical harmonics) run wild beyond them. Asked in the directions of the nearest
    recorded view, every point keeps the colour it had there, as a matt surface does.

    Args:
        cameras: asked for. One within the range comes back to the last bit.
        seen: recorded; 1 of 100 on either side of either angle does not count.
    """
    low, high = np.quantile(angles(seen), (0.01, 0.99), axis=0)
    asked = angles(cameras)
    held = np.clip(asked, low, high)
    out = cameras.copy()
    for i in np.flatnonzero((asked != held).any(1)):
        turn = _looking_from(held[i]) @ _looking_from(asked[i]).T
        out[i, :, :3] = cameras[i, :, :3] @ turn.T
    return out


def _looking_from(degrees: Float[np.ndarray, "2"]) -> Float[np.ndarray, "3 3"]:
    """Turns the head's world so that straight ahead (0, 0, -1) comes to a yaw and pitch."""
    (s, u), (c, v) = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    about_y = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    about_x = np.array([[1, 0, 0], [0, v, -u], [0, u, v]])
    return about_y @ about_x


def angles(cameras: Float[np.ndarray, "n 3 4"]) -> Float[np.ndarray, "n 2"]:
    """Yaw and pitch in degrees of the place each camera looks from; 0, 0 is straight ahead."""
    turns, places = cameras[:, :, :3], cameras[:, :, 3:]
    x, y, z = (-turns.transpose(0, 2, 1) @ places)[..., 0].T
    return np.degrees(np.stack([np.arctan2(x, -z), np.arctan2(y, np.hypot(x, z))], 1))
