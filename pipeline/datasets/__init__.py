"""One file per corpus: how its names read, what is known of its clips, which files are bad.

A corpus module has `NAME` and `describe(path, root) -> Label | None`: None when the path does not
follow its naming. A new corpus is one such file and a line in `CORPORA`.
"""

from collections.abc import Callable
from pathlib import Path

from pipeline.datasets import crema_d, dh_faceemovid, grid, hdtf, mead, plain, ravdess
from pipeline.datasets.emotions import CANONICAL, canonical
from pipeline.datasets.label import Label

CORPORA: dict[str, Callable[[Path, Path], Label | None]] = {
    module.NAME: module.describe
    for module in (mead, ravdess, crema_d, dh_faceemovid, grid, hdtf, plain)
}
"""Corpora by name, in the order in which `auto` asks them; `plain` takes whatever is left."""

__all__ = ["CANONICAL", "CORPORA", "Label", "canonical"]
