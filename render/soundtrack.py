"""The sound of a video: that of the file the user gave, not the 16 kHz the networks hear."""

from dataclasses import dataclass
from pathlib import Path

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from pipeline.clock import FPS
from pipeline.errors import MediaError
from pipeline.media_file import opened
from render.errors import VideoError

RATE = 48_000
"""Samples per second: a whole number a frame, and what AAC, Opus and editors like best."""
PER_FRAME = RATE // FPS


@dataclass(frozen=True)
class Soundtrack:
    """Raw 16-bit samples in a file, as many as the frames need."""

    path: Path
    channels: int
    frames: int
    rate: int = RATE


def write_soundtrack(source: Path, to: Path, frames: int) -> Soundtrack:
    """Sound of `source` at 48 kHz, mono or stereo, silence up to the end of the last frame.

    It is decoded as a stream: memory does not grow with its length. Where sound begins is where
    `pipeline.sound.read_sound` begins: the networks and the listener hear the same moment.

    Raises:
        MediaError: no sound in it.
        VideoError: it is longer than the frames: the file is not the one that was heard.
    """
    wanted = frames * PER_FRAME
    written = 0
    with opened(source) as container, to.open("wb") as out:
        if not container.streams.audio:
            raise MediaError(f"{source.name}: no audio stream; give a file with speech")
        channels = 1 if container.streams.audio[0].codec_context.channels == 1 else 2
        layout = "mono" if channels == 1 else "stereo"
        resampler = AudioResampler(format="s16", layout=layout, rate=RATE)

        def put(parts: list[AudioFrame]) -> int:
            total = 0
            for part in parts:
                samples = part.to_ndarray().reshape(-1)
                out.write(samples.astype("<i2").tobytes())
                total += len(samples) // channels
            return total

        for frame in container.decode(audio=0):
            written += put(resampler.resample(frame))
        written += put(resampler.resample(None))
        if written > wanted + PER_FRAME:
            raise VideoError(
                f"{source.name}: {written / RATE:.2f} s of sound for {frames / FPS:.2f} s of "
                "video; the file changed since it was heard, run again"
            )
        # What is missing becomes silence. A resampler may end a sample or two later than the other
        # rate's did: that, never a frame, is cut off.
        out.truncate(wanted * channels * 2)
    return Soundtrack(to, channels, frames)
