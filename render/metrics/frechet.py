"""FID: the Fréchet distance of two clouds of features, by torchmetrics."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from render.errors import MetricError
from render.metrics.loading import absent
from render.metrics.measured import Measured

FEATURES = 2048


def frechet_distance(
    generated: Float[np.ndarray, "n dim"], reference: Float[np.ndarray, "m dim"]
) -> float:
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½).

    Heusel et al., 2017. Few frames bias it upwards; the table says how many there were.

    Raises:
        MetricError: fewer than two rows on a side.
    """
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    if min(len(generated), len(reference)) < 2:
        raise MetricError(
            f"FID: {len(generated)} frames against {len(reference)}; at least two on each side"
        )

    class Given(torch.nn.Module):
        """Features are handed over as they are."""

        num_features = generated.shape[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """As it comes."""
            return x

    meter = FrechetInceptionDistance(feature=Given(), normalize=True).set_dtype(torch.float64)
    meter.update(torch.from_numpy(reference.astype(np.float64)), real=True)
    meter.update(torch.from_numpy(generated.astype(np.float64)), real=False)
    # A distance; rounding can put it a hair below 0 for equal clouds.
    return float(meter.compute().clamp(min=0))


def frechet_of_clips(
    generated: Sequence[np.ndarray | None], reference: Sequence[np.ndarray | None]
) -> Measured:
    """FID over the frames of many clips together.

    Raises:
        MetricError: there are no features, for want of weights or of references.
    """
    ours = [rows for rows in generated if rows is not None]
    true = [rows for rows in reference if rows is not None]
    if not ours:
        raise MetricError(absent("fid_inception"))
    if not true:
        raise MetricError("no reference video was given")
    a, b = np.concatenate(ours), np.concatenate(true)
    few = "; far fewer than the 2048 dimensions: biased upwards" if len(a) < FEATURES else ""
    note = f"{len(a)} frames against {len(b)}{few}"
    return Measured("fid", frechet_distance(a, b), note=note, count=len(a))
