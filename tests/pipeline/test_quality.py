"""Quality: what is measured against clips whose faults are known, and what the limits say."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ProfileError
from pipeline.lag import LagConfig, lag_of
from pipeline.process import process_clip
from pipeline.profiles import load_profile
from pipeline.quality import picture_hash, words_against_sound
from pipeline.quality_rules import FLAGS, QualityConfig, judge
from pipeline.scan import scan
from pipeline.transcript import Transcript, Word


def talk(frames: int = 300, shift: int = 0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A mouth that opens in syllables, and a voice as loud as it was `shift` frames ago."""
    rng = np.random.default_rng(seed)
    open_ = np.convolve(rng.random(frames + 80) ** 3, np.hanning(5), "same")
    mouth = open_[40 : 40 + frames] + 0.05 * rng.random(frames)
    loud = np.repeat(open_[40 - shift : 40 - shift + frames], 640)
    return mouth.astype(np.float32), (0.1 * loud * rng.normal(size=loud.size)).astype(np.float32)


@pytest.mark.parametrize("shift", [-7, -2, 0, 3, 9])
def test_a_known_lag_is_read_to_a_third_of_a_frame(shift: int):
    lag = lag_of(*talk(shift=shift))
    assert lag is not None
    assert lag.believed
    assert lag.seconds == pytest.approx(shift / 25, abs=1 / 75)


def test_a_voice_of_somebody_else_is_not_believed():
    believed = 0
    for seed in range(20):
        mouth, _ = talk(seed=seed)
        _, other = talk(seed=100 + seed)
        lag = lag_of(mouth, other)
        assert lag is not None
        believed += lag.believed
    assert believed <= 2


def test_too_little_to_see_is_no_answer():
    mouth, sound = talk(150)
    assert lag_of(mouth, sound) is None
    mouth, sound = talk(300)
    assert lag_of(np.full_like(mouth, np.nan), sound) is None
    assert lag_of(np.full_like(mouth, 0.2), sound) is None
    assert lag_of(mouth, sound, LagConfig(least_frames=400)) is None


def test_two_takes_of_one_speaker_have_their_own_lags_in_every_part(
    processed: Any, shared_data: Path
):
    result = processed("obama/Obama_clip2.mkv", end=20)
    mouth = result.arrays["face/mar"]
    sound = result.arrays["audio/waveform"].reshape(-1) / np.float32(32_768)
    parts = [
        lag_of(mouth[start : start + 250], sound[640 * start : 640 * (start + 250)])
        for start in (0, 250)
    ]
    assert all(part is not None and part.believed for part in parts)
    assert [part.seconds for part in parts if part] == pytest.approx([0.08, 0.08], abs=0.03)


def test_words_must_fit_the_sound():
    sound = np.zeros(16_000 * 2, np.float32)
    sound[8000:24_000] = 0.1 * np.random.default_rng(0).normal(size=16_000)
    fits = Transcript("we go home", (Word("we", 0.6, 0.8), Word("go", 0.9, 1.2)))
    assert words_against_sound(fits, sound) == {
        "words_per_second": pytest.approx(3.0, abs=0.2),
        "words_in_silence_percent": 0.0,
    }
    late = Transcript("we go", (Word("we", 1.7, 1.8), Word("go", 0.9, 1.2)))
    assert words_against_sound(late, sound)["words_in_silence_percent"] == 50.0
    long = Transcript(" ".join(["word"] * 40))
    assert words_against_sound(long, sound)["words_per_second"] > 30


def test_a_hash_sees_the_scene_and_not_the_codec():
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    clip = np.repeat(scene[None], 10, axis=0)
    noisy = np.clip(clip + rng.normal(0, 6, clip.shape), 0, 255).astype(np.uint8)
    other = np.ascontiguousarray(clip[:, ::-1, ::-1])

    def bits(a: np.ndarray, b: np.ndarray) -> int:
        return (int(picture_hash(a), 16) ^ int(picture_hash(b), 16)).bit_count()

    assert bits(clip, noisy) <= 4
    assert bits(clip, other) > 15


