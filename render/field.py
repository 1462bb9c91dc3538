"""The field θ: (α, d, x) -> (c, σ) of equation 11, in portable PyTorch.

x in the head's box ([0, 1]^3), d unit, α whitened. Displacement by the expression grid, hash
features of the displaced point, a density net that also reads α and the ambient features, a colour
net over its geometry features and the spherical harmonics of d. No biases, ReLU between layers
(tiny-cuda-nn's fully fused MLP). `render.fused` runs the same field compiled on the CPU.
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from render.errors import ConfigError
from render.expression_grid import DISPLACEMENT, DISPLACEMENT_SCALE, ExpressionGrid
from render.hash_grid import Backend, HashGrid
from render.hash_grid_config import HashGridConfig
from render.sh import spherical_harmonics

RAW_DENSITY_LIMIT = 15.0


@dataclass(frozen=True)
class FieldConfig:
    """Shape of the field."""

    grid: HashGridConfig = field(
        default_factory=lambda: HashGridConfig(8, 4, 15, base_resolution=16, growth=1.45)
    )
    """The hash grid of canonical positions."""
    coefficients: int = 10
    """K, length of α."""
    expression_resolution: int = 16
    """Vertices per axis of the expression grid; 0 leaves it out (α only enters the density net)."""
    ambient: int = 5
    """Ambient features of the expression grid."""
    direct: bool = False
    """Whether the density net also reads α itself, everywhere alike."""
    geometry: int = 16
    """Outputs of the density net: σ and what the colour net reads."""
    density_width: int = 64
    """Hidden width of the density net (one hidden layer)."""
    colour_width: int = 64
    """Hidden width of the colour net."""
    colour_hidden: int = 1
    """Hidden layers of the colour net."""
    sh_degree: int = 3
    """Spherical harmonics of the direction: degree^2 values."""
    density_bias: float = 2.0
    """σ = exp(raw + this), per box side: a fresh field is a thin fog, not a wall."""
    appearance: int = 0
    """Length of the code of its own that each training frame gives the colour net, for what
    neither pose nor expression explains (light, exposure); rendering uses the mean. 0: none."""
    frames: int = 0
    """Number of codes; training takes it from the data."""

    def __post_init__(self) -> None:
        """Refuse widths the compiled kernels cannot tile."""
        for name in ("geometry", "density_width", "colour_width"):
            value = getattr(self, name)
            if value < 4 or value % 4:
                raise ConfigError(f"field: {name} = {value}, must be a positive multiple of 4")
        if self.colour_hidden < 1 or self.coefficients < 1:
            raise ConfigError(
                f"field: colour_hidden = {self.colour_hidden} and coefficients = "
                f"{self.coefficients} must both be at least 1"
            )
        if self.appearance < 0 or self.frames < 0:
            raise ConfigError(
                f"field: appearance = {self.appearance} and frames = {self.frames} must not be "
                "negative"
            )

    @property
    def density_in(self) -> int:
        """Inputs of the density net before padding: hash, ambient, α."""
        ambient = self.ambient if self.expression_resolution else 0
        direct = self.coefficients if self.reads_alpha else 0
        return self.grid.width + ambient + direct

    @property
    def reads_alpha(self) -> bool:
        """α enters the density net: when asked for, or when no expression grid carries it."""
        return self.direct or not self.expression_resolution

    @property
    def colour_in(self) -> int:
        """Inputs of the colour net before padding: geometry, harmonics, appearance."""
        return self.geometry + self.sh_degree**2 + self.appearance

    def widths(self) -> list[tuple[int, int]]:
        """(out, in) of every matrix, inputs and the last output padded to multiples of four."""
        hidden = [(self.colour_width, self.colour_width)] * (self.colour_hidden - 1)
        return [
            (self.density_width, _padded(self.density_in)),
            (self.geometry, self.density_width),
            (self.colour_width, _padded(self.colour_in)),
            *hidden,
            (4, self.colour_width),
        ]


N_DENSITY = 2
"""Matrices of the density net."""


def _padded(width: int) -> int:
    return (width + 3) // 4 * 4


class Field(nn.Module):
    """Parameters and forward pass; `matrices` holds the layers, density net first."""

    def __init__(self, config: FieldConfig, seed: int = 0, backend: Backend = "auto") -> None:
        """Hash table as tiny-cuda-nn starts it, matrices Kaiming uniform, expression grid zero."""
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        self.grid = HashGrid(config.grid, backend, generator)
        self.expression = (
            ExpressionGrid(config.expression_resolution, config.ambient, config.coefficients)
            if config.expression_resolution
            else None
        )
        self.matrices = nn.ParameterList()
        self.codes = (
            nn.Parameter(torch.zeros(config.frames, config.appearance))
            if config.appearance and config.frames
            else None
        )
        for out, width in config.widths():
            bound = math.sqrt(6.0 / width)
            values = torch.rand(out, width, generator=generator) * 2 - 1
            self.matrices.append(nn.Parameter(values * bound))

    def density(
        self, x: Float[Tensor, "points 3"], alpha: Float[Tensor, "points k"]
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points geometry"]]:
        """σ per box side, and geometry features."""
        parts = []
        if self.expression is not None:
            moved = self.expression(x, alpha)
            x = (x + DISPLACEMENT_SCALE * moved[:, :DISPLACEMENT]).clamp(0, 1)
            parts = [moved[:, DISPLACEMENT:]]
        if self.config.reads_alpha:
            parts = [*parts, alpha]
        h = torch.cat([self.grid(x).to(alpha.dtype), *parts], 1)
        out = self._layers(h, 0, N_DENSITY).to(alpha.dtype)
        raw = out[:, 0] + self.config.density_bias
        return raw.clamp(max=RAW_DENSITY_LIMIT).exp(), out

    def forward(
        self,
        x: Float[Tensor, "points 3"],
        alpha: Float[Tensor, "points k"],
        d: Float[Tensor, "points 3"],
        code: Float[Tensor, "points appearance"] | None = None,
    ) -> tuple[Float[Tensor, "points 3"], Float[Tensor, " points"]]:
        """Colour in (0, 1) and σ per box side; without a code the colour net reads zeros there."""
        sigma, geometry = self.density(x, alpha)
        harmonics = spherical_harmonics(d, self.config.sh_degree)
        own = [code] if code is not None and self.config.appearance else []
        h = torch.cat([geometry, harmonics, *own], 1)
        colour = self._layers(h, N_DENSITY, len(self.matrices))[:, :3].to(x.dtype).sigmoid()
        return colour, sigma

    def _layers(self, h: Tensor, begin: int, end: int) -> Tensor:
        padding = self.matrices[begin].shape[1] - h.shape[1]
        h = nn.functional.pad(h, (0, padding))
        for m in range(begin, end):
            h = h @ self.matrices[m].T
            if m < end - 1:
                h = h.relu()
        return h
