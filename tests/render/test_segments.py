"""Pieces that outlive a kill, and are joined into a video of the very frames, on the sound."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import ffmpeg
import numpy as np
import pytest

from pipeline.ffmpeg import ffmpeg_exe
from pipeline.sound import read_sound
from render.codings import coding_of
from render.errors import VideoError
from render.segments import Segments, pictures_in
from render.soundtrack import PER_FRAME, RATE, Soundtrack, write_soundtrack

SIZE = 32


def frame(i: int, channels: int = 3) -> np.ndarray:
    """Brightness tells the number; of a transparent frame only the middle is there."""
    picture = np.full((SIZE, SIZE, channels), 20 + 5 * i, np.uint8)
    if channels == 4:
        picture[..., 3] = 0
        picture[8:24, 8:24, 3] = 255
    return picture


def grow(folder: Path, frames: int, suffix: str = ".mp4", transparent: bool = False) -> Segments:
    coding = coding_of(Path("x" + suffix), transparent)
    with Segments(folder, SIZE, coding, frames, length=8) as segments:
        for i in range(segments.done, frames):
            segments.write(frame(i, coding.channels))
    return segments


def shown(path: Path) -> list[float]:
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate == 25
        frames = list(file.decode(video=0))
    times = [f.pts * f.time_base for f in frames if f.pts is not None and f.time_base is not None]
    # Matroska counts in milliseconds: 40 of them are a frame exactly.
    assert times == [Fraction(i, 25) for i in range(len(frames))]
    return [float(f.to_ndarray(format="rgb24").mean()) for f in frames]


def rgba(path: Path) -> np.ndarray:
    """Decoded by ffmpeg itself: PyAV's VP9 decoder leaves the transparency out."""
    decoder = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else []
    line = [ffmpeg_exe(), "-v", "error", *decoder, "-i", str(path)]
    raw = subprocess.run([*line, "-f", "rawvideo", "-pix_fmt", "rgba", "-"], stdout=subprocess.PIPE)
    return np.frombuffer(raw.stdout, np.uint8).reshape(-1, SIZE, SIZE, 4)


