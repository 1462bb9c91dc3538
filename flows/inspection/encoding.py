"""Pictures and sound as files in memory."""

import io
import wave

import numpy as np
from jaxtyping import Int16, UInt8
from PIL import Image

from pipeline.clock import SAMPLE_RATE

JPEG_QUALITY = 92


def jpeg(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """One RGB picture as a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def wav(samples: Int16[np.ndarray, " samples"]) -> bytes:
    """Samples of the clock's rate as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()
