"""The field, compiled for the CPU: one pass over rays does encoding, nets, rendering and gradients.

It works on one flat float32 vector; the PyTorch field's parameters become views of it, so both see
the same values. Measured against the PyTorch path in benchmarks/render_cpu.py.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from render.errors import BackendError
from render.expression_grid import DISPLACEMENT_SCALE
from render.field import N_DENSITY, Field
from render.kernels.adam import adam
from render.kernels.field_tile import FieldArrays, Sheet, Tile
from render.kernels.rays import density_at, render_rays, train_rays
from render.threads import default_threads, run_slices

TILE = 256
"""Points of a tile."""
_TILES = 48
"""Tiles of a sheet: the points whose hash features are computed level by level (5 MB a thread)."""
_WIDTH = TILE + 16
"""Columns of its buffers: rows a power of two apart would crowd into few sets of the cache."""


@dataclass(frozen=True)
class RayBatch:
    """Rays in box coordinates with what training wants of them."""

    origins: Float[np.ndarray, "rays 3"]
    directions: Float[np.ndarray, "rays 3"]
    harmonics: Float[np.ndarray, "rays sh"]
    alpha: Float[np.ndarray, "rays k"]
    target: Float[np.ndarray, "rays 3"]
    matte: Float[np.ndarray, " rays"]
    background: Float[np.ndarray, "rays 3"]
    importance: Float[np.ndarray, " rays"]
    jitter: Float[np.ndarray, " rays"]
    frame: Int[np.ndarray, " rays"] | None = None
    """Training frame of each ray: whose appearance code it reads. None: the first's."""


@dataclass
class StepReport:
    """Sums over the rays of a step."""

    loss: float
    squared_error: float
    samples: int
    rays_hit: int
    dropped: int = 0
    """Samples there was no room for (a captured graph's room is fixed)."""

    def plus(self, other: "StepReport") -> "StepReport":
        """Both together."""
        return StepReport(
            self.loss + other.loss,
            self.squared_error + other.squared_error,
            self.samples + other.samples,
            self.rays_hit + other.rays_hit,
            self.dropped + other.dropped,
        )


