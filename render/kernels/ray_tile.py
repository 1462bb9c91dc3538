"""Along a ray: marching through occupied cells, and compositing (equations 11 and 12)."""

from typing import no_type_check

import numpy as np

from render.kernels.jit import kernel


@kernel
@no_type_check
def enter_box(o: np.ndarray, d: np.ndarray) -> tuple[float, float]:
    """Distances where the ray enters and leaves the unit cube; far < near if it misses."""
    near = np.float32(0.0)
    far = np.float32(1e9)
    for a in range(3):
        if abs(d[a]) < 1e-9:
            if o[a] < 0.0 or o[a] > 1.0:
                return np.float32(1.0), np.float32(0.0)
        else:
            inverse = np.float32(1.0) / d[a]
            t0 = -o[a] * inverse
            t1 = (np.float32(1.0) - o[a]) * inverse
            near = max(near, min(t0, t1))
            far = min(far, max(t0, t1))
    return near, far


@kernel
@no_type_check
def march(
    o: np.ndarray,
    d: np.ndarray,
    t: float,
    far: float,
    step: float,
    occupied: np.ndarray,
    ts: np.ndarray,
    begin: int,
    room: int,
) -> tuple[int, float]:
    """Write distances of samples in occupied cells to ts[begin:], at most `room` of them.

    Samples stand on the lattice t + i step, so skipping empty cells never moves them. Returns the
    number written and the distance to go on from (>= far where the ray is done).
    """
    res = np.float32(occupied.shape[0])
    top = occupied.shape[0] - 1
    count = 0
    i0 = np.float32(1.0) / d[0] if abs(d[0]) > 1e-9 else np.float32(1e9)
    i1 = np.float32(1.0) / d[1] if abs(d[1]) > 1e-9 else np.float32(1e9)
    i2 = np.float32(1.0) / d[2] if abs(d[2]) > 1e-9 else np.float32(1e9)
    while t < far and count < room:
        x = (o[0] + t * d[0]) * res
        y = (o[1] + t * d[1]) * res
        z = (o[2] + t * d[2]) * res
        a = min(max(np.int32(x), np.int32(0)), np.int32(top))
        b = min(max(np.int32(y), np.int32(0)), np.int32(top))
        c = min(max(np.int32(z), np.int32(0)), np.int32(top))
        if occupied[c, b, a]:
            ts[begin + count] = t
            count += 1
            t += step
        else:
            # Distance to the cell's nearest exit wall, then up to the next lattice point.
            e0 = (np.float32(a) + (np.float32(1.0) if i0 > 0 else np.float32(0.0)) - x) * i0
            e1 = (np.float32(b) + (np.float32(1.0) if i1 > 0 else np.float32(0.0)) - y) * i1
            e2 = (np.float32(c) + (np.float32(1.0) if i2 > 0 else np.float32(0.0)) - z) * i2
            exit_at = max(min(e0, min(e1, e2)), np.float32(0.0)) / res
            t += (np.floor(exit_at / step) + np.float32(1.0)) * step
    return count, t


@kernel
@no_type_check
def composite(
    optical: np.ndarray,
    colour: np.ndarray,
    begin: int,
    end: int,
    weights: np.ndarray,
    through: np.ndarray,
    transmitted: float,
    out: np.ndarray,
) -> float:
    """Add sum_i w_i c_i to out[0:3] and sum_i w_i to out[3]; returns the transmittance behind.

    w_i = T_i (1 - e^{-optical_i}), T_i = exp(-sum_{j<i} optical_j), optical = σ δ. `optical` holds
    e^{-σ δ} on entry (it is exponentiated for a whole tile at once). weights and through (T behind
    each sample) are kept for the gradient.
    """
    for p in range(begin, end):
        behind = transmitted * optical[p]
        w = transmitted - behind
        weights[p] = w
        through[p] = behind
        out[0] += w * colour[0, p]
        out[1] += w * colour[1, p]
        out[2] += w * colour[2, p]
        out[3] += w
        transmitted = behind
    return transmitted


@kernel
@no_type_check
def distortion(
    ts: np.ndarray, weights: np.ndarray, begin: int, end: int, delta: float, grad: np.ndarray
) -> float:
    """How widely a ray's weights are spread, and the gradient of that by each weight.

    sum_ij w_i w_j |t_i - t_j| + 1/3 sum_i w_i^2 δ (Barron et al., Mip-NeRF 360, eq. 15): pulls a
    fog together to a surface. Linear in the samples, by running sums.
    """
    w_all = np.float32(0.0)
    wt_all = np.float32(0.0)
    for p in range(begin, end):
        w_all += weights[p]
        wt_all += weights[p] * ts[p]
    w_before = np.float32(0.0)
    wt_before = np.float32(0.0)
    total = np.float32(0.0)
    for p in range(begin, end):
        w, t = weights[p], ts[p]
        w_after = w_all - w_before - w
        wt_after = wt_all - wt_before - w * t
        spread = t * w_before - wt_before + wt_after - t * w_after
        own = w * delta * np.float32(1.0 / 3.0)
        total += w * (spread + own)
        grad[p] = np.float32(2.0) * (spread + own)
        w_before += w
        wt_before += w * t
    return total


@kernel
@no_type_check
def composite_grad(
    d_out: np.ndarray,
    d_weights: np.ndarray,
    colour: np.ndarray,
    weights: np.ndarray,
    through: np.ndarray,
    begin: int,
    end: int,
    d_optical: np.ndarray,
    d_colour: np.ndarray,
) -> None:
    """Gradients of σ δ and of colours for d_out [4] = d loss / d (rgb, opacity) of the ray.

    d_weights holds what else pulls at each weight. With g_i = d loss / d w_i: d loss / d (σ δ)_i =
    T_{i+1} g_i - sum_{j > i} w_j g_j.
    """
    later = np.float32(0.0)
    for p in range(end - 1, begin - 1, -1):
        g = (
            d_out[0] * colour[0, p]
            + d_out[1] * colour[1, p]
            + d_out[2] * colour[2, p]
            + d_out[3]
            + d_weights[p]
        )
        d_optical[p] = through[p] * g - later
        later += weights[p] * g
        d_colour[0, p] = weights[p] * d_out[0]
        d_colour[1, p] = weights[p] * d_out[1]
        d_colour[2, p] = weights[p] * d_out[2]
