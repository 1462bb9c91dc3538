"""One cell of a table of results: a number, or the reason why there is none."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from render.errors import MetricError

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Measured:
    """A value of one metric over one video, pair or set. Never a silent gap, never a zero for one.

    Raises:
        MetricError: neither value nor reason, both, or a value that is no number.
    """

    metric: str
    """Key of `CATALOGUE`."""
    value: float | None = None
    why_not: str = ""
    """Why there is no value."""
    note: str = ""
    """What a reader must know beside the number: frames that counted, back-end, hash."""
    count: int = 0
    """Frames (or windows) the value is a mean over; 0 where that means nothing."""

    def __post_init__(self) -> None:
        """Exactly one of value and reason."""
        if (self.value is None) == (not self.why_not):
            raise MetricError(
                f"{self.metric}: value {self.value!r} with reason {self.why_not!r}; exactly one "
                "of them is given"
            )
        if self.value is not None and not math.isfinite(self.value):
            raise MetricError(f"{self.metric}: {self.value} is no result; give the reason instead")

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def text(self, digits: int = 3) -> str:
        """The value, or `not measured: reason`."""
        if self.value is None:
            return f"{NOT_MEASURED}: {self.why_not}"
        return f"{self.value:.{digits}f}"

    def record(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def not_measured(metric: str, reason: str) -> Measured:
    """A cell without a value."""
    return Measured(metric, None, reason)
