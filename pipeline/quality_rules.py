"""When a measured clip is worth a second look, or no look at all: limits, and reasons in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ProfileError


@dataclass(frozen=True)
class QualityConfig:
    """Limits of a good clip. A clip beyond one is flagged; `reject` makes flags reasons."""

    least_face_found: float = 90.0
    """Percent of frames with a face."""
    least_sharpness: float = 15.0
    """Variance of the Laplacian inside the face (8-bit, at the dataset's size)."""
    most_yaw: float = 35.0
    """Degrees to either side, 5th and 95th percentile."""
    most_pitch: float = 30.0
    """Degrees up or down, 5th and 95th percentile."""
    most_pose_error: float = 4.0
    """Median reprojection error of the rigid landmarks, pixels at 256."""
    least_mouth_range: float = 0.05
    """Range of the mouth aspect ratio (5th to 95th percentile): below, nobody speaks."""
    most_silent: float = 70.0
    """Percent of silent frames."""
    most_clipped: float = 0.1
    """Percent of samples at full scale."""
    most_lag: float = 0.12
    """Seconds between lips and voice to either side, where the estimate is believed."""
    most_words: float = 7.0
    """Words per voiced second; above, the transcript belongs to another recording."""
    least_words: float = 0.7
    """Words per voiced second; below, words are missing."""
    most_words_in_silence: float = 25.0
    """Percent of timed words during which there is no sound."""
    most_gap: float = 0.4
    """Seconds one source picture stands still."""
    reject: tuple[str, ...] = ()
    """Names of flags that refuse the clip, e.g. `face_found`, `cuts`."""

    def __post_init__(self) -> None:
        """A misspelt flag would silently reject nothing."""
        unknown = sorted(set(self.reject) - set(FLAGS))
        if unknown:
            raise ProfileError(f"quality.reject: no flag {unknown}; there are {', '.join(FLAGS)}")


FLAGS = {
    "face_found": "face lost",
    "blur": "soft picture",
    "pose": "head turned far",
    "pose_error": "pose fits badly",
    "mouth_still": "mouth hardly moves",
    "silent": "mostly silent",
    "clipped": "sound clipped",
    "late_sound": "sound out of step",
    "words": "transcript does not fit",
    "cuts": "cut inside",
    "frozen": "picture stands still",
    "damaged": "damaged packets",
    "several_faces": "several faces",
    "sound_missing": "sound starts late or ends early",
}
"""Flags and what they mean, in the order in which they are shown."""


def judge(facts: Mapping[str, Any], config: QualityConfig) -> dict[str, str]:
    """Flag to reason, with the measured value and the limit.

    Args:
        facts: what `process_clip` recorded: `quality`, `video`, `crop`, `audio`.
        config: the limits.
    """
    quality, video = facts.get("quality", {}), facts.get("video", {})
    crop, audio = facts.get("crop", {}), facts.get("audio", {})
    found: dict[str, str] = {}

    def low(flag: str, what: str, value: float | None, limit: float, unit: str = "") -> None:
        if value is not None and value < limit:
            found[flag] = f"{what} {value:.4g}{unit}, at least {limit:g}{unit}"

    def high(flag: str, what: str, value: float | None, limit: float, unit: str = "") -> None:
        if value is not None and value > limit:
            found[flag] = f"{what} {value:.4g}{unit}, at most {limit:g}{unit}"

    low("face_found", "face in", quality.get("face_found_percent"), config.least_face_found, " %")
    low("blur", "sharpness", quality.get("sharpness"), config.least_sharpness)
    for name, limit in (("pitch", config.most_pitch), ("yaw", config.most_yaw)):
        turned = [abs(angle) for angle in quality.get(f"{name}_deg", ())]
        high("pose", name, max(turned, default=None), limit, "°")
    high("pose_error", "error", quality.get("pose_error_px"), config.most_pose_error, " px")
    mouth = quality.get("mar_range")
    span = None if mouth is None else round(mouth[1] - mouth[0], 3)
    low("mouth_still", "mouth range", span, config.least_mouth_range)
    high("silent", "silent", quality.get("audio_silent_percent"), config.most_silent, " %")
    high("clipped", "clipped", quality.get("audio_clipped_percent"), config.most_clipped, " %")
    lag = quality.get("av_lag_s")
    if lag is not None and abs(lag) > config.most_lag:
        side = "after" if lag > 0 else "before"
        found["late_sound"] = f"sound {abs(lag):.2f} s {side} the lips, at most {config.most_lag} s"
    high("words", "words a voiced second", quality.get("words_per_second"), config.most_words)
    low("words", "words a voiced second", quality.get("words_per_second"), config.least_words)
    silent = quality.get("words_in_silence_percent")
    high("words", "words in silence", silent, config.most_words_in_silence, " %")
    if video.get("cuts_s"):
        found["cuts"] = f"{len(video['cuts_s'])} cut(s), the first at {video['cuts_s'][0]} s"
    high("frozen", "no new picture for", video.get("longest_gap_s"), config.most_gap, " s")
    broken = video.get("damaged_packets", 0) + video.get("corrupt_frames", 0)
    if broken or video.get("cut_off"):
        found["damaged"] = f"{broken} damaged; {video.get('cut_off') or 'read to the end'}"
    if crop.get("several_faces", 1) > 1:
        found["several_faces"] = f"{crop['several_faces']} faces; {crop.get('chosen', 'the main')}"
    missing = max(audio.get("starts_late_s", 0.0), audio.get("ends_early_s", 0.0))
    high("sound_missing", "silence filled in for", missing, 0.5, " s")
    return found
