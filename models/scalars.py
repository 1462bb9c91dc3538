"""TensorBoard scalars of a run, or nothing."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8


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

    def picture(self, step: int, name: str, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
        """A picture of one step."""
        if self._writer:
            self._writer.add_image(name, rgb, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close."""
        if self._writer:
            self._writer.close()
