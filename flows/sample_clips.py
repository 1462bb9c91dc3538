"""Render the sample clips, with a progress line."""

from pathlib import Path

from flows.config import MainJobConfig
from flows.progress import step
from pipeline.samples import make_samples


def render_samples(config: MainJobConfig) -> Path:
    """The folder of sample clips of a job.

    Clips that are there from the same recipe are left alone.
    """
    folder = config.out / "samples"
    render_samples_into(folder, size=config.size, workers=config.workers)
    return folder


def render_samples_into(folder: Path, *, size: int, workers: int) -> list[Path]:
    """Clips in ``folder``."""
    with step("render sample clips", unit="clips") as bar:

        def seen(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.update(done, note=name)

        return make_samples(folder, size=size, workers=workers, progress=seen)