class FusedField:
    """A `Field` on the CPU with compiled forward and backward passes."""

    def __init__(self, field: Field, threads: int | None = None) -> None:
        """Take over the field's parameters (their storage moves into `theta`)."""
        parameters = list(field.parameters())
        if any(p.device.type != "cpu" or p.dtype != torch.float32 for p in parameters):
            raise BackendError(
                "fused field: parameters must be float32 on the CPU, got "
                f"{parameters[0].dtype} on {parameters[0].device}; use the PyTorch field there"
            )
        self.field = field
        self.threads = threads or default_threads()
        self.theta = np.concatenate([p.detach().numpy().reshape(-1) for p in parameters])
        at = 0
        self.segments: dict[str, tuple[int, int]] = {}
        for name, p in field.named_parameters():
            shape = p.shape
            self.segments[name] = (at, at + p.numel())
            p.data = torch.from_numpy(self.theta[at : at + p.numel()]).view(shape)
            at += p.numel()
        self._tiles = [make_tile(field) for _ in range(self.threads)]
        self._sheets: list[Sheet] = []
        self._grads: np.ndarray | None = None

    def compile(self) -> None:
        """Compile (or load from the cache) every kernel, so that no time budget pays for it."""
        config = self.field.config
        rays = 2
        zeros = {
            name: np.zeros((rays, width), np.float32)
            for name, width in (("rgb", 3), ("sh", config.sh_degree**2), ("k", config.coefficients))
        }
        origins, directions = zeros["rgb"] + np.float32(0.5), zeros["rgb"].copy()
        directions[:, 2] = 1
        flat = np.zeros(rays, np.float32)
        rgb, sh, k = zeros["rgb"], zeros["sh"], zeros["k"]
        batch = RayBatch(origins, directions, sh, k, rgb, flat, rgb, flat, flat)
        full = np.ones((2, 2, 2), bool)
        self.train(batch, full, 0.5, 4, 0.1)
        self.gradients()[:] = 0
        self.render(origins, directions, sh, k, full, 0.5)
        scratch = np.zeros(4, np.float32)
        adam(
            0,
            4,
            scratch,
            np.zeros((self.threads, 4), np.float32),
            scratch.copy(),
            scratch.copy(),
            scratch.copy(),
            0.0,
            0.9,
            0.99,
            1.0,
            1.0,
            1e-15,
            0.0,
            0.9,
            False,
        )

    def arrays(self, theta: Float[np.ndarray, " n"] | None = None) -> FieldArrays:
        """The kernels' view of theta (or of another vector of its shape)."""
        theta = self.theta if theta is None else theta
        config = self.field.config
        table, grid, weights = self._split(theta)
        geometry = self.field.grid.geometry
        return FieldArrays(
            table,
            geometry.packed(),
            geometry.scales,
            grid,
            config.expression_resolution,
            DISPLACEMENT_SCALE,
            weights,
            config.reads_alpha,
            N_DENSITY,
            config.density_bias,
        )

    def gradients(self) -> Float[np.ndarray, "threads n"]:
        """Each thread's gradient of theta, added to by `train` and zeroed by the optimiser."""
        if self._grads is None:
            self._grads = np.zeros((self.threads, len(self.theta)), np.float32)
        return self._grads

    def train(
        self,
        batch: RayBatch,
        occupied: Bool[np.ndarray, "z y x"],
        step: float,
        max_samples: int,
        opacity_weight: float,
        distortion_weight: float = 0.0,
        seen: Float[np.ndarray, "threads z y x"] | None = None,
        mean_appearance: bool = False,
    ) -> StepReport:
        """Add the gradients of the batch's loss (see kernels.rays.train_rays).

        seen: if given, keeps the largest sample weight of each cell, one grid a thread.
        mean_appearance: all rays wear the mean code, as in rendering, and no code learns.
        """
        if seen is None:
            seen = np.zeros((self.threads, *occupied.shape), np.float32)
        if not self._sheets:
            self._sheets = [make_sheet(self.field) for _ in range(self.threads)]
        arrays = self.arrays()
        transposed = tuple(np.ascontiguousarray(w.T) for w in arrays.weights)
        stats = np.zeros((self.threads, 4), np.float64)
        grads = [self._split(g) for g in self.gradients()]
        n = len(batch.origins)
        codes = self._codes(self.theta)
        d_codes = [self._codes(g) for g in self.gradients()]
        frame = np.zeros(n, np.int64) if batch.frame is None else batch.frame
        harmonics = batch.harmonics
        if codes.size and mean_appearance:
            d_codes = [g[:, :0] for g in d_codes]
            harmonics = _beside(harmonics, codes.mean(0)[None].repeat(n, 0))
        elif codes.size:
            harmonics = _beside(harmonics, codes[frame])

        def work(thread: int, lo: int, hi: int) -> None:
            d_table, d_grid, d_weights = grads[thread]
            train_rays(
                lo,
                hi,
                batch.origins,
                batch.directions,
                harmonics,
                batch.alpha,
                batch.target,
                batch.matte,
                batch.background,
                batch.importance,
                batch.jitter,
                frame,
                occupied,
                np.float32(step),
                max_samples,
                np.float32(opacity_weight),
                np.float32(distortion_weight),
                arrays,
                transposed,
                self._tiles[thread],
                self._sheets[thread],
                d_table,
                d_grid,
                d_weights,
                d_codes[thread],
                seen[thread],
                stats[thread],
            )

        run_slices(work, len(batch.origins), self.threads)
        total = stats.sum(0)
        return StepReport(float(total[0]), float(total[1]), int(total[2]), int(total[3]))

    def render(
        self,
        origins: Float[np.ndarray, "rays 3"],
        directions: Float[np.ndarray, "rays 3"],
        harmonics: Float[np.ndarray, "rays sh"],
        alpha: Float[np.ndarray, "rays k"],
        occupied: Bool[np.ndarray, "z y x"],
        step: float,
        theta: Float[np.ndarray, " n"] | None = None,
        wave: int = 4,
        stop: float = 1e-3,
    ) -> tuple[Float[np.ndarray, "rays 4"], int]:
        """Colour over black and opacity of each ray, and how many samples that took."""
        arrays = self.arrays(theta)
        codes = self._codes(self.theta if theta is None else theta)
        if codes.size:
            harmonics = _beside(harmonics, codes.mean(0)[None].repeat(len(origins), 0))
        out = np.zeros((len(origins), 4), np.float32)
        # Many more stretches than threads would balance better; rays are interleaved by the caller.
        stats = np.zeros((self.threads, 4), np.float64)

        def work(thread: int, lo: int, hi: int) -> None:
            render_rays(
                lo,
                hi,
                origins,
                directions,
                harmonics,
                alpha,
                occupied,
                np.float32(step),
                wave,
                np.float32(stop),
                arrays,
                self._tiles[thread],
                out,
                stats[thread],
            )

        run_slices(work, len(origins), self.threads)
        return out, int(stats[:, 2].sum())

    def density(
        self, points: Float[np.ndarray, "points 3"], alpha: Float[np.ndarray, "points k"]
    ) -> Float[np.ndarray, " points"]:
        """σ per box side."""
        arrays = self.arrays()
        out = np.zeros(len(points), np.float32)

        def work(thread: int, lo: int, hi: int) -> None:
            density_at(lo, hi, points, alpha, arrays, self._tiles[thread], out)

        run_slices(work, len(points), self.threads)
        return out

    def _codes(self, vector: np.ndarray) -> np.ndarray:
        """Appearance codes [frames, appearance] in a vector; [1, 0] where the field has none."""
        if self.field.codes is None:
            return vector[:0].reshape(1, 0)
        lo, hi = self.segments["codes"]
        return vector[lo:hi].reshape(self.field.codes.shape)

    def _split(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        config = self.field.config
        lo, hi = self.segments["grid.params"]
        table = vector[lo:hi].reshape(-1, config.grid.features)
        grid = np.zeros((0, config.coefficients), np.float32)
        if self.field.expression is not None:
            lo, hi = self.segments["expression.values"]
            grid = vector[lo:hi].reshape(config.expression_resolution**3, -1)
        weights = []
        for m, shape in enumerate(config.widths()):
            lo, hi = self.segments[f"matrices.{m}"]
            weights.append(vector[lo:hi].reshape(shape))
        return table, grid, tuple(weights)


def _beside(harmonics: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.concatenate([harmonics, codes], 1)


def make_tile(field: Field) -> Tile:
    """Scratch memory of one thread."""
    config = field.config
    channels = 3 + config.ambient if config.expression_resolution else 3
    f4 = np.float32
    widths = [width for _, width in config.widths()] + [4]
    return Tile(
        x=np.zeros((3, _WIDTH), f4),
        canonical=np.zeros((3, _WIDTH), f4),
        d_canonical=np.zeros((3, _WIDTH), f4),
        ray=np.zeros(_WIDTH, np.int32),
        ts=np.zeros(TILE, f4),
        corners=np.zeros((8, _WIDTH), np.int32),
        fraction=np.zeros((3, _WIDTH), f4),
        expression=np.zeros((channels, _WIDTH), f4),
        d_expression=np.zeros((channels, _WIDTH), f4),
        row=np.zeros(channels * config.coefficients, f4),
        inputs=tuple(np.zeros((w, _WIDTH), f4) for w in widths),
        d_inputs=tuple(np.zeros((w, _WIDTH), f4) for w in widths),
        optical=np.zeros(TILE, f4),
        passed=np.zeros(TILE, f4),
        weights=np.zeros(TILE, f4),
        d_weights=np.zeros(TILE, f4),
        through=np.zeros(TILE, f4),
        d_optical=np.zeros(TILE, f4),
    )


def make_sheet(field: Field) -> Sheet:
    """What one thread keeps between the passes of a training step."""
    f4 = np.float32
    places = (_TILES, 3, _WIDTH)
    inputs = (_TILES, field.config.widths()[0][1], _WIDTH)
    return Sheet(
        x=np.zeros(places, f4),
        canonical=np.zeros(places, f4),
        d_canonical=np.zeros(places, f4),
        ray=np.zeros((_TILES, _WIDTH), np.int32),
        ts=np.zeros((_TILES, TILE), f4),
        inputs=np.zeros(inputs, f4),
        d_inputs=np.zeros(inputs, f4),
        points=np.zeros(_TILES, np.int64),
        rays=np.zeros((_TILES, 2), np.int64),
        first=np.zeros((_TILES, TILE + 1), np.int32),
    )


def optimise(
    fused: FusedField,
    first: np.ndarray,
    second: np.ndarray,
    ema: np.ndarray,
    rates: dict[str, float],
    t: int,
    *,
    decays: dict[str, float] | None = None,
    ema_decay: float = 0.99,
    beta1: float = 0.9,
    beta2: float = 0.99,
    epsilon: float = 1e-15,
) -> None:
    """One Adam step (number t from 1) on every segment, each with its own rate."""
    grads = fused.gradients()
    for name, (begin, end) in fused.segments.items():
        sparse = name == "grid.params"
        decay = (decays or {}).get(name.split(".")[0], 0.0)
        rate = rates[name.split(".")[0]]

        def work(
            _: int,
            lo: int,
            hi: int,
            begin: int = begin,
            rate: float = rate,
            decay: float = decay,
            sparse: bool = sparse,
        ) -> None:
            adam(
                begin + lo,
                begin + hi,
                fused.theta,
                grads,
                first,
                second,
                ema,
                rate,
                beta1,
                beta2,
                1.0 - beta1**t,
                1.0 - beta2**t,
                epsilon,
                decay,
                ema_decay,
                sparse,
            )

        run_slices(work, end - begin, fused.threads if end - begin > 20_000 else 1)
