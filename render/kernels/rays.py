"""Whole rays: march, evaluate, composite; with gradients (training) or in waves (rendering)."""

from typing import no_type_check

import numpy as np

from render.kernels.field_tile import (
    FieldArrays,
    Sheet,
    Tile,
    backward_expression,
    backward_nets,
    colour,
    deform,
    density,
    density_net,
    tile_of,
)
from render.kernels.hash_tile import encode_grad_level, encode_level
from render.kernels.jit import kernel
from render.kernels.mlp_tile import exponential
from render.kernels.ray_tile import composite, composite_grad, distortion, enter_box, march


@kernel
@no_type_check
def _place(tile: Tile, o: np.ndarray, d: np.ndarray, ray: int, begin: int, end: int) -> None:
    for p in range(begin, end):
        t = tile.ts[p]
        for a in range(3):
            v = o[a] + t * d[a]
            v = v if v > 0.0 else np.float32(0.0)
            tile.x[a, p] = v if v < 1.0 else np.float32(1.0)
        tile.ray[p] = ray


@kernel
@no_type_check
def _opacities(tile: Tile, n: int) -> None:
    for p in range(n):
        tile.passed[p] = -tile.optical[p]
    exponential(tile.passed, n)


@kernel
@no_type_check
def _see(tile: Tile, begin: int, end: int, seen: np.ndarray) -> None:
    res = np.float32(seen.shape[0])
    top = seen.shape[0] - 1
    for p in range(begin, end):
        a = min(np.int32(tile.x[0, p] * res), top)
        b = min(np.int32(tile.x[1, p] * res), top)
        c = min(np.int32(tile.x[2, p] * res), top)
        seen[c, b, a] = max(seen[c, b, a], tile.weights[p])


@kernel
@no_type_check
def _lay_out(
    r: int,
    hi: int,
    origins: np.ndarray,
    directions: np.ndarray,
    jitter: np.ndarray,
    occupied: np.ndarray,
    step: float,
    max_samples: int,
    scratch: Tile,
    sheet: Sheet,
) -> tuple[int, int]:
    """Fill the sheet's tiles with samples of rays r..hi; returns the next ray, and the tiles."""
    capacity = sheet.ts.shape[1]
    tiles = 0
    while r < hi and tiles < len(sheet.points):
        tile = tile_of(sheet, scratch, tiles)
        first_ray = sheet.first[tiles]
        # A typed zero: numba would compile everything below once more for the literal 0.
        n = np.int64(0)
        begin = r
        rays = 0
        while r < hi and rays < capacity:
            room = min(max_samples, capacity - n)
            near, far = enter_box(origins[r], directions[r])
            count = 0
            t = near + jitter[r] * np.float32(step)
            if near < far:
                count, t = march(
                    origins[r], directions[r], t, far, step, occupied, tile.ts, n, room
                )
            # A ray cut short by the tile's end waits for the next tile.
            if room < max_samples and count == room and n > 0:
                break
            first_ray[rays] = n
            _place(tile, origins[r], directions[r], np.int64(r), n, n + count)
            n += count
            rays += 1
            r += 1
        first_ray[rays] = n
        sheet.points[tiles] = n
        sheet.rays[tiles, 0] = rays
        sheet.rays[tiles, 1] = begin
        tiles += 1
    return r, tiles


