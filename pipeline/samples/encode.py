"""Frames and sound into an mp4: H.264 and AAC, both starting at 0."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import ffmpeg
import numpy as np

from pipeline.clock import FPS
from pipeline.errors import MediaError
from pipeline.ffmpeg import ffmpeg_exe


def encode(path: Path, frames: Iterable[np.ndarray], size: int, sound: Path) -> None:
    """Write `path` from RGB frames [size, size, 3] and a wav; MediaError with ffmpeg's own words."""
    pictures = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{size}x{size}", framerate=FPS
    )
    # the mp4's edit list hides the encoder's priming, so decoded sound starts at the wav's first sample
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
    command = ffmpeg.compile(output, cmd=ffmpeg_exe(), overwrite_output=True)
    command[1:1] = ["-hide_banner", "-loglevel", "error"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None and process.stderr is not None  # both were asked for above
    try:
        for frame in frames:
            process.stdin.write(frame.tobytes())
        process.stdin.close()
    except BrokenPipeError:
        pass  # ffmpeg has said why on stderr
    except BaseException:
        process.kill()
        process.wait()
        raise
    message = process.stderr.read().decode(errors="replace").strip()
    if process.wait() != 0:
        raise MediaError(f"{path}: ffmpeg failed with code {process.returncode}: {message}")
