"""Rigid alignment of landmarks: orthographic in closed form, then perspective by Gauss-Newton.

A pose maps head coordinates X to the camera: x = R X + t, OpenCV axes (x right, y down, z forward).
All frames of a clip are solved at once, as batches of 6x6 systems.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float64
from scipy.linalg import solveh_banded


def similarity(
    points: Float64[np.ndarray, "frames points 3"], shape: Float64[np.ndarray, "points 3"]
) -> tuple[
    Float64[np.ndarray, " frames"],
    Float64[np.ndarray, "frames 3 3"],
    Float64[np.ndarray, "frames 3"],
]:
    """Scale s, rotation R and shift t that bring `shape` nearest to each frame: s R X + t.

    Least squares in closed form (Umeyama, PAMI 1991, eqs. 40-42).
    """
    centre, origin = points.mean(axis=1), shape.mean(axis=0)
    spread = shape - origin
    u, d, vt = np.linalg.svd(np.einsum("npi,pj->nij", points - centre[:, None], spread))
    sign = np.sign(np.linalg.det(u @ vt))
    u[:, :, 2] *= sign[:, None]
    d[:, 2] *= sign
    rotation = u @ vt
    scale = d.sum(axis=1) / (spread**2).sum()
    return scale, rotation, centre - scale[:, None] * (rotation @ origin)


def perspective(
    points: Float64[np.ndarray, "frames points 2"],
    shape: Float64[np.ndarray, "points 3"],
    start: tuple[
        Float64[np.ndarray, " frames"],
        Float64[np.ndarray, "frames 3 3"],
        Float64[np.ndarray, "frames 3"],
    ],
    focal: float,
    principal: float,
    prior: float,
    steps: int = 8,
) -> tuple[Float64[np.ndarray, "frames 3 3"], Float64[np.ndarray, "frames 3"]]:
    """Poses whose pinhole projection lies nearest to the points.

    Minimises sum |f x/z + c - u|^2 / points + prior |log(R R0^T)|^2 (pixels^2, radians^2) by
    Gauss-Newton from the orthographic solution (R0). At long focal lengths a picture says little
    about small turns; the prior keeps there what the landmarks' depths say.

    Args:
        points: crop pixels.
        shape: the same landmarks in head coordinates.
        start: what `similarity` gave.
        focal: pixels.
        principal: pixel coordinate of the optical axis, both directions.
        prior: pixels^2 per radian^2.
        steps: iterations.
    """
    scale, rotation, shift = start
    first = rotation.copy()
    depth = focal / scale
    centre = np.concatenate([(shift[:, :2] - principal) / scale[:, None], depth[:, None]], axis=1)
    count = points.shape[1]
    for _ in range(steps):
        turned = np.einsum("nij,pj->npi", rotation, shape)
        x, y, z = np.moveaxis(turned + centre[:, None], -1, 0)
        residual = np.stack([x, y], -1) * (focal / z)[..., None] + principal - points
        # d(u, v)/d(camera point), then camera point by a left turn w and a shift: dX = w x RX + dt
        zero = np.zeros_like(z)
        du = np.stack([focal / z, zero, -focal * x / z**2], -1)
        dv = np.stack([zero, focal / z, -focal * y / z**2], -1)
        jacobian = np.stack([du, dv], axis=2)
        by_turn = np.cross(turned[:, :, None], jacobian)
        full = np.concatenate([by_turn, jacobian], axis=-1)
        normal = np.einsum("npki,npkj->nij", full, full) / count
        gradient = np.einsum("npki,npk->ni", full, residual) / count
        off = log_rotation(rotation @ first.transpose(0, 2, 1))
        normal[:, range(3), range(3)] += prior
        gradient[:, :3] += prior * off
        step = np.linalg.solve(normal, -gradient[..., None])[..., 0]
        rotation = exp_rotation(step[:, :3]) @ rotation
        centre = centre + step[:, 3:]
    return rotation, centre


def own_shape(
    points: Float64[np.ndarray, "frames points 2"],
    shape: Float64[np.ndarray, "points 3"],
    pose: tuple[Float64[np.ndarray, "frames 3 3"], Float64[np.ndarray, "frames 3"]],
    focal: float,
    principal: float,
) -> Float64[np.ndarray, "points 3"]:
    """The person's own rigid points: the median over frames of what the poses leave over.

    Residuals are taken back to the depth of their point and into head axes; the result is laid over
    `shape` again (Umeyama), so that head axes, origin and scale stay those of the template.
    """
    rotation, centre = pose
    camera = np.einsum("nij,pj->npi", rotation, shape) + centre[:, None]
    depth = camera[..., 2:]
    seen = np.concatenate([(points - principal) / focal * depth, depth], axis=-1)
    moved = shape + np.median(np.einsum("nji,npj->npi", rotation, seen - camera), axis=0)
    scale, turn, shift = similarity(moved[None], shape)
    return (moved - shift[0]) @ turn[0] / scale[0]


def project(
    shape: Float64[np.ndarray, "points 3"],
    rotation: Float64[np.ndarray, "frames 3 3"],
    centre: Float64[np.ndarray, "frames 3"],
    focal: float,
    principal: float,
) -> Float64[np.ndarray, "frames points 2"]:
    """Pinhole pixels of a shape under each pose."""
    camera = np.einsum("nij,pj->npi", rotation, shape) + centre[:, None]
    return camera[..., :2] / camera[..., 2:] * focal + principal


def smooth(
    series: Float64[np.ndarray, "frames channels"],
    seen: Bool[np.ndarray, " frames"],
    cutoff: float,
    rate: float,
) -> Float64[np.ndarray, "frames channels"]:
    """Low-pass without lag: minimises sum_seen |y - x|^2 + w sum |second difference of y|^2.

    The filter is symmetric in time (Whittaker 1923; Eilers, Anal. Chem. 2003). Constant speed
    passes unchanged, also at both ends; frames that were not seen are bridged.

    Args:
        series: values; those of unseen frames are ignored.
        seen: which frames were measured.
        cutoff: Hz, the frequency of which half the amplitude passes; 0 changes nothing.
        rate: frames per second.
    """
    frames = len(series)
    if cutoff <= 0 or frames < 3 or seen.sum() < 3:
        return series
    weight = 1 / (2 - 2 * np.cos(2 * np.pi * min(cutoff, rate / 2) / rate)) ** 2
    second = np.array([1.0, -2.0, 1.0])
    band = np.zeros((3, frames))
    band[2] = seen
    for apart in range(3):
        for row in range(3 - apart):
            # the difference at i touches frames i, i + 1, i + 2: each pair of them once
            entry = weight * second[row] * second[row + apart]
            band[2 - apart, row + apart : row + apart + frames - 2] += entry
    return solveh_banded(band, np.where(seen[:, None], series, 0.0))


def exp_rotation(turns: Float64[np.ndarray, "frames 3"]) -> Float64[np.ndarray, "frames 3 3"]:
    """Rotation matrices of rotation vectors (Rodrigues)."""
    angle = np.linalg.norm(turns, axis=-1)[:, None, None]
    x, y, z = turns.T
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    small = np.where(angle < 1e-8, 1.0, angle)
    first = np.where(angle < 1e-8, 1.0, np.sin(angle) / small)
    second = np.where(angle < 1e-8, 0.5, (1 - np.cos(angle)) / small**2)
    return np.eye(3) + first * skew + second * (skew @ skew)


def log_rotation(rotations: Float64[np.ndarray, "frames 3 3"]) -> Float64[np.ndarray, "frames 3"]:
    """Rotation vectors of rotation matrices."""
    return np.array([cv2.Rodrigues(matrix)[0][:, 0] for matrix in rotations]).reshape(-1, 3)
