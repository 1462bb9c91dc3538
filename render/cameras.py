"""Cameras of head-centred frames, and the box the head lives in.

A camera is [R | t], world -> camera, OpenCV axes (x right, y down, z forward): x_cam = R X + t,
pixel = f x / z + S / 2, where pixel i covers [i, i + 1). The world is fixed to the head, so head
motion is camera motion. The field lives in a cube of that world, its box; rays reach it in box
coordinates, where the cube is [0, 1]^3.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from render.errors import HeadDataError

MARGIN = 1.06


@dataclass(frozen=True)
class Box:
    """A cube of the head's world."""

    low: tuple[float, float, float]
    """Corner of the smallest coordinates."""
    side: float
    """Edge length, in the world's unit."""

    def to_box(self, x: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """World to box coordinates."""
        return ((x - np.asarray(self.low)) / self.side).astype(np.float32)

    def to_world(self, x: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Box to world coordinates."""
        return (np.asarray(x, np.float64) * self.side + np.asarray(self.low)).astype(np.float32)


def centre_of(camera: Float[np.ndarray, "3 4"]) -> Float[np.ndarray, " 3"]:
    """Where the camera stands in the world, -R^T t."""
    return -camera[:, :3].T @ camera[:, 3]


def camera_rays(
    camera: Float[np.ndarray, "3 4"],
    focal: float,
    size: int,
    box: Box,
    pixels: Float[np.ndarray, "rays 2"],
) -> tuple[Float[np.ndarray, "rays 3"], Float[np.ndarray, "rays 3"]]:
    """Origins and unit directions, in box coordinates, through pixel positions (x, y).

    focal and pixels are in pixels of an image of `size`; the centre of pixel i is i + 0.5.
    """
    rotation = camera[:, :3].astype(np.float64)
    d = np.concatenate([(pixels - size / 2) / focal, np.ones((len(pixels), 1))], 1) @ rotation
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    origin = box.to_box(centre_of(camera.astype(np.float64)))
    origins = np.broadcast_to(origin, d.shape).astype(np.float32)
    return np.ascontiguousarray(origins), d.astype(np.float32)


def pixel_grid(size: int) -> Float[np.ndarray, "rays 2"]:
    """Centres (x, y) of all pixels, row by row."""
    y, x = np.mgrid[0:size, 0:size]
    return np.stack([x.ravel() + 0.5, y.ravel() + 0.5], 1).astype(np.float32)


def project(
    points: Float[np.ndarray, "points 3"],
    camera: Float[np.ndarray, "3 4"],
    focal: float,
    size: int,
) -> Float[np.ndarray, "points 2"]:
    """Pixel positions (x, y) of world points."""
    x = points @ camera[:, :3].T + camera[:, 3]
    return focal * x[:, :2] / x[:, 2:] + size / 2


def head_box(
    masks: Bool[np.ndarray, "frames h w"], cameras: Float[np.ndarray, "frames 3 4"], focal: float
) -> Box:
    """The cube that holds the head in (nearly) every frame.

    Mask borders are carried back to the depth of the world's origin; the cube spans their 1 % to
    99 % quantiles over frames. A head is not deeper than it is high.

    Raises:
        HeadDataError: no frame has a head pixel.
    """
    corners = []
    size = masks.shape[1]
    for mask, camera in zip(masks, cameras, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows) == 0:
            continue
        edge = np.array(
            [
                [columns[0], rows[0]],
                [columns[-1] + 1, rows[0]],
                [columns[0], rows[-1] + 1],
                [columns[-1] + 1, rows[-1] + 1],
            ],
            np.float64,
        )
        depth = camera[2, 3]
        at = np.concatenate([(edge - size / 2) / focal * depth, np.full((4, 1), depth)], 1)
        world = (at - camera[:, 3]) @ camera[:, :3].astype(np.float64)
        corners.append(np.concatenate([world.min(0), world.max(0)]))
    if not corners:
        raise HeadDataError(
            f"head box: none of {len(masks)} frames has a head pixel; check the parsing labels"
        )
    table = np.array(corners)
    low, high = np.quantile(table[:, :3], 0.01, axis=0), np.quantile(table[:, 3:], 0.99, axis=0)
    side = float(max(high[0] - low[0], high[1] - low[1]) * MARGIN)
    centre = (low + high) / 2
    inward = cameras[:, 2, :3].mean(0)
    inward = inward / np.linalg.norm(inward)
    # Depth is unseen: the cube is centred on the world's origin along the mean viewing direction.
    middle = centre - inward * float(centre @ inward)
    corner = middle - side / 2
    return Box((float(corner[0]), float(corner[1]), float(corner[2])), side)


def visual_hull(
    masks: Bool[np.ndarray, "frames h w"],
    cameras: Float[np.ndarray, "frames 3 4"],
    focal: float,
    box: Box,
    resolution: int,
    *,
    grow: int = 3,
    share: float = 0.9,
) -> Bool[np.ndarray, "z y x"]:
    """Cells that lie inside the head's (grown) silhouette in at least `share` of the frames.

    grow is in pixels. A cell outside the picture counts as inside: nothing is known of it.
    """
    import cv2

    size = masks.shape[1]
    axis = (np.arange(resolution) + 0.5) / resolution
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    points = box.to_world(np.stack([x.ravel(), y.ravel(), z.ravel()], 1).astype(np.float32))
    kernel = np.ones((2 * grow + 1, 2 * grow + 1), np.uint8)
    votes = np.zeros(len(points), np.int32)
    for mask, camera in zip(masks, cameras, strict=True):
        grown = np.asarray(cv2.dilate(mask.astype(np.uint8), kernel)) > 0
        at = np.floor(project(points, camera, focal, size)).astype(np.int64)
        inside = ((at >= 0) & (at < size)).all(1)
        votes += ~inside
        votes[inside] += grown[at[inside, 1], at[inside, 0]]
    return (votes >= share * len(masks)).reshape(resolution, resolution, resolution)
