"""Every odd and broken file at hand: no crash, and the right reason."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.process import process_clip
from pipeline.profiles import Profile, load_profile
from pipeline.scan import scan
from pipeline.source import ClipSource

WANTED = ("video/rgb", "face/landmarks", "audio/waveform")
REASONS = {
    "decord__corrupted.mp4": "no face",
    "decord__video_0.mov": "no face",
    "decord__video_270.mov": "no face",
    "eamm__00015.mov": "no video stream (it holds audio pcm_s16le)",
    "empactvr__result_fortnite.avi": "the face is too small",  # three cartoon heads
    "exoplayer__dolbyVision-hdr.MOV": "no face",
    "exoplayer__hdr10-video-with-sdr-container.mp4": "no face",
    "exoplayer__portrait_4k60.mp4": "no face",
    "exoplayer__sample.avi": "no face",
    "exoplayer__sample_ac3_aac.mp4": "no video stream (it holds audio ac3, audio aac)",
    "exoplayer__sample_android_slow_motion.mp4": "no face",
    "exoplayer__sample_dthd.mp4": "no video stream (it holds audio truehd)",
    "exoplayer__sample_with_colr_mdcv_and_clli.mp4": "no face",
    "exoplayer__sample_with_increasing_timestamps.mp4": "no face",
    "exoplayer__video_desks.3gp": "no face",
    "mp4parse__bipbop_480wp_1001kbps-cenc-video-key1-init.mp4": "the video stream is empty",
    "mp4parse__h264_white_frame_sar_16_9.mp4": "no face",
    "mp4parse__minimal.mp4": "no face",
    "mp4parse__test_case_1185230.mp4": "no video frame decodes",
    "pyfeat__noface_face.mov": "1 cut(s) at 3.95 s",
    "torchcodec__av1_video.mkv": "no face",
    "torchcodec__h264_10bits.mp4": "no face",
    "torchcodec__h265_video.mp4": "no face",
}
"""File to (the beginning of) its reason; the others are usable."""
USABLE = {
    "pyfeat__face_noface.mov",
    "exoplayer__sample_fragmented.mp4",  # a man at a desk; only its header lies
}
QUICK = ("decord__video_270.mov", "exoplayer__video_desks.3gp", "torchcodec__h264_10bits.mp4")


def verdict(path: Path, profile: Profile) -> dict[str, str]:
    """Reason by feature; empty when all is well."""
    try:
        found = scan(path)
    except InputError as error:
        return {"scan": str(error)}
    if found.rejected:
        return {"scan": found.rejected[0][1]}
    return process_clip(found.clips[0], WANTED, profile).rejected


@pytest.mark.parametrize("name", QUICK)
def test_a_few_odd_files(shared_data: Path, profile: Profile, name: str):
    assert REASONS[name] in verdict(shared_data / "bad" / name, profile)["video/rgb"]


@pytest.mark.slow
def test_every_bad_file_gets_its_reason(shared_data: Path, profile: Profile):
    wrong = {}
    for path in sorted((shared_data / "bad").iterdir()):
        began = time.monotonic()
        said = verdict(path, profile)
        assert time.monotonic() - began < 60, path.name
        expected = "no videos in" if path.suffix in (".wav", ".mp3") else REASONS.get(path.name)
        if expected is None:
            right = path.name in USABLE and "video/rgb" not in said
        else:
            right = bool(said) and all(expected in reason for reason in said.values())
        if not right:
            wrong[path.name] = said
    assert not wrong


@pytest.mark.slow
def test_a_face_that_comes_or_goes_is_missing_where_it_is_not_there(shared_data: Path):
    profile = load_profile("embedded", crop={"video": {"cuts": "keep"}})
    for name, there in (("face_noface", slice(0, 40)), ("noface_face", slice(-40, None))):
        source = scan(shared_data / "bad" / f"pyfeat__{name}.mov").clips[0]
        result = process_clip(source, WANTED, profile)
        seen = result.arrays["face/landmarks"][:, 0, 0]
        assert 0.2 < np.isfinite(seen).mean() < 0.8
        assert np.isfinite(seen[there]).mean() > 0.9
        assert np.array_equal(result.arrays.get("face/found", np.isfinite(seen)), np.isfinite(seen))


def mutate(data: bytes, noise: np.random.Generator) -> bytes:
    """Damage as it happens: flipped bytes in head or body, a hole, an early end."""
    out = bytearray(data)
    kind = noise.integers(4)
    if kind == 0:
        return bytes(out[: noise.integers(1, len(out))])
    if kind == 1:
        where = noise.integers(0, min(2000, len(out)), 12)
    elif kind == 2:
        where = noise.integers(0, len(out), 60)
    else:
        start = int(noise.integers(0, len(out)))
        out[start : start + 3000] = bytes(len(out[start : start + 3000]))
        return bytes(out)
    for at in where:
        out[at] = noise.integers(256)
    return bytes(out)


@pytest.mark.slow
def test_damaged_copies_are_refused_or_whole(shared_data: Path, profile: Profile, tmp_path: Path):
    """200 mutations of four containers: never a crash, never arrays that do not fit together."""
    noise = np.random.default_rng(5)
    names = ("mead/M030_front_sad_level3_001.mkv", "grid/bbaf2n.mpg", "silent/d0.mp4")
    for name in names:
        original = shared_data / "real" / name
        source: ClipSource = scan(original).clips[0]
        data = original.read_bytes()
        for number in range(67):
            path = tmp_path / f"{number}{original.suffix}"
            path.write_bytes(mutate(data, noise))
            result = process_clip(replace(source, path=path), ("audio/waveform",), profile)
            for array in result.arrays.values():
                assert len(array) == result.frames
            path.unlink()
