"""Pictures, films and curves of clips, made from the store's cells, kept while the studio runs."""

import gzip
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np

from flows.inspection.clip import margins_of, planes_of
from flows.inspection.encoding import jpeg
from flows.studio.library import Library
from pipeline.lag import loudness
from render.video import VideoWriter

MASK_SIDE = 128
"""Masks are shown at so many pixels a side: a fourth of the bytes of 256."""
FILMS = 40
"""Films kept on disk; the one unused for longest goes first."""
KEPT = 64_000_000
"""Bytes of small answers kept in memory."""
BLOCK = 100


class Media:
    """What the pages show of a clip. Every answer is made when first asked for."""

    def __init__(self, library: Library, folder: Path) -> None:
        """`folder`: for films; the studio's own, outside store and output."""
        self.library, self.folder = library, folder
        self._small: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._held = 0
        self._films: OrderedDict[str, Path] = OrderedDict()
        self._lock, self._filming = Lock(), Lock()

    def _kept(self, kind: str, clip_id: str, make: Callable[[], bytes]) -> bytes:
        key = (kind, clip_id)
        with self._lock:
            if key in self._small:
                self._small.move_to_end(key)
                return self._small[key]
        made = make()
        with self._lock:
            self._held += len(made) - len(self._small.get(key, b""))
            self._small[key] = made
            while self._held > KEPT and len(self._small) > 1:
                self._held -= len(self._small.popitem(last=False)[1])
        return made

    def picture(self, clip_id: str, frame: int | None = None) -> bytes | None:
        """One frame as a JPEG, the middle one by default; None without pictures or such a frame.

        Reads that one frame.
        """
        entry, feature = self.library.by_id[clip_id], self.library.names.frames
        at = entry.frames // 2 if frame is None else frame
        if not 0 <= at < entry.frames or not self.library.has(clip_id, feature):
            return None

        def make() -> bytes:
            return jpeg(self.library.read(clip_id, feature, at, at + 1)[0])

        return self._kept(f"frame {at}", clip_id, make)

    def film(self, clip_id: str) -> Path | None:
        """The clip's stored frames and sound as a film; None without pictures."""
        names, entry = self.library.names, self.library.by_id[clip_id]
        if not self.library.has(clip_id, names.frames):
            return None
        with self._filming:
            if clip_id in self._films:
                self._films.move_to_end(clip_id)
                return self._films[clip_id]
            sound = None
            if self.library.has(clip_id, "audio/waveform"):
                sound = self.library.read(clip_id, "audio/waveform").reshape(-1)
            side = self.library.snapshot.features(self.library.dataset)[names.frames].shape[0]
            name = hashlib.sha256(clip_id.encode()).hexdigest()[:24]
            path = self.folder / f"film-{name}.mp4"
            with VideoWriter(path, side, sound) as film:
                for start in range(0, entry.frames, BLOCK):
                    stop = min(start + BLOCK, entry.frames)
                    for picture in self.library.read(clip_id, names.frames, start, stop):
                        film.write(picture)
            self._films[clip_id] = path
            while len(self._films) > FILMS:
                self._films.popitem(last=False)[1].unlink(missing_ok=True)
            return path

    def sound(self, clip_id: str) -> np.ndarray | None:
        """The clip's samples, int16; None if it cannot be heard."""
        if not self.library.has(clip_id, "audio/waveform"):
            return None
        return self.library.read(clip_id, "audio/waveform").reshape(-1)

    def landmarks(self, clip_id: str) -> bytes | None:
        """float32 [frames, points, 2], the picture's side being 1, little-endian; NaN where no
        face was found."""
        if not self.library.has(clip_id, "face/landmarks"):
            return None
        side = self._side(clip_id)

        def make() -> bytes:
            points = self.library.read(clip_id, "face/landmarks")[..., :2] / side
            return np.ascontiguousarray(points, "<f4").tobytes()

        return self._kept("landmarks", clip_id, make)

    def masks(self, clip_id: str) -> bytes | None:
        """gzip of uint8 [frames, MASK_SIDE, MASK_SIDE]: a label a pixel."""
        feature = self.library.names.parsing
        if not self.library.has(clip_id, feature):
            return None

        def make() -> bytes:
            parts = []
            for start in range(0, self.library.by_id[clip_id].frames, BLOCK):
                stop = min(start + BLOCK, self.library.by_id[clip_id].frames)
                labels = self.library.read(clip_id, feature, start, stop)
                pick = (np.arange(MASK_SIDE) + 0.5) * labels.shape[1] / MASK_SIDE
                chosen = pick.astype(int)
                parts.append(labels[:, chosen][:, :, chosen].tobytes())
            return gzip.compress(b"".join(parts), 4)

        return self._kept("masks", clip_id, make)

    def curves(self, clip_id: str) -> bytes:
        """JSON of what changes over the clip: loudness, mouth, margins, words."""
        return self._kept("curves", clip_id, lambda: json.dumps(self._curves(clip_id)).encode())

    def _curves(self, clip_id: str) -> dict[str, object]:
        library, facts = self.library, self.library.facts(clip_id)
        made: dict[str, object] = {"frames": facts.frames, "words": facts.words, "curves": []}
        rows: list[dict[str, object]] = []
        sound = self.sound(clip_id)
        if sound is not None:
            level = loudness(sound.astype(np.float32) / 32_768)
            rows.append({"name": "loudness", "series": {"dB": numbers(level)}})
        if library.has(clip_id, library.names.mouth):
            mouth = library.read(clip_id, library.names.mouth)
            rows.append({"name": "mouth opening", "series": {"MAR": numbers(mouth)}})
        expression = library.names.expression
        with library.lock:
            planes = planes_of(library.snapshot, library.dataset, facts.identity, expression)
        if planes and planes.planes and library.has(clip_id, expression):
            tags, margins = margins_of(planes, library.read(clip_id, expression))
            series = {tag: numbers(margins[:, at]) for at, tag in enumerate(tags)}
            rows.append({"name": "emotion margin", "series": series, "zero": True})
        made["curves"] = rows
        return made

    def _side(self, clip_id: str) -> int:
        names = self.library.names
        schemas = self.library.snapshot.features(self.library.dataset)
        return schemas[names.frames].shape[0] if names.frames in schemas else 256


def numbers(values: np.ndarray) -> list[float | None]:
    """Four digits each; None where there is no number, which JSON has no word for."""
    return [round(float(v), 4) if np.isfinite(v) else None for v in values]
