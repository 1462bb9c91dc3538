"""TensorBoard scalars of a run, or nothing."""

from pathlib import Path
from typing import Any


class Board:
    """Writes scalars where a folder is given."""

    def __init__(self, folder: Path | None) -> None:
        """Open the event file; None: write nothing, import nothing."""
        self._writer: Any = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Scalars of one step."""
        if self._writer:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close."""
        if self._writer:
            self._writer.close()
