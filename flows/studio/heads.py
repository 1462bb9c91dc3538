"""Trained heads of an output folder, rendered one expression at a time."""

import threading
from pathlib import Path

import numpy as np
from jaxtyping import Float

from flows.errors import FlowError
from flows.inspection.encoding import jpeg
from flows.reuse import current
from flows.studio.library import Library
from render.head import Head, load_head

SIDE = 160
"""Pixels the head is rendered at while sliders move; the torso behind it has the frames' size."""
CALM = ("neutral", "calm")


class LiveHeads:
    """Heads in OUT/heads, loaded when first asked for, each over the torso of one of its frames."""

    def __init__(self, library: Library, out: Path | None) -> None:
        """`out`: folder of a job; None: there are no heads."""
        self.library, self.out = library, out
        self._loaded: dict[str, tuple[Head, np.ndarray, np.ndarray]] = {}
        self._lock = threading.Lock()

    def identities(self) -> list[str]:
        """Who has a head. A link out of the folder is none."""
        if self.out is None or not (self.out / "heads").is_dir():
            return []
        root = self.out.resolve()
        return [
            folder.name
            for folder in current(self.out / "heads")
            if (folder / "head.json").is_file() and root in (folder / "head.json").resolve().parents
        ]

    def render(self, identity: str, alpha: Float[np.ndarray, " k"]) -> bytes:
        """A JPEG of the head with whitened expression `alpha`, as calmly posed as in its clips.

        Raises:
            FlowError: there is no such head.
            RenderError: it was trained on another expression feature.
        """
        from render.compositing import compose

        with self._lock:
            head, camera, under = self._head(identity)
            rgb, opacity = head.render(camera, alpha.astype(np.float32), SIDE)
        return jpeg(compose(rgb, opacity, under))

    def _head(self, identity: str) -> tuple[Head, np.ndarray, np.ndarray]:
        if identity in self._loaded:
            return self._loaded[identity]
        if self.out is None or identity not in self.identities():
            raise FlowError(
                f"{identity!r} has no trained head; emohead train head --identity {identity} "
                f"--out {self.out or 'OUT'}"
            )
        from flows.train_head import head_clips, head_data
        from render.backdrop import TorsoLayers, background_plate

        head, library = load_head(self.out / "heads" / identity), self.library
        with library.lock:
            names, dataset, snapshot = library.names, library.dataset, library.snapshot
            clips = head_clips(snapshot, dataset, identity, names)
            emotion = snapshot.clips(dataset).emotion
            clip = next((c for c in clips if emotion[c] in CALM), clips[0])
            data = head_data(snapshot, dataset, [clip], names)
        good = np.flatnonzero(data.found & np.isfinite(data.cameras).all(axis=(1, 2)))
        frontal = good[np.argmax(data.cameras[good][:, 2, 2])]
        seen = data.take(good)
        under = TorsoLayers.of(seen, background_plate(seen)).layer(
            int(np.searchsorted(good, frontal))
        )
        self._loaded[identity] = head, data.cameras[frontal], under
        return self._loaded[identity]
