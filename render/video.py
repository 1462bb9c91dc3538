"""Writing a video: frames streamed to ffmpeg, sound beside them, frame for frame."""

import contextlib
import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import ffmpeg
import numpy as np
from jaxtyping import Int16, UInt8

from pipeline.clock import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from pipeline.ffmpeg import ffmpeg_exe
from render.codings import coding_of
from render.errors import VideoError


class VideoWriter:
    """Takes frames one by one; the file appears under its name only when it is complete.

    >>> with VideoWriter(path, 256, sound) as video:
    ...     for frame in frames:
    ...         video.write(frame)
    """

    def __init__(
        self,
        path: Path,
        size: int,
        sound: Int16[np.ndarray, " samples"] | None = None,
        *,
        transparent: bool = False,
    ) -> None:
        """size: side of the frames in pixels, even; sound: 16 kHz mono, 640 samples a frame.

        Raises:
            VideoError: an odd size (colour is stored at half resolution), an ending that names no
                coding (`render.codings`).
        """
        check_size(path, size)
        self.path = path
        self.size = size
        self.frames = 0
        self.coding = coding_of(path, transparent)
        self._sound = sound
        self._draft = path.with_name(f".{path.stem}.draft{path.suffix}")
        self._sound_file = path.with_name(f".{path.stem}.draft.s16")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = ffmpeg.input(
            "pipe:",
            format="rawvideo",
            pix_fmt=self.coding.pixels,
            s=f"{size}x{size}",
            framerate=FPS,
            thread_queue_size=64,
        )
        streams = [picture]
        options: dict[str, Any] = {
            **self.coding.video,
            **self.coding.mux,
            "threads": 1,
            "map_metadata": -1,
            "fflags": "+bitexact",
            "flags:v": "+bitexact",
        }
        if sound is not None:
            sound.astype("<i2").tofile(self._sound_file)
            streams.append(
                ffmpeg.input(str(self._sound_file), format="s16le", ar=SAMPLE_RATE, ac=1)
            )
            options |= self.coding.sound | {"flags:a": "+bitexact"}
        command = ffmpeg.output(*streams, str(self._draft), **options)
        self._process = subprocess.Popen(
            arguments(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def write(self, frame: UInt8[np.ndarray, "h w channels"]) -> None:
        """Append one frame: RGB, or RGBA (not premultiplied) of a transparent video.

        Raises:
            VideoError: a frame of another size, or ffmpeg gave up (its message is passed on).
        """
        wanted = (self.size, self.size, self.coding.channels)
        if frame.shape != wanted:
            raise VideoError(
                f"{self.path}: frame {self.frames} is {frame.shape}, the video is {wanted}; "
                "resize it first"
            )
        try:
            self._pipe().write(np.ascontiguousarray(frame).data)
        except BrokenPipeError as error:
            raise VideoError(f"{self.path}: ffmpeg stopped: {self._complaint()}") from error
        self.frames += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            VideoError: ffmpeg failed, or the sound does not last as long as the frames.
        """
        try:
            self._pipe().close()
        except BrokenPipeError as error:
            raise VideoError(f"{self.path}: ffmpeg stopped: {self._complaint()}") from error
        complaint = self._complaint()
        try:
            if self._process.returncode != 0:
                raise VideoError(f"{self.path}: ffmpeg failed: {complaint}")
            wanted = self.frames * SAMPLES_PER_FRAME
            if self._sound is not None and len(self._sound) != wanted:
                raise VideoError(
                    f"{self.path}: {self.frames} frames need {wanted} samples of sound, got "
                    f"{len(self._sound)}; cut sound and frames to the same length first"
                )
            self._draft.replace(self.path)
        finally:
            self._clean()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):  # it is dead: that is what was asked for
            self._pipe().close()
        self._complaint()
        self._clean()

    def __enter__(self) -> "VideoWriter":
        """Start writing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish, or leave nothing behind if the block failed."""
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _pipe(self) -> IO[bytes]:
        pipe = self._process.stdin
        if pipe is None:
            raise VideoError(f"{self.path}: ffmpeg has no input pipe")
        return pipe

    def _complaint(self) -> str:
        pipe = self._process.stderr
        error = pipe.read() if pipe and not pipe.closed else b""
        self._process.wait()
        if pipe:
            pipe.close()
        return error.decode(errors="replace").strip()[-500:]

    def _clean(self) -> None:
        self._draft.unlink(missing_ok=True)
        self._sound_file.unlink(missing_ok=True)


def check_size(path: Path, size: int) -> None:
    """Hold a frame's side against what can be coded.

    Raises:
        VideoError: odd, or nothing.
    """
    if size % 2 or size < 2:
        raise VideoError(
            f"{path}: frames of {size} px; an even size is needed (colour is stored at half "
            f"resolution): take {max(2, size - size % 2)} or {max(2, size + size % 2)}"
        )


def arguments(command: Any) -> list[str]:
    """The command line of an ffmpeg-python graph: quiet, overwriting."""
    quiet = command.global_args("-hide_banner", "-loglevel", "error").overwrite_output()
    return [str(part) for part in ffmpeg.compile(quiet, cmd=ffmpeg_exe())]
