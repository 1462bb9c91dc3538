"""A file leads nowhere else, its name is data, and its header is not believed beyond limits."""

import socket
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.error import FFmpegError
from av.stream import Disposition

from pipeline import media
from pipeline.errors import MediaError
from pipeline.geometry import Square
from pipeline.media_video import VideoConfig, read_video
from pipeline.scan import scan
from pipeline.sound import read_sound

TENTH = [Fraction(i, 25) for i in range(4)]


@pytest.fixture
def server():
    """A port that counts who calls."""
    calls: list[Any] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.05)
        stop = threading.Event()

        def listen():
            while not stop.is_set():
                try:
                    calls.append(listener.accept())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield listener.getsockname()[1], calls
        stop.set()
        thread.join()


POINTERS = {
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n",
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n",
    "list.mkv": "ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/a.ts'\n",
    "passwd.mkv": "ffconcat version 1.0\nfile '/etc/passwd'\n",
    "dash.mp4": '<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1:{port}/</BaseURL></MPD>',
    "sdp.mov": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", POINTERS)
@pytest.mark.parametrize("disguise", [b"", b"\x00\xff"])  # text is refused before ffmpeg sees it
def test_playlists_neither_call_nor_read_elsewhere(
    tmp_path: Path, server: Any, name: str, disguise: bytes
):
    port, calls = server
    path = tmp_path / name
    path.write_bytes(POINTERS[name].format(port=port).encode() + disguise)
    for look in (media.probe, media.length, read_sound):
        with pytest.raises(MediaError) as caught:
            look(path)
        assert "root:" not in str(caught.value)
    assert calls == []


def test_without_the_limits_the_same_file_calls(maker: Any, server: Any):
    """The tests above can fail: with network protocols on, the server hears of it."""
    port, calls = server
    path = maker.folder / "list.mp4"
    path.write_text(POINTERS["hls.mp4"].format(port=port))
    renamed = path.rename(path.with_suffix(".m3u8"))
    with pytest.raises(FFmpegError):
        av.open(str(renamed), timeout=0.5, options={"protocol_whitelist": "file,http,tcp"})
    assert len(calls) >= 1


NAMES = (
    "-i.mp4",
    "--help.mp4",
    "'quoted' \"twice\".mp4",
    "new\nline.mp4",
    "ünï-日本語.mp4",
    "%03d.mp4",
    "http:a.mp4",
    "concat:a|b.mp4",
    "file:x.mp4",
    "$(touch owned);`id`&.mp4",
    "pipe:0.mp4",
    "[glob]*?.mp4",
)


@pytest.mark.parametrize("name", NAMES)
def test_file_names_are_data(maker: Any, monkeypatch: Any, read_number: Any, name: str):
    made = maker.write("plain.mp4", TENTH)
    path = made.rename(maker.folder / name)
    monkeypatch.chdir(maker.folder)
    for given in (path, Path(name)):
        info = media.probe(given)
        video = read_video(info, 96, lambda *_: Square(0, 0, 96))
        assert [read_number(frame) for frame in video.frames] == [0, 1, 2, 3]
    (clip,) = scan(maker.folder).clips
    assert clip.path == path
    assert not set(clip.clip_id) - set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    )
    assert not (maker.folder / "owned").exists()


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(maker: Any, monkeypatch: Any):
    path = maker.write("clip.mp4", TENTH, size=(128, 96))
    monkeypatch.setattr("pipeline.media_file.AREA_LIMIT", 10_000)
    with pytest.raises(MediaError, match=r"clip\.mp4"):
        media.probe(path)


def test_a_picture_that_stands_still_too_long_is_refused_and_said(maker: Any):
    path = maker.write("gap.mp4", [Fraction(0), Fraction(1, 25), Fraction(3)])
    with pytest.raises(MediaError, match=r"no new picture for 2\.96 s at 0\.04 s; at most 2\.0 s"):
        read_video(media.probe(path), 96, lambda *_: Square(0, 0, 96))
    kept = read_video(
        media.probe(path), 96, lambda *_: Square(0, 0, 96), config=VideoConfig(longest_gap=5.0)
    )
    assert kept.facts["longest_gap_s"] == pytest.approx(2.96)


def test_a_time_stamp_of_hours_makes_no_hours_of_frames(maker: Any):
    path = maker.write("far.mkv", [Fraction(0), Fraction(1, 25), Fraction(40_000)])
    with pytest.raises(MediaError, match="40000 s in one clip; at most 900 s are read"):
        read_video(media.probe(path), 96, lambda *_: Square(0, 0, 96))


def test_the_stream_marked_as_default_is_taken_and_the_others_named(tmp_path: Path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for width in (64, 96):
            stream: Any = container.add_stream("libx264", rate=25)
            stream.width = stream.height = width
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        streams[0].disposition = 0
        streams[1].disposition = Disposition.default
        for number in range(3):
            for stream in streams:
                picture = np.full((stream.height, stream.width, 3), 99, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    info = media.probe(path)
    assert (info.video.width, info.video.index) == (96, 1)
    assert info.others == ("video h264",)
