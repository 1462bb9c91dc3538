"""Windows of feature arrays: all pieces of all windows are fetched at once and decoded here.

A training window of 32 frames is a few pieces of one or two shards, whose places never change in a
snapshot. So the places are remembered; a window that covers most of a shard whose places are not
known yet fetches it whole. Arrays with other codecs than the store's own go through zarr.
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import zarr
from zarr.abc.store import RangeByteRequest, SuffixByteRequest

from store.pieces import CHECKSUM_BYTES, Ask, checked, codec_of, fetch

REMEMBERED_SHARDS = 16_384
"""Shard indices kept per array: at most 2 kB each."""

MISSING = 2**64 - 1
"""Place, in a shard's index, of a piece that was never written."""


class _Shards(OrderedDict[int, np.ndarray | None]):
    """Places of the pieces by shard: (offset, length) each; None if it was never written."""

    def put(self, block: int, places: np.ndarray | None) -> None:
        self[block] = places
        if len(self) > REMEMBERED_SHARDS:
            self.popitem(last=False)


@dataclass(frozen=True)
class Window:
    """Frames start..stop of an array."""

    reader: "WindowReader"
    start: int
    stop: int
    out: np.ndarray | None = None
    """Where the values are to go; None: into an array of their own."""
    whole: bool = False
    """True if its shards hold nothing else: it is a clip from its first to its last frame."""


class _Part(NamedTuple):
    """What is fetched of one shard for a window."""

    block: int
    ask: Ask
    offset: int | None
    """Where in the shard the fetched bytes begin; None: all of it comes, its index too."""


class WindowReader:
    """Reads windows of one array of a snapshot."""

    def __init__(self, array: zarr.Array) -> None:
        """`array`: a feature array or token table, opened read-only."""
        self.array = array
        self.codec = codec_of(array)
        self._shard = array.shards[0] if array.shards is not None else array.chunks[0]
        self._piece = array.chunks[0]
        self._shape = array.shape[1:]
        self._zeros = (0,) * len(self._shape)
        self._places = _Shards()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames start..stop of the axis, first axis frames."""
        return read_windows([Window(self, start, stop)])[0]

    def unknown(self, window: Window) -> list[tuple[int, Ask]]:
        """Shards whose index must be fetched before a window can be, and how."""
        start, stop = window.start, window.stop
        if self.codec is None or not self.codec.sharded:
            return []
        size = 16 * (self._shard // self._piece) + CHECKSUM_BYTES
        return [
            (block, (self._key(block), SuffixByteRequest(size)))
            for block in self._blocks(start, stop)
            if block not in self._places and not (window.whole or self._mostly(block, start, stop))
        ]

    def learn(self, block: int, data: np.ndarray | None) -> None:
        """Take the index of a shard: the last bytes of it, or the shard."""
        if data is None:
            self._places.put(block, None)
            return
        n = self._shard // self._piece
        body = checked(data[-(16 * n + CHECKSUM_BYTES) :], self.array.path, "the index of a shard")
        self._places.put(block, np.frombuffer(body.tobytes(), "<u8").reshape(n, 2))

    def parts(self, start: int, stop: int) -> list[_Part]:
        """What to fetch for start..stop. All shards but those fetched whole must be known."""
        found = []
        for block in self._blocks(start, stop):
            key = self._key(block)
            if self.codec is None or not self.codec.sharded or block not in self._places:
                found.append(_Part(block, (key, None), None))
                continue
            spans = self._spans(block, start, stop)
            if spans:
                # Pieces written in order lie side by side, so one request brings them all.
                first = min(offset for _, offset, _ in spans)
                last = max(offset + length for _, offset, length in spans)
                found.append(_Part(block, (key, RangeByteRequest(first, last)), first))
        return found

    def _key(self, block: int) -> str:
        return f"{self.array.path}/{self.array.metadata.encode_chunk_key((block, *self._zeros))}"

    def _blocks(self, start: int, stop: int) -> range:
        return range(start // self._shard, -(-stop // self._shard))

    def _mostly(self, block: int, start: int, stop: int) -> bool:
        """True if a window covers so much of a shard that one request for all of it is less."""
        base = block * self._shard
        return 2 * (min(stop, base + self._shard) - max(start, base)) >= self._shard

    def _spans(self, block: int, start: int, stop: int) -> list[tuple[int, int, int]]:
        """(first frame, offset, length) of the pieces of a known shard in start..stop."""
        places = self._places[block]
        if places is None:
            return []
        base = block * self._shard
        low = max(start - base, 0) // self._piece
        high = -(-min(stop - base, self._shard) // self._piece)
        chosen = places[low:high].tolist()
        return [
            (base + i * self._piece, offset, length)
            for i, (offset, length) in enumerate(chosen, start=low)
            if offset != MISSING
        ]

    def decode(
        self, window: Window, fetched: Sequence[tuple[_Part, np.ndarray | None]]
    ) -> np.ndarray:
        """Put fetched pieces together."""
        start, stop, codec = window.start, window.stop, self.codec
        if codec is None:
            return _into(window.out, np.asarray(self.array[start:stop]))
        spans: list[tuple[int, np.ndarray]] = []
        for part, data in fetched:
            if data is None:
                continue
            if not codec.sharded:
                spans.append((part.block * self._shard, data))
                continue
            if part.offset is None:
                self.learn(part.block, data)
            origin = part.offset or 0
            spans += [
                (frame, data[offset - origin : offset - origin + length])
                for frame, offset, length in self._spans(part.block, start, stop)
            ]
        out = window.out
        if out is None:
            out = np.empty((stop - start, *self._shape), self.array.dtype)
        pieces = -(-stop // self._piece) - start // self._piece
        if len(spans) < pieces:  # some were never written
            out[...] = self.array.fill_value

        def place(span: tuple[int, np.ndarray]) -> None:
            frame, data = span
            low, high = max(frame, start), min(frame + self._piece, stop)
            out[low - start : high - start] = codec.decode(data)[low - frame : high - frame]

        if codec.picture is not None and len(spans) > 2:
            list(_pictures().map(place, spans))
        else:
            for span in spans:
                place(span)
        return out


def read_windows(windows: Sequence[Window]) -> list[np.ndarray]:
    """Several windows, of any arrays of one snapshot, fetched at once. Each result owns its data,
    or is the window's `out`."""
    own = [window for window in windows if window.reader.codec is not None]
    if own:
        store = own[0].reader.array.store
        unknown: dict[Ask, tuple[WindowReader, int]] = {}
        for window in own:
            for block, ask in window.reader.unknown(window):
                unknown[ask] = window.reader, block
        found = fetch(store, list(unknown))
        for (reader, block), data in zip(unknown.values(), found, strict=True):
            reader.learn(block, data)
    parts = [
        window.reader.parts(window.start, window.stop) if window.reader.codec is not None else []
        for window in windows
    ]
    data = iter(
        fetch(own[0].reader.array.store, [p.ask for ps in parts for p in ps]) if own else ()
    )
    return [
        window.reader.decode(window, [(part, next(data)) for part in some])
        for window, some in zip(windows, parts, strict=True)
    ]


def _into(out: np.ndarray | None, values: np.ndarray) -> np.ndarray:
    if out is None:
        return values if values.flags.owndata else np.array(values)
    out[...] = values
    return out


_pool: ThreadPoolExecutor | None = None


def _pictures() -> ThreadPoolExecutor:
    """Threads that decode pictures; made in each process when first needed."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), "emohead-pictures")
    return _pool
