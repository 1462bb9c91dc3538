"""Render the sample clips, with a progress line."""

from pathlib import Path

from flows.progress import step
from pipeline.samples import make_samples


def render_samples(folder: Path, *, size: int, workers: int) -> list[Path]:
    """Clips in ``folder``; those already there from the same recipe are left alone."""
    with step("render sample clips", unit="clips") as bar:

        def seen(done: int, total: int) -> None:
            bar.total = total
            bar.update(done)

        return make_samples(folder, size=size, workers=workers, progress=seen)
