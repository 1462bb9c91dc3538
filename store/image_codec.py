"""zarr codec `emohead.image`: a chunk that is one picture, as JPEG or lossless JPEG XL.

Registered as an entry point (pyproject.toml), so plain zarr opens a store where emohead is
installed. The bytes of a chunk are an ordinary .jpg or .jxl file, followed by nothing.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import imagecodecs
import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.registry import register_codec

from store.errors import CorruptionError, SchemaError


@dataclass(frozen=True)
class ImageCodec(ArrayBytesCodec):
    """Chunks of shape (1, height, width, 3), uint8, sRGB."""

    format: Literal["jpeg", "jpegxl"] = "jpeg"
    """`jpeg`: lossy, 4:4:4 chroma; `jpegxl`: lossless, effort 1."""
    quality: int = 98
    """JPEG quality, 1..100; not used by jpegxl."""

    is_fixed_size = False  # no annotation: not a field

    def __post_init__(self) -> None:
        """Refuse what the libraries would take silently."""
        if self.format not in ("jpeg", "jpegxl"):
            raise SchemaError(f"image format {self.format!r} is not known: jpeg or jpegxl")
        if not 1 <= self.quality <= 100:
            raise SchemaError(f"JPEG quality {self.quality} is not in 1..100")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ImageCodec":
        """Read the codec's JSON of the array metadata."""
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        """The codec's JSON in the array metadata."""
        configuration = {"format": self.format, "quality": self.quality}
        return {"name": "emohead.image", "configuration": configuration}

    def encode_picture(self, picture: np.ndarray) -> bytes:
        """File bytes of one uint8 (height, width, 3) picture."""
        picture = np.ascontiguousarray(picture)
        if self.format == "jpeg":
            return bytes(
                imagecodecs.jpeg8_encode(
                    picture,
                    level=self.quality,
                    subsampling="444",
                    optimize=True,  # 3 to 4 % smaller; decodes as fast, to the same picture
                )
            )
        return bytes(imagecodecs.jpegxl_encode(picture, lossless=True, effort=1))

    def decode_picture(self, data: bytes) -> np.ndarray:
        """The picture in file bytes; raises CorruptionError where there is none."""
        try:
            if self.format == "jpeg":
                return imagecodecs.jpeg8_decode(data)
            return imagecodecs.jpegxl_decode(data)
        except Exception as error:  # imagecodecs has one error type per format
            raise CorruptionError(
                f"{len(data)} stored bytes are not a {self.format} picture ({error}): "
                "`emohead store validate --read-data` says which cell; then compute it again"
            ) from error

    def _encode(self, chunk: NDBuffer, spec: ArraySpec) -> Buffer:
        data = self.encode_picture(chunk.as_numpy_array()[0])
        return spec.prototype.buffer.from_bytes(data)

    def _decode(self, chunk: Buffer, spec: ArraySpec) -> NDBuffer:
        picture = self.decode_picture(chunk.to_bytes())
        if picture.shape != tuple(spec.shape[1:]):
            raise CorruptionError(
                f"a stored picture has shape {picture.shape}, its array {tuple(spec.shape[1:])}"
            )
        return spec.prototype.nd_buffer.from_numpy_array(picture[None])

    # Pictures are independent and the C libraries release the GIL: one thread each.
    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        return await asyncio.to_thread(self._encode, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode, chunk_data, chunk_spec)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown before encoding."""
        raise NotImplementedError("the size of a compressed picture is known after encoding")


register_codec("emohead.image", ImageCodec)
