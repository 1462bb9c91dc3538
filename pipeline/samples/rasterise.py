"""A z-buffer for textured triangles, compiled; small enough for thousands of frames a minute."""

from typing import no_type_check

import numpy as np
from numba import njit

# Callers pass contiguous float32/int32/uint8 arrays; numba compiles for exactly these, and
# no_type_check keeps the test run's shape checks out of compiled code.


@njit(cache=True, nogil=True)
@no_type_check
def rasterise(
    screen: np.ndarray,
    uv: np.ndarray,
    shade: np.ndarray,
    triangles: np.ndarray,
    nearness: np.ndarray,
    attributes: np.ndarray,
) -> None:
    """Write u, v, shade of the nearest surface into `attributes` [h, w, 3].

    screen [n, 3]: pixel x, pixel y, 1/z (larger is nearer). `nearness` [h, w] starts at 0 =
    nothing. Pixel centres are at half-integers. Attributes are affine inside a triangle.
    """
    height, width = nearness.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1]
        cx, cy = screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x0 = max(int(np.floor(min(ax, bx, cx) - 0.5)), 0)
        x1 = min(int(np.ceil(max(ax, bx, cx) - 0.5)), width - 1)
        y0 = max(int(np.floor(min(ay, by, cy) - 0.5)), 0)
        y1 = min(int(np.ceil(max(ay, by, cy) - 0.5)), height - 1)
        inverse = np.float32(1.0) / area
        for y in range(y0, y1 + 1):
            py = np.float32(y + 0.5)
            for x in range(x0, x1 + 1):
                px = np.float32(x + 0.5)
                wb = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) * inverse
                wc = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) * inverse
                wa = np.float32(1.0) - wb - wc
                if wa < -1e-5 or wb < -1e-5 or wc < -1e-5:
                    continue
                near = wa * screen[a, 2] + wb * screen[b, 2] + wc * screen[c, 2]
                if near > nearness[y, x]:
                    nearness[y, x] = near
                    attributes[y, x, 0] = wa * uv[a, 0] + wb * uv[b, 0] + wc * uv[c, 0]
                    attributes[y, x, 1] = wa * uv[a, 1] + wb * uv[b, 1] + wc * uv[c, 1]
                    attributes[y, x, 2] = wa * shade[a] + wb * shade[b] + wc * shade[c]


@njit(cache=True, nogil=True)
@no_type_check
def shade_over(
    nearness: np.ndarray,
    attributes: np.ndarray,
    atlas: np.ndarray,
    plate: np.ndarray,
    out: np.ndarray,
) -> None:
    """Sample the RGBA `atlas` bilinearly and lay it over `plate` [h, w, 3] into `out`."""
    height, width = nearness.shape
    rows, columns = atlas.shape[0], atlas.shape[1]
    for y in range(height):
        for x in range(width):
            if nearness[y, x] == 0:
                for k in range(3):
                    out[y, x, k] = plate[y, x, k]
                continue
            u = min(max(attributes[y, x, 0] - np.float32(0.5), 0.0), columns - 1.001)
            v = min(max(attributes[y, x, 1] - np.float32(0.5), 0.0), rows - 1.001)
            i, j = int(v), int(u)
            fv, fu = np.float32(v - i), np.float32(u - j)
            w00 = (1 - fv) * (1 - fu)
            w01 = (1 - fv) * fu
            w10 = fv * (1 - fu)
            w11 = fv * fu
            alpha = (
                w00 * atlas[i, j, 3]
                + w01 * atlas[i, j + 1, 3]
                + w10 * atlas[i + 1, j, 3]
                + w11 * atlas[i + 1, j + 1, 3]
            ) / np.float32(255.0)
            for k in range(3):
                value = (
                    w00 * atlas[i, j, k]
                    + w01 * atlas[i, j + 1, k]
                    + w10 * atlas[i + 1, j, k]
                    + w11 * atlas[i + 1, j + 1, k]
                )
                lit = min(value * attributes[y, x, 2], np.float32(255.0))
                out[y, x, k] = plate[y, x, k] + alpha * (lit - plate[y, x, k])