@kernel
@no_type_check
def train_rays(
    lo: int,
    hi: int,
    origins: np.ndarray,
    directions: np.ndarray,
    harmonics: np.ndarray,
    alpha: np.ndarray,
    target: np.ndarray,
    matte: np.ndarray,
    background: np.ndarray,
    importance: np.ndarray,
    jitter: np.ndarray,
    frame: np.ndarray,
    occupied: np.ndarray,
    step: float,
    max_samples: int,
    opacity_weight: float,
    distortion_weight: float,
    field: FieldArrays,
    transposed: tuple[np.ndarray, ...],
    scratch: Tile,
    sheet: Sheet,
    d_table: np.ndarray,
    d_grid: np.ndarray,
    d_weights: tuple[np.ndarray, ...],
    d_codes: np.ndarray,
    seen: np.ndarray,
    stats: np.ndarray,
) -> None:
    """Loss and its gradients of rays lo..hi; stats += (loss, squared error, samples, rays hit).

    loss = sum_r importance_r (|C_r - C*_r|^2 / 3 + opacity_weight (A_r - matte_r)^2 +
    distortion_weight D_r), where C* is the target over the ray's background and D the distortion.
    Rays come in box coordinates (unit cube), jitter in [0, 1). seen [z, y, x], of the shape of
    `occupied`, keeps the largest weight of a sample in each cell. The last columns of harmonics are
    the frame's appearance code; d_codes [frames, appearance] takes its gradient (no columns: none).

    A sheet of tiles at a time; the hash grid level by level over the whole sheet, because one
    level's entries fit the second-level cache and all levels' do not.
    """
    levels = field.geometry.shape[0]
    moved = field.res > 0
    r = np.int64(lo)
    while r < hi:
        r, tiles = _lay_out(
            r, hi, origins, directions, jitter, occupied, step, max_samples, scratch, sheet
        )
        for t in range(tiles):
            deform(field, tile_of(sheet, scratch, t), alpha, sheet.points[t])
        for level in range(levels):
            for t in range(tiles):
                encode_level(
                    level,
                    sheet.canonical[t],
                    field.table,
                    field.geometry,
                    field.scales,
                    sheet.points[t],
                    scratch.corners,
                    scratch.fraction,
                    sheet.inputs[t],
                )
        for t in range(tiles):
            n = sheet.points[t]
            tile = tile_of(sheet, scratch, t)
            if n > 0:
                density_net(field, tile, step, n)
                colour(field, tile, harmonics, n)
                _opacities(tile, n)
            _compare(
                tile,
                sheet.first[t],
                sheet.rays[t, 0],
                sheet.rays[t, 1],
                len(field.weights),
                target,
                matte,
                background,
                importance,
                step,
                opacity_weight,
                distortion_weight,
                seen,
                stats,
            )
            if n > 0:
                backward_nets(field, tile, transposed, d_weights, d_codes.shape[1] > 0, n)
                _add_codes(field, tile, harmonics.shape[1], frame, d_codes, n)
            if moved:
                tile.d_canonical[:, :n] = 0.0
        for level in range(levels):
            for t in range(tiles):
                encode_grad_level(
                    level,
                    sheet.canonical[t],
                    sheet.d_inputs[t],
                    field.table,
                    field.geometry,
                    field.scales,
                    sheet.points[t],
                    scratch.corners,
                    scratch.fraction,
                    d_table,
                    sheet.d_canonical[t],
                    moved,
                )
        if moved:
            for t in range(tiles):
                tile = tile_of(sheet, scratch, t)
                backward_expression(field, tile, alpha, d_grid, sheet.points[t])


@kernel
@no_type_check
def _compare(
    tile: Tile,
    first_ray: np.ndarray,
    rays: int,
    begin: int,
    last: int,
    target: np.ndarray,
    matte: np.ndarray,
    background: np.ndarray,
    importance: np.ndarray,
    step: float,
    opacity_weight: float,
    distortion_weight: float,
    seen: np.ndarray,
    stats: np.ndarray,
) -> None:
    """Composite a tile's rays, hold them against the truth, and leave the gradients of σ δ and of
    the colours in the tile."""
    d_out = np.empty(4, np.float32)
    out = np.empty(4, np.float32)
    colours = tile.inputs[last]
    d_colours = tile.d_inputs[last]
    for q in range(rays):
        ray = begin + q
        p0, p1 = first_ray[q], first_ray[q + 1]
        out[:] = 0.0
        composite(tile.passed, colours, p0, p1, tile.weights, tile.through, np.float32(1.0), out)
        _see(tile, p0, p1, seen)
        weight = importance[ray]
        m = matte[ray]
        error_a = out[3] - m
        squared = np.float32(0.0)
        d_out[3] = np.float32(2.0) * weight * opacity_weight * error_a
        for c in range(3):
            bg = background[ray, c]
            wanted = m * target[ray, c] + (np.float32(1.0) - m) * bg
            e = out[c] + (np.float32(1.0) - out[3]) * bg - wanted
            squared += e * e
            d_out[c] = np.float32(2.0 / 3.0) * weight * e
            d_out[3] -= d_out[c] * bg
        spread = distortion(tile.ts, tile.weights, p0, p1, np.float32(step), tile.d_weights)
        scale = weight * distortion_weight
        for p in range(p0, p1):
            tile.d_weights[p] *= scale
        stats[0] += scale * spread
        stats[0] += weight * (squared / 3.0 + opacity_weight * error_a * error_a)
        stats[1] += squared / 3.0
        stats[2] += p1 - p0
        stats[3] += 1.0 if p1 > p0 else 0.0
        composite_grad(
            d_out,
            tile.d_weights,
            colours,
            tile.weights,
            tile.through,
            p0,
            p1,
            tile.d_optical,
            d_colours,
        )


