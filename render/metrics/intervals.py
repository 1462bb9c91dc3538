"""Bootstrap intervals: how far a mean over clips could be off, had other clips been taken."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import bootstrap

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % percentile-bootstrap interval."""

    mean: float
    low: float | None
    """None where fewer than two values leave nothing to resample."""
    high: float | None
    count: int

    def text(self, digits: int = 3) -> str:
        """``0.512 [0.490, 0.531]``."""
        if self.low is None or self.high is None:
            return f"{self.mean:.{digits}f} (n = {self.count}, no interval)"
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def mean_interval(values: Float[np.ndarray, " n"]) -> Interval:
    """Mean of independent values (one a clip), percentile bootstrap over them.

    The frames of a clip are not independent; resampling clips is what makes the interval honest.
    """
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, None, None, len(values))
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean, len(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bootstrap(
            (values.astype(np.float64),),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(SEED),
        ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), len(values))


def crossed_interval(table: Float[np.ndarray, "raters items"]) -> Interval:
    """Mean of a table with gaps (NaN), its rows and columns both resampled.

    Raters differ and pairs differ; another study would have others of both. Intervals are wider
    than of either alone.
    """
    seen = np.isfinite(table)
    mean = float(table[seen].mean())
    if min(table.shape) < 2 or seen.sum() < 2:
        return Interval(mean, None, None, int(seen.sum()))
    rng = np.random.default_rng(SEED)
    filled, weight = np.where(seen, table, 0.0), seen.astype(np.float64)
    means = []
    for _ in range(RESAMPLES):
        rows = np.bincount(rng.integers(len(table), size=len(table)), minlength=len(table))
        columns = np.bincount(
            rng.integers(table.shape[1], size=table.shape[1]), minlength=table.shape[1]
        )
        count = rows @ weight @ columns
        if count > 0:
            means.append(rows @ filled @ columns / count)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high), int(seen.sum()))
