"""Frames and sound into an mp4: H.264 and AAC, both starting at 0."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import ffmpeg
import numpy as np

from pipeline.clock import FPS
from pipeline.errors import MediaError
from pipeline.ffmpeg import ffmpeg_exe


def encode(path: Path, frames: Iterable[np.ndarray], size: int, sound: Path) -> None:
    """Write `path` from RGB frames [size, size, 3] and a wav; MediaError in ffmpeg's own words."""
    pictures = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{size}x{size}", framerate=FPS
    )
    # the mp4's edit list hides the encoder's priming: decoded sound starts at the wav's start
    output = ffmpeg.output(
        pictures,
        ffmpeg.input(str(sound)).audio,
        str(path),
        vcodec="libx264",
        crf=14,
        preset="veryfast",
        pix_fmt="yuv420p",
        colorspace="bt709",
        color_primaries="bt709",
        color_trc="bt709",
        vf="scale=out_color_matrix=bt709:out_range=tv",
        threads=1,
        acodec="aac",
        audio_bitrate="96k",
        movflags="+faststart",
        fflags="+bitexact",
        map_metadata=-1,
    )
    command = [str(word) for word in ffmpeg.compile(output, overwrite_output=True)]
    command = [ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *command[1:]]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        try:
            _feed(process, frames)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() != 0:
            log.seek(0)
            message = log.read().decode(errors="replace").strip()
            raise MediaError(f"{path}: ffmpeg failed with code {process.returncode}: {message}")


def _feed(process: subprocess.Popen[bytes], frames: Iterable[np.ndarray]) -> None:
    if process.stdin is None:
        raise MediaError("ffmpeg was started without a pipe for its pictures")
    with contextlib.suppress(BrokenPipeError):  # ffmpeg then says why in its log
        for frame in frames:
            process.stdin.write(frame.tobytes())
        process.stdin.close()