GOOD = {
    "quality": {
        "face_found_percent": 100.0,
        "sharpness": 80.0,
        "yaw_deg": [-5.0, 9.0],
        "pitch_deg": [0.0, 9.0],
        "pose_error_px": 1.0,
        "mar_range": [0.02, 0.3],
        "audio_silent_percent": 20.0,
        "audio_clipped_percent": 0.0,
        "av_lag_s": 0.04,
        "words_per_second": 3.0,
    },
    "video": {"cuts_s": [], "longest_gap_s": 0.04, "damaged_packets": 0, "corrupt_frames": 0},
    "crop": {"several_faces": 1},
    "audio": {"starts_late_s": 0.0, "ends_early_s": 0.0},
}
BAD = [
    ("quality", "face_found_percent", 42.0, "face_found", "face in 42 %, at least 90 %"),
    ("quality", "sharpness", 3.0, "blur", "sharpness 3, at least 15"),
    ("quality", "yaw_deg", [-60.0, 2.0], "pose", "yaw 60°, at most 35°"),
    ("quality", "pose_error_px", 9.0, "pose_error", "error 9 px, at most 4 px"),
    ("quality", "mar_range", [0.1, 0.12], "mouth_still", "mouth range 0.02, at least 0.05"),
    ("quality", "audio_silent_percent", 90.0, "silent", "silent 90 %, at most 70 %"),
    ("quality", "audio_clipped_percent", 2.0, "clipped", "clipped 2 %, at most 0.1 %"),
    ("quality", "av_lag_s", -0.3, "late_sound", "sound 0.30 s before the lips, at most 0.12 s"),
    ("quality", "words_per_second", 12.0, "words", "words a voiced second 12, at most 7"),
    ("video", "cuts_s", [1.2, 3.0], "cuts", "2 cut(s), the first at 1.2 s"),
    ("video", "longest_gap_s", 1.5, "frozen", "no new picture for 1.5 s, at most 0.4 s"),
    ("video", "damaged_packets", 3, "damaged", "3 damaged; read to the end"),
    ("crop", "several_faces", 2, "several_faces", "2 faces; the main"),
    ("audio", "ends_early_s", 1.1, "sound_missing", "silence filled in for 1.1 s, at most 0.5 s"),
]


@pytest.mark.parametrize(("part", "key", "value", "flag", "reason"), BAD)
def test_each_limit_is_said_with_both_values(
    part: str, key: str, value: Any, flag: str, reason: str
):
    assert judge(GOOD, QualityConfig()) == {}
    facts = GOOD | {part: GOOD[part] | {key: value}}
    assert judge(facts, QualityConfig()) == {flag: reason}


def test_every_flag_can_be_raised_and_nothing_is_judged_that_was_not_measured():
    assert {flag for *_, flag, _ in BAD} == set(FLAGS)
    assert judge({}, QualityConfig()) == {}


def test_flags_reject_only_where_asked(shared_data: Path):
    source = scan(shared_data / "real" / "mead" / "M030_front_sad_level3_001.mp4").clips[0]
    source = replace(source, start=Fraction(0), end=Fraction(1))
    limits = {"least_sharpness": 9000.0}
    wanted = ("video/rgb", "face/landmarks")
    flagged = process_clip(source, wanted, load_profile(crop={"quality": limits}))
    assert set(flagged.arrays) == set(wanted)
    assert "at least 9000" in flagged.facts["flags"]["blur"]
    strict = load_profile(crop={"quality": limits | {"reject": ["blur"]}})
    refused = process_clip(source, wanted, strict)
    assert not refused.arrays
    assert set(refused.rejected) == set(wanted)
    assert "soft picture: sharpness" in refused.rejected["video/rgb"]
    with pytest.raises(ProfileError, match=r"no flag \['sharpness'\]; there are face_found"):
        load_profile(crop={"quality": {"reject": ["sharpness"]}})


def test_limits_that_only_flag_change_no_fingerprint():
    plain = load_profile().identity_of("face/landmarks")
    assert load_profile(crop={"quality": {"most_yaw": 9.0}}).identity_of("face/landmarks") == plain
    strict = {"most_yaw": 9.0, "reject": ["pose"]}
    assert load_profile(crop={"quality": strict}).identity_of("face/landmarks") != plain
