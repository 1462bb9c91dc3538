"""A sound file without pictures, on the same clock: what a head is to say."""

import math
from pathlib import Path

import numpy as np
from av.audio.resampler import AudioResampler
from jaxtyping import Float32

from pipeline import clock
from pipeline.encoder import ClipInputs
from pipeline.errors import MediaError
from pipeline.media_file import opened
from pipeline.transcript import Transcript

SILENCE = 1e-4
"""Peak (of 1) below which there is nothing to say: -80 dBFS."""
LONGEST = 3600
"""Seconds of speech that are read at most: the samples are held in memory."""


def read_sound(path: Path) -> Float32[np.ndarray, " samples"]:
    """16 kHz mono of any file ffmpeg reads, silence up to the end of its last frame: 640 V samples.

    Raises:
        MediaError: not there, not media, no sound in it, or digital silence.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such file; give the path of a sound or video file")
    seconds = 0.0
    chunks: list[np.ndarray] = []
    resampler = AudioResampler(format="flt", layout="mono", rate=clock.SAMPLE_RATE)
    with opened(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path.name}: no audio stream; give a file with speech")
        for frame in container.decode(audio=0):
            seconds += frame.samples / max(frame.sample_rate, 1)
            if seconds > LONGEST:
                raise MediaError(f"{path.name}: over {LONGEST} s of sound; cut it")
            chunks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        chunks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    samples = np.concatenate([np.zeros(0, np.float32), *chunks])
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < SILENCE:
        raise MediaError(
            f"{path.name}: {len(samples) / clock.SAMPLE_RATE:.2f} s of digital silence "
            f"(peak {peak:.1e} of 1); give a file with speech"
        )
    frames = math.ceil(len(samples) / clock.SAMPLES_PER_FRAME)
    return np.pad(samples, (0, clock.samples_of(frames) - len(samples)))


def speech_inputs(
    samples: Float32[np.ndarray, " samples"], transcript: Transcript | None = None
) -> ClipInputs:
    """The sound as encoders take it: a clip that is heard and not seen."""
    return ClipInputs(
        frames=len(samples) // clock.SAMPLES_PER_FRAME,
        transcript=transcript,
        audio_source=lambda: samples,
    )
