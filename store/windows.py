"""Windows of a feature array, read past zarr's general machinery.

zarr plans and decodes every request anew; a training window of 32 frames is a few pieces of one or
two shards, whose places never change in a snapshot. So the places are remembered, all pieces are
asked for at once, and decoded here. Arrays with other codecs than the store's own go through zarr.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs.zstd import decompress
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from store.errors import CorruptionError
from store.image_codec import ImageCodec

REMEMBERED_SHARDS = 16_384
"""Shard indices kept per array: at most 2 kB each."""

CHECKSUM_BYTES = 4
MISSING = 2**64 - 1
"""Place, in a shard's index, of a piece that was never written."""


@dataclass(frozen=True)
class _Part:
    """Bytes of consecutive pieces, and where each piece lies in them."""

    data: bytes | memoryview | None
    pieces: tuple[tuple[int, int, int], ...]
    """(first frame of the piece, offset, length) each."""


class WindowReader:
    """Reads windows of one array of a snapshot."""

    def __init__(self, array: zarr.Array) -> None:
        """`array`: a feature array or token table, opened read-only."""
        self.array = array
        self._shape = array.shape[1:]
        self._dtype = array.dtype
        self._shard = array.shards[0] if array.shards is not None else array.chunks[0]
        self._piece = array.chunks[0]
        self._picture: ImageCodec | None = None
        self._steps: list[str] = []
        self._own = self._understand()
        self._indices: OrderedDict[int, np.ndarray | None] = OrderedDict()

    def _understand(self) -> bool:
        """Learn the codecs; False if they are not the store's own."""
        metadata: Any = self.array.metadata
        codecs: Sequence[Any] = metadata.codecs
        if len(codecs) == 1 and isinstance(codecs[0], ShardingCodec):
            shard: Any = codecs[0]
            plain = [type(codec) for codec in shard.index_codecs] == [BytesCodec, Crc32cCodec]
            # A member of an enumeration up to zarr 3.1, the word itself later.
            location = getattr(shard.index_location, "value", shard.index_location)
            if not plain or location != "end":
                return False
            codecs = shard.codecs
        elif self.array.shards is not None:
            return False
        if self.array.chunks[1:] != self._shape or self._dtype.byteorder == ">":
            return False
        head, *tail = codecs
        if isinstance(head, ImageCodec):
            self._picture = head
        elif not isinstance(head, BytesCodec):
            return False
        names = {ZstdCodec: "zstd", Crc32cCodec: "crc32c"}
        self._steps = [names.get(type(codec), "") for codec in reversed(tail)]
        return all(self._steps)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames start..stop of the axis, first axis frames."""
        return read_windows([(self, start, stop)])[0]

    async def fetch(self, start: int, stop: int) -> list[_Part]:
        """The bytes of every piece that start..stop touches, all asked for at once."""
        blocks = range(start // self._shard, -(-stop // self._shard))
        return list(await asyncio.gather(*(self._fetch(block, start, stop) for block in blocks)))

    async def _fetch(self, block: int, start: int, stop: int) -> _Part:
        key = f"{self.array.path}/{self.array.metadata.encode_chunk_key((block, *self._zeros))}"
        base = block * self._shard
        if self.array.shards is None:
            data = await self._get(key, None)
            return _Part(data, ((base, 0, -1 if data is None else len(data)),))
        index = await self._index(block, key)
        if index is None:
            return _Part(None, ())
        low = max(start - base, 0) // self._piece
        high = -(-min(stop - base, self._shard) // self._piece)
        there = [
            (base + i * self._piece, int(index[i, 0]), int(index[i, 1]))
            for i in range(low, high)
            if index[i, 0] != MISSING
        ]
        if not there:
            return _Part(None, ())
        # Pieces written in order lie side by side, so one request brings them all.
        first = min(offset for _, offset, _ in there)
        last = max(offset + length for _, offset, length in there)
        data = await self._get(key, RangeByteRequest(first, last))
        return _Part(data, tuple((frame, offset - first, n) for frame, offset, n in there))

    @property
    def _zeros(self) -> tuple[int, ...]:
        return (0,) * len(self._shape)

    async def _get(
        self, key: str, request: RangeByteRequest | SuffixByteRequest | None
    ) -> bytes | None:
        found = await self.array.store.get(key, default_buffer_prototype(), request)
        return None if found is None else found.to_bytes()

    async def _index(self, block: int, key: str) -> np.ndarray | None:
        """(offset, length) per piece of a shard; None if the shard was never written."""
        if block in self._indices:
            return self._indices[block]
        n = self._shard // self._piece
        data = await self._get(key, SuffixByteRequest(16 * n + CHECKSUM_BYTES))
        index = None
        if data is not None:
            body = self._checked(data, "the index of a shard")
            index = np.frombuffer(body, "<u8").reshape(n, 2)
        self._indices[block] = index
        if len(self._indices) > REMEMBERED_SHARDS:
            self._indices.popitem(last=False)
        return index

    def _checked(self, data: bytes | memoryview, what: str) -> memoryview:
        body, end = memoryview(data)[:-CHECKSUM_BYTES], bytes(data[-CHECKSUM_BYTES:])
        if google_crc32c.value(bytes(body)) != int.from_bytes(end, "little"):
            raise CorruptionError(
                f"{self.array.path}: {what} does not match its checksum: run "
                "`emohead validate --read-data` to learn which cell, then compute it again"
            )
        return body

    def decode(self, start: int, stop: int, parts: Sequence[_Part]) -> np.ndarray:
        """Put fetched pieces together."""
        spans = [
            (frame, part.data, offset, length)
            for part in parts
            if part.data is not None
            for frame, offset, length in part.pieces
        ]
        if len(spans) == 1 and spans[0][0] <= start and spans[0][0] + self._piece >= stop:
            frame, data, offset, length = spans[0]
            return self._piece_of(data, offset, length)[start - frame : stop - frame]
        out = np.empty((stop - start, *self._shape), self._dtype)
        pieces = range(start // self._piece, -(-stop // self._piece))
        if len(spans) < len(pieces):  # some were never written
            out[...] = self.array.fill_value

        def place(span: tuple[int, bytes | memoryview, int, int]) -> None:
            frame, data, offset, length = span
            low, high = max(frame, start), min(frame + self._piece, stop)
            values = self._piece_of(data, offset, length)
            out[low - start : high - start] = values[low - frame : high - frame]

        if self._picture is not None and len(spans) > 2:
            list(_pictures().map(place, spans))
        else:
            for span in spans:
                place(span)
        return out

    def _piece_of(self, data: bytes | memoryview, offset: int, length: int) -> np.ndarray:
        body = memoryview(data)[offset : offset + length]
        for step in self._steps:
            body = self._checked(body, "a piece") if step == "crc32c" else decompress(body)
        if self._picture is not None:
            return self._picture.decode_picture(bytes(body))[None]
        return np.frombuffer(body, self._dtype).reshape(self._piece, *self._shape)


def read_windows(windows: Sequence[tuple[WindowReader, int, int]]) -> list[np.ndarray]:
    """Several windows, of any arrays of a snapshot, fetched at once. Each result owns its data."""

    async def fetch() -> list[list[_Part]]:
        own = (reader.fetch(start, stop) for reader, start, stop in windows if reader._own)
        return list(await asyncio.gather(*own))

    fetched = iter(sync(fetch()))
    results = []
    for reader, start, stop in windows:
        if reader._own:
            values = reader.decode(start, stop, next(fetched))
            results.append(values if values.flags.owndata else np.array(values))
        else:
            results.append(np.asarray(reader.array[start:stop]))
    return results


_pool: ThreadPoolExecutor | None = None


def _pictures() -> ThreadPoolExecutor:
    """Threads that decode pictures; made in each process when first needed."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), "emohead-pictures")
    return _pool
