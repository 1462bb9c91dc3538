"""What a video that is drawn chunk by chunk needs to go on after a kill, on disk."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from render.segments import LEAST, LENGTH

if TYPE_CHECKING:
    from render.diffusion.animate import Motion

KEPT = 2 * (LENGTH + LEAST)
"""Frames back; a kill costs no more than one piece of the video, and a chunk before it."""


class Motions:
    """The last frames of each recent chunk, as they are diffused: a file each."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def keep(self, motion: "Motion") -> None:
        """Write one; what lies too far back to be asked for is removed."""
        path = self.folder / f"{motion.start:07d}.npy"
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            np.save(file, np.zeros(0, np.float32) if motion.places is None else motion.places)
        draft.replace(path)
        for old in self.folder.glob("*.npy"):
            if int(old.stem) < motion.start - KEPT:
                old.unlink()

    def before(self, frame: int) -> "Motion | None":
        """The last place to go on from that is not behind `frame`; None: from the beginning."""
        from render.diffusion.animate import Motion

        for path in sorted(self.folder.glob("*.npy"), reverse=True):
            if int(path.stem) > frame:
                continue
            try:
                places = np.load(path)
            except (ValueError, OSError, EOFError):
                continue  # torn by a crash of the machine: an earlier one does, too
            return Motion(int(path.stem), places if places.size else None)
        return None
