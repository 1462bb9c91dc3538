"""Loudness of a clip brought to one level, so that a distant microphone is no other language."""

import numpy as np
from jaxtyping import Float32

from pipeline.speech.steps import FIELD_SAMPLES


def speech_level(audio: Float32[np.ndarray, " samples"]) -> float | None:
    """Level of the loud half of a clip, dBFS (RMS); None where all is digital silence.

    The median over 25 ms pieces separates speech from pauses without a detector; the RMS of what
    lies above it is the level.
    """
    pieces = len(audio) // FIELD_SAMPLES
    if pieces == 0:
        return None
    power = np.square(audio[: pieces * FIELD_SAMPLES].reshape(pieces, -1), dtype=np.float64)
    power = power.mean(axis=1)
    loud = power[power >= np.median(power)].mean()
    return None if loud <= 0 else float(10 * np.log10(loud))


def levelled(
    audio: Float32[np.ndarray, " samples"], target_db: float | None, max_gain_db: float
) -> tuple[Float32[np.ndarray, " samples"], float]:
    """Sound at `target_db` dBFS and the gain applied, dB; None leaves it as it is.

    The gain upwards is limited: beyond `max_gain_db` one would amplify noise.
    """
    level = None if target_db is None else speech_level(audio)
    if level is None or target_db is None:
        return audio, 0.0
    gain = min(target_db - level, max_gain_db)
    return (audio * np.float32(10 ** (gain / 20))).astype(np.float32), gain
