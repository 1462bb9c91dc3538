"""Which ffmpeg binary to run."""

import shutil

from pipeline.errors import MediaError


def ffmpeg_exe() -> str:
    """Path of ffmpeg: on PATH, else in the imageio-ffmpeg wheel; MediaError if neither."""
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        import imageio_ffmpeg  # only where there is no ffmpeg: its binary is large

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise MediaError(
            f"no ffmpeg: none on PATH, and the imageio-ffmpeg wheel has none ({error}). "
            "Cure: install ffmpeg, or `pip install imageio-ffmpeg`"
        ) from error
