"""Writing a video: H.264 frames streamed to ffmpeg, AAC sound beside them, frame for frame."""

import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import ffmpeg
import numpy as np
from jaxtyping import Int16, UInt8

from pipeline.clock import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from pipeline.ffmpeg import ffmpeg_exe
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
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        """size: side of the frames in pixels, even; sound: 16 kHz mono, 640 samples a frame.

        Raises:
            VideoError: an odd size (H.264 stores colour at half resolution).
        """
        if size % 2 or size < 2:
            raise VideoError(f"{path}: frames of {size} px; H.264 wants an even size")
        self.path = path
        self.size = size
        self.frames = 0
        self._sound = sound
        self._draft = path.with_name(f".{path.stem}.draft{path.suffix}")
        self._sound_file = path.with_name(f".{path.stem}.draft.s16")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = ffmpeg.input(
            "pipe:",
            format="rawvideo",
            pix_fmt="rgb24",
            s=f"{size}x{size}",
            framerate=FPS,
            thread_queue_size=64,
        )
        streams = [picture]
        options: dict[str, Any] = {
            "vcodec": "libx264",
            "pix_fmt": "yuv420p",
            "crf": crf,
            "preset": preset,
            "movflags": "+faststart",
            "map_metadata": -1,
        }
        if sound is not None:
            sound.astype("<i2").tofile(self._sound_file)
            streams.append(
                ffmpeg.input(str(self._sound_file), format="s16le", ar=SAMPLE_RATE, ac=1)
            )
            options |= {"acodec": "aac", "audio_bitrate": "128k"}
        command = ffmpeg.output(*streams, str(self._draft), **options)
        command = command.global_args("-hide_banner", "-loglevel", "error").overwrite_output()
        self._process = subprocess.Popen(
            ffmpeg.compile(command, cmd=ffmpeg_exe()),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def write(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Append one RGB frame.

        Raises:
            VideoError: a frame of another size, or ffmpeg gave up (its message is passed on).
        """
        if frame.shape != (self.size, self.size, 3):
            raise VideoError(
                f"{self.path}: frame {self.frames} is {frame.shape}, the video is "
                f"{(self.size, self.size, 3)}; resize it first"
            )
        try:
            self._pipe().write(np.ascontiguousarray(frame).tobytes())
        except BrokenPipeError as error:
            raise VideoError(f"{self.path}: ffmpeg stopped: {self._complaint()}") from error
        self.frames += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            VideoError: ffmpeg failed, or the sound does not last as long as the frames.
        """
        self._pipe().close()
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
            return
        self._process.kill()
        self._pipe().close()
        self._complaint()
        self._clean()

    def _pipe(self) -> IO[bytes]:
        pipe = self._process.stdin
        if pipe is None:
            raise VideoError(f"{self.path}: ffmpeg has no input pipe")
        return pipe

    def _complaint(self) -> str:
        error = self._process.stderr.read() if self._process.stderr else b""
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        return error.decode(errors="replace").strip()[-500:]

    def _clean(self) -> None:
        self._draft.unlink(missing_ok=True)
        self._sound_file.unlink(missing_ok=True)