@pytest.mark.parametrize("frames", [1, 17, 23, 24])  # a last piece never shorter than eight
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
def test_pieces_become_one_video_of_every_frame(suffix: str, frames: int, tmp_path: Path) -> None:
    segments = grow(tmp_path / "pieces", frames, suffix)
    assert len(list((tmp_path / "pieces").iterdir())) == max(1, frames // 8)
    out = tmp_path / f"out{suffix}"
    segments.join(out, None, {})
    np.testing.assert_allclose(shown(out), 20 + 5 * np.arange(frames), atol=3)
    with av.open(str(out)) as file:
        order = [p.dts for p in file.demux(video=0) if p.size and p.dts is not None]
        assert len(set(np.diff(order))) <= 1  # no gap where pieces meet


@pytest.mark.parametrize("suffix", [".mov", ".webm"])
def test_transparency_survives_coding_and_joining(suffix: str, tmp_path: Path) -> None:
    segments = grow(tmp_path / "pieces", 11, suffix, transparent=True)
    out = tmp_path / f"out{suffix}"
    segments.join(out, None, {})
    frames = rgba(out)
    assert len(frames) == 11
    assert frames[:, 2, 2, 3].max() <= 2
    assert frames[:, 16, 16, 3].min() >= 250
    np.testing.assert_allclose(frames[:, 16, 16, 0], 20 + 5 * np.arange(11), atol=4)


def test_h264_cannot_be_transparent_and_an_unknown_ending_is_named() -> None:
    with pytest.raises(VideoError, match=r"out\.mp4: a transparent background.*\.mov.*\.webm"):
        coding_of(Path("out.mp4"), transparent=True)
    with pytest.raises(VideoError, match=r"the ending \.avi says no way.*\.mp4, \.mov, \.webm"):
        coding_of(Path("out.avi"))
    with pytest.raises(VideoError, match=r"33 px; an even size is needed.*take 32 or 34"):
        Segments(Path("nowhere"), 33, coding_of(Path("x.mp4")), 9)


CHILD = """
import sys, time; from pathlib import Path; import numpy as np
from render.codings import coding_of; from render.segments import Segments
with Segments(Path(sys.argv[1]), 32, coding_of(Path("x.mp4")), 40, length=8) as segments:
    for i in range(segments.done, 40):
        segments.write(np.full((32, 32, 3), 20 + 5 * i, np.uint8)); time.sleep(0.02)
"""


def test_after_a_kill_the_rest_is_written_and_the_file_is_the_same_byte_for_byte(
    tmp_path: Path,
) -> None:
    pieces = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(pieces)])
    deadline = time.monotonic() + 60
    while len(list(pieces.glob("0*.mp4"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    left = Segments(pieces, SIZE, coding_of(Path("x.mp4")), 40, length=8).done
    assert 16 <= left < 40
    assert left % 8 == 0
    grow(pieces, 40).join(tmp_path / "killed.mp4", None, {"comment": "c"})
    grow(tmp_path / "whole", 40).join(tmp_path / "whole.mp4", None, {"comment": "c"})
    assert (tmp_path / "killed.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_damaged_piece_and_what_follows_a_gap_are_written_again(tmp_path: Path) -> None:
    grow(tmp_path, 32)
    names = sorted(path.name for path in tmp_path.glob("0*"))
    assert names == [f"{8 * i:07d}-{8 * i + 7:07d}.mp4" for i in range(4)]
    whole = (tmp_path / names[1]).read_bytes()
    (tmp_path / names[1]).write_bytes(whole[: len(whole) // 2])
    assert Segments(tmp_path, SIZE, coding_of(Path("x.mp4")), 32).done == 8
    assert sorted(path.name for path in tmp_path.glob("0*")) == names[:1]


def test_wrong_counts_are_refused(tmp_path: Path) -> None:
    segments = grow(tmp_path / "pieces", 10)
    with pytest.raises(VideoError, match="10 frames, sound for 9"):
        segments.join(tmp_path / "out.mp4", Soundtrack(tmp_path / "s", 1, 9), {})
    segments.frames = 12
    with pytest.raises(VideoError, match="10 of 12 frames are written"):
        segments.join(tmp_path / "out.mp4", None, {})
    assert pictures_in(tmp_path / "nothing.mp4") == 0


def clap(path: Path, seconds: float, at: float, rate: int, channels: int, **coding: object) -> None:
    """A file that is quiet but for a clap of 5 ms."""
    samples = np.zeros((int(seconds * rate), channels), "<i2")
    first = round(at * rate)
    samples[first : first + rate // 200] = 20_000
    raw = path.with_suffix(".raw")
    samples.tofile(raw)
    stream = ffmpeg.input(str(raw), format="s16le", ar=rate, ac=channels)
    line = ffmpeg.compile(ffmpeg.output(stream, str(path), **coding), cmd=ffmpeg_exe())
    subprocess.run([*line[:1], "-v", "error", *line[1:]], check=True)


def onset(samples: np.ndarray, rate: int) -> float:
    """Seconds at which the sound first reaches half of its peak."""
    loud = np.abs(samples)
    return float(np.argmax(loud > loud.max() / 2)) / rate


@pytest.mark.parametrize(
    ("name", "rate", "channels", "coding"),
    [
        ("clap.wav", 16_000, 1, {}),
        ("clap.wav", 44_100, 2, {}),
        ("clap.mp3", 48_000, 2, {"acodec": "libmp3lame", "audio_bitrate": "128k"}),
        ("clap.m4a", 44_100, 1, {"acodec": "aac"}),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_clap_is_heard_in_the_frame_that_flashes(
    name: str, rate: int, channels: int, coding: dict[str, str], suffix: str, tmp_path: Path
) -> None:
    source = tmp_path / name
    clap(source, 1.61, 0.84, rate, channels, **coding)  # the clap begins frame 21
    heard = read_sound(source)
    frames = len(heard) // 640
    assert abs(onset(heard, 16_000) - 0.84) < 0.002
    kind = coding_of(Path("x" + suffix))
    with Segments(tmp_path / "pieces", SIZE, kind, frames, length=10) as segments:
        for i in range(frames):
            segments.write(np.full((SIZE, SIZE, 3), 220 if i == 21 else 30, np.uint8))
    sound = write_soundtrack(source, tmp_path / "sound", frames)
    assert (tmp_path / "sound").stat().st_size == frames * PER_FRAME * channels * 2
    out = tmp_path / f"out{suffix}"
    segments.join(out, sound, {})

    flash = int(np.argmax(shown(out)))
    with av.open(str(out)) as file:
        parts = list(file.decode(audio=0))
        assert file.streams.audio[0].codec_context.channels == channels
        assert file.streams.audio[0].rate == RATE
    first = float((parts[0].pts or 0) * (parts[0].time_base or 0))
    samples = np.concatenate([part.to_ndarray().reshape(-1, part.samples)[0] for part in parts])
    at = first + onset(samples.astype(np.float64), RATE)
    assert flash == 21
    assert abs(at - flash / 25) < 0.003


def test_sound_that_changed_since_it_was_heard_is_refused(tmp_path: Path) -> None:
    clap(tmp_path / "a.wav", 2.0, 1.0, 16_000, 1)
    with pytest.raises(VideoError, match=r"2\.00 s of sound for 1\.60 s of video"):
        write_soundtrack(tmp_path / "a.wav", tmp_path / "s", 40)
