"""What one running studio has on its desk."""

import tempfile
from pathlib import Path

from flows.studio.faces import Face, learn_face
from flows.studio.heads import LiveHeads
from flows.studio.library import Library
from flows.studio.media import Media
from flows.studio.preview import Previews


class Desk:
    """The store, what is made from it, and the folder that vanishes with the studio."""

    def __init__(
        self, store: str, out: Path | None, dataset: str = "clips", ref: str = "main"
    ) -> None:
        """Open a store, and the output folder of a job if there is one.

        Raises:
            StoreError: there is no store.
            NothingToDo: it has no such dataset.
        """
        self.out = out
        self.library = Library(store, dataset, ref)
        self._temporary = tempfile.TemporaryDirectory(prefix="emohead-studio-")
        self.folder = Path(self._temporary.name)
        self._faces: dict[str, Face] = {}
        self.media = Media(self.library, self.folder)
        self.heads = LiveHeads(self.library, out)
        self.previews = Previews(self.library.cache.location, ref, out, self.folder)

    def face(self, identity: str) -> Face:
        """How an identity's face moves, learnt once."""
        if identity not in self._faces:
            self._faces[identity] = learn_face(self.library, identity)
        return self._faces[identity]

    def close(self) -> None:
        """Stop what runs and leave nothing behind."""
        self.previews.stop()
        self._temporary.cleanup()