@kernel
@no_type_check
def _add_codes(
    field: FieldArrays, tile: Tile, inputs: int, frame: np.ndarray, d_codes: np.ndarray, n: int
) -> None:
    """The colour net's input gradients, after `backward`, summed into the code of each's frame."""
    d_middle = tile.d_inputs[field.n_density]
    begin = field.weights[field.n_density - 1].shape[0] + inputs - d_codes.shape[1]
    for k in range(d_codes.shape[1]):
        for p in range(n):
            d_codes[frame[tile.ray[p]], k] += d_middle[begin + k, p]


@kernel
@no_type_check
def render_rays(
    lo: int,
    hi: int,
    origins: np.ndarray,
    directions: np.ndarray,
    harmonics: np.ndarray,
    alpha: np.ndarray,
    occupied: np.ndarray,
    step: float,
    wave: int,
    stop: float,
    field: FieldArrays,
    tile: Tile,
    out: np.ndarray,
    stats: np.ndarray,
) -> None:
    """Colour (not yet over a background) and opacity of rays lo..hi into out [rays, 4].

    Rays advance together, `wave` samples at a time; a ray whose transmittance falls below `stop` is
    dropped before it costs more. stats += (0, 0, samples, rays hit).
    """
    last = len(field.weights)
    capacity = tile.ts.shape[0]
    group = capacity // wave
    live = np.empty(group, np.int32)
    first = np.empty(group + 1, np.int32)
    at = np.empty(group, np.float32)
    far = np.empty(group, np.float32)
    left = np.empty(group, np.float32)
    for block in range(lo, hi, group):
        n_live = 0
        for r in range(block, min(block + group, hi)):
            out[r, :] = 0.0
            t0, t1 = enter_box(origins[r], directions[r])
            if t0 < t1:
                live[n_live] = r
                at[n_live] = t0 + np.float32(0.5 * step)
                far[n_live] = t1
                left[n_live] = 1.0
                n_live += 1
                stats[3] += 1.0
        while n_live > 0:
            n = np.int64(0)
            share = capacity // n_live
            share = min(share, 4 * wave)
            for q in range(n_live):
                r = np.int64(live[q])
                first[q] = n
                count, at[q] = march(
                    origins[r], directions[r], at[q], far[q], step, occupied, tile.ts, n, share
                )
                _place(tile, origins[r], directions[r], np.int64(r), n, n + count)
                n += count
            first[n_live] = n
            stats[2] += n
            if n > 0:
                density(field, tile, alpha, step, n)
                colour(field, tile, harmonics, n)
                _opacities(tile, n)
            kept = 0
            for q in range(n_live):
                r = live[q]
                t = composite(
                    tile.passed,
                    tile.inputs[last],
                    first[q],
                    first[q + 1],
                    tile.weights,
                    tile.through,
                    left[q],
                    out[r],
                )
                if t > stop and at[q] < far[q]:
                    live[kept] = r
                    at[kept] = at[q]
                    far[kept] = far[q]
                    left[kept] = t
                    kept += 1
            n_live = kept


@kernel
@no_type_check
def density_at(
    lo: int,
    hi: int,
    points: np.ndarray,
    alpha: np.ndarray,
    field: FieldArrays,
    tile: Tile,
    out: np.ndarray,
) -> None:
    """σ per box side at points lo..hi [N, 3]; alpha [N, K] belongs to each point."""
    capacity = tile.ts.shape[0]
    for block in range(lo, hi, capacity):
        n = min(capacity, hi - block)
        for p in range(n):
            for a in range(3):
                tile.x[a, p] = points[block + p, a]
            tile.ray[p] = block + p
        density(field, tile, alpha, np.float32(1.0), n)
        for p in range(n):
            out[block + p] = tile.optical[p]
