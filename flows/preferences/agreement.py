"""How far raters agree: Krippendorff's alpha for marks on an interval scale."""

import numpy as np
from jaxtyping import Float


def krippendorff_alpha(marks: Float[np.ndarray, "raters items"]) -> float | None:
    """1 − D_observed / D_expected; 1 full agreement, 0 what chance gives, below 0 worse.

    Differences are squared (interval scale). NaN is a missing mark; items with fewer than two marks
    do not count. None where nothing can be said: no item with two marks, or all marks alike.

    K. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011.
    """
    kept = marks[:, np.isfinite(marks).sum(0) >= 2]
    if kept.size == 0:
        return None
    values = kept[np.isfinite(kept)]
    total = len(values)
    observed = 0.0
    for item in kept.T:
        given = item[np.isfinite(item)]
        observed += ((given[:, None] - given[None]) ** 2).sum() / (len(given) - 1)
    observed /= total
    expected = ((values[:, None] - values[None]) ** 2).sum() / (total * (total - 1))
    return None if expected == 0 else float(1 - observed / expected)
