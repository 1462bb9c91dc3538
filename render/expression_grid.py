"""A dense grid linear in the expression: displacement and ambient features of a point.

out(x, α) = sum_k α_k E_k(x), trilinear in x: at α = 0 (the mean face, in whitened units) it is
zero, and it extrapolates as the coefficients do. The displacement leads a point of the moved face
back to the canonical head; the ambient features tell the field what displacement cannot (teeth,
wrinkles). Related: linear blend shapes over hash grids in NeRFBlendShape (Gao et al. 2022),
ambient coordinates in RAD-NeRF (arXiv 2211.12368). The choice was measured: docs/decisions.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from render.errors import ConfigError
from render.hash_grid_torch import rows_of

DISPLACEMENT = 3
DISPLACEMENT_SCALE = 0.05
"""Box sides per unit of a displacement channel, so that one learning rate fits all channels."""


class ExpressionGrid(nn.Module):
    """`values` is [res^3, channels, K]; vertex (i, j, k) of axes x, y, z at i + res (j + res k)."""

    values: nn.Parameter

    def __init__(self, resolution: int, ambient: int, coefficients: int) -> None:
        """Displacements start at zero; ambient features too."""
        super().__init__()
        if resolution < 2:
            raise ConfigError(
                f"expression grid: resolution = {resolution}, must be at least 2 (0 in the field's "
                "config leaves the grid out)"
            )
        self.resolution = resolution
        self.values = nn.Parameter(torch.zeros(resolution**3, DISPLACEMENT + ambient, coefficients))

    def forward(
        self, x: Float[Tensor, "points 3"], alpha: Float[Tensor, "points k"]
    ) -> Float[Tensor, "points channels"]:
        """Channels at x in [0, 1]^3."""
        res = self.resolution
        position = x * (res - 1)
        cell = position.detach().floor().clamp(0, res - 2)
        fraction = position - cell
        cell = cell.long()
        out = torch.zeros(len(x), self.values.shape[1], dtype=x.dtype, device=x.device)
        flat = self.values.view(res**3, -1)
        for corner in range(8):
            index = torch.zeros((), dtype=torch.int64, device=x.device)
            weight = torch.ones((), dtype=x.dtype, device=x.device)
            for axis in range(3):
                upper, f = (corner >> axis) & 1, fraction[:, axis]
                index = index + (cell[:, axis] + upper) * res**axis
                weight = weight * (f if upper else 1 - f)
            rows = rows_of(flat, index).view(len(x), -1, alpha.shape[1])
            out = out + weight[:, None] * torch.einsum("nck,nk->nc", rows, alpha)
        return out
