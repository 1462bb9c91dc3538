"""Pieces of arrays, fetched many at once and decoded here, past zarr's general machinery.

A piece is what is compressed by itself: an inner chunk of a shard, or a chunk where there are no
shards. zarr plans and decodes every request anew, a millisecond each; a training window, or one row
of the clip table, is a handful of small pieces of several arrays.
"""

from collections.abc import Sequence
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs.vlen import VLenUTF8
from numcodecs.zstd import decompress
from zarr.abc.store import RangeByteRequest, Store, SuffixByteRequest
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, VLenUTF8Codec, ZstdCodec
from zarr.core.buffer import BufferPrototype, cpu
from zarr.core.sync import sync

from store.errors import CorruptionError
from store.image_codec import ImageCodec

CHECKSUM_BYTES = 4

Ask = tuple[str, RangeByteRequest | SuffixByteRequest | None]
"""A key of the store, and which of its bytes."""

_TEXT = VLenUTF8()
_STEPS = {ZstdCodec: "zstd", Crc32cCodec: "crc32c"}


class _Found(cpu.Buffer):
    """Bytes as the store hands them over: nothing is copied, and a missing key stays None (icechunk
    1.1 and 2 pass it on to here when they are asked for several keys)."""

    @classmethod
    def from_bytes(cls, bytes_like: Any) -> Any:
        """What was found, as uint8."""
        return None if bytes_like is None else np.frombuffer(bytes_like, np.uint8)


_PROTOTYPE = BufferPrototype(_Found, cpu.NDBuffer)


def fetch(store: Store, asks: Sequence[Ask]) -> list[np.ndarray | None]:
    """The bytes of each ask (uint8, read-only), None where the key is not there; all in one
    crossing into icechunk."""
    if not asks:
        return []
    found: Sequence[Any] = sync(store.get_partial_values(_PROTOTYPE, asks))
    plain: list[Any] = [b.as_numpy_array() if isinstance(b, _Found) else b for b in found]
    return plain


def checked(data: np.ndarray, path: str, what: str) -> np.ndarray:
    """`data` without the crc32c at its end; raises CorruptionError if it does not match."""
    body = data[:-CHECKSUM_BYTES]
    if len(data) < CHECKSUM_BYTES or google_crc32c.value(body) != int.from_bytes(
        data[-CHECKSUM_BYTES:].tobytes(), "little"
    ):
        raise CorruptionError(
            f"{path}: {what} does not match its checksum: run "
            "`emohead store validate --read-data` to learn which cell, then compute it again"
        )
    return body


class PieceCodec:
    """How the pieces of an array are decoded."""

    def __init__(
        self, array: zarr.Array, sharded: bool, steps: Sequence[str], picture: ImageCodec | None
    ) -> None:
        """Use `codec_of`."""
        self.sharded, self.picture = sharded, picture
        self.frames: int = array.chunks[0]
        self._path, self._steps = array.path, tuple(steps)
        self._text = array.metadata.zarr_format == 3 and _serializer(array) is VLenUTF8Codec
        self._dtype = np.dtype(object) if self._text else np.dtype(array.dtype)
        self._shape = (self.frames, *array.shape[1:])

    @property
    def plain(self) -> bool:
        """True if a piece is its numbers as they are, with nothing but a checksum."""
        return self.picture is None and not self._text and "zstd" not in self._steps

    def decode(self, data: np.ndarray) -> np.ndarray:
        """One piece: `frames` rows (text as objects). Raises CorruptionError."""
        body: Any = data
        for step in self._steps:
            if step == "crc32c":
                body = checked(np.frombuffer(body, np.uint8), self._path, "a piece")
            else:
                body = self._unpack(body)
        if self.picture is not None:
            return self.picture.decode_picture(bytes(body))[None]
        if self._text:
            return _TEXT.decode(body)
        return np.frombuffer(body, self._dtype).reshape(self._shape)

    def _unpack(self, body: np.ndarray) -> bytes:
        try:
            return decompress(body)
        except RuntimeError as error:
            raise CorruptionError(
                f"{self._path}: a piece cannot be decompressed ({error}): run "
                "`emohead store validate --read-data` to learn which cell, then compute it again"
            ) from error


def codec_of(array: zarr.Array) -> PieceCodec | None:
    """The codec of an array if it is one of the store's own, else None: leave it to zarr."""
    codecs: Sequence[Any] = array.metadata.codecs  # pyright: ignore[reportAttributeAccessIssue]
    sharded = len(codecs) == 1 and isinstance(codecs[0], ShardingCodec)
    if sharded:
        shard: Any = codecs[0]
        plain = [type(codec) for codec in shard.index_codecs] == [BytesCodec, Crc32cCodec]
        # A member of an enumeration up to zarr 3.1, the word itself later.
        if not plain or getattr(shard.index_location, "value", shard.index_location) != "end":
            return None
        codecs = shard.codecs
    if array.chunks[1:] != array.shape[1:]:
        return None
    head, *tail = codecs
    steps = [_STEPS.get(type(codec), "") for codec in reversed(tail)]
    if not all(steps):
        return None
    if isinstance(head, ImageCodec):
        return PieceCodec(array, sharded, steps, head)
    if isinstance(head, VLenUTF8Codec) and array.ndim == 1:
        return PieceCodec(array, sharded, steps, None)
    little = isinstance(head, BytesCodec) and np.dtype(array.dtype).byteorder != ">"
    return PieceCodec(array, sharded, steps, None) if little else None


def _serializer(array: zarr.Array) -> type:
    codecs: Any = array.metadata.codecs  # pyright: ignore[reportAttributeAccessIssue]
    first = codecs[0]
    return type(first.codecs[0] if isinstance(first, ShardingCodec) else first)
