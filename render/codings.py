"""How a video is coded, by the ending of its name.

===========  =====================================  ===================
ending       opaque                                 transparent
===========  =====================================  ===================
``.mp4``     H.264 + AAC                            no (H.264 has none)
``.mov``     H.264 + AAC                            ProRes 4444 + PCM
``.webm``    VP9 + Opus                             VP9 alpha + Opus
===========  =====================================  ===================

Encoders run on one thread: then equal frames give equal bytes, however many cores there are, and a
run that goes on after a kill ends with the file it would have made.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from render.errors import VideoError


@dataclass(frozen=True)
class Coding:
    """Options of ffmpeg for one kind of file."""

    suffix: str
    transparent: bool
    video: dict[str, Any]
    sound: dict[str, Any]
    mux: dict[str, Any] = field(default_factory=dict)

    @property
    def pixels(self) -> str:
        """Raw format of the frames that are handed in."""
        return "rgba" if self.transparent else "rgb24"

    @property
    def channels(self) -> int:
        """Values a pixel."""
        return 4 if self.transparent else 3


_H264 = {"vcodec": "libx264", "pix_fmt": "yuv420p", "crf": 18, "preset": "veryfast"}
_AAC = {"acodec": "aac", "audio_bitrate": "160k"}
_VP9 = {
    "vcodec": "libvpx-vp9",
    "crf": 24,
    "video_bitrate": 0,
    "deadline": "good",
    "cpu-used": 5,
    "row-mt": 0,
}
_OPUS = {"acodec": "libopus", "audio_bitrate": "128k"}
_PRORES = {
    "vcodec": "prores_ks",
    "profile:v": "4444",
    "pix_fmt": "yuva444p10le",
    "alpha_bits": 16,
    "vendor": "apl0",
}
_FAST_START = {"movflags": "+faststart"}

_CODINGS = {
    (".mp4", False): Coding(".mp4", False, _H264, _AAC, _FAST_START),
    (".mov", False): Coding(".mov", False, _H264, _AAC, _FAST_START),
    (".mov", True): Coding(".mov", True, _PRORES, {"acodec": "pcm_s16le"}, _FAST_START),
    (".webm", False): Coding(".webm", False, {**_VP9, "pix_fmt": "yuv420p"}, _OPUS),
    (".webm", True): Coding(
        ".webm", True, {**_VP9, "pix_fmt": "yuva420p"}, _OPUS, {"metadata:s:v:0": "alpha_mode=1"}
    ),
}


def coding_of(path: Path, transparent: bool = False) -> Coding:
    """Coding for a file of this name.

    Raises:
        VideoError: an ending that is not known, or one that cannot be transparent.
    """
    suffix = path.suffix.lower()
    if found := _CODINGS.get((suffix, transparent)):
        return found
    if transparent and (suffix, False) in _CODINGS:
        raise VideoError(
            f"{path.name}: a transparent background in a {suffix} file: H.264 has no "
            "transparency; name the video .mov (ProRes 4444) or .webm (VP9)"
        )
    known = ", ".join(dict.fromkeys(name for name, _ in _CODINGS))
    raise VideoError(
        f"{path.name}: the ending {suffix or 'is missing and'!s} says no way to code a video; "
        f"name it one of {known}"
    )
