"""The studio over HTTP: what it shows is the store's, what it may not give it does not give."""

import gzip
import io
import json
import re
import socket
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from studio_kit import contents, running_studio
from typer.testing import CliRunner

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")

import store
from flows.cli import app
from flows.config import MainJobConfig
from flows.errors import FlowError, NothingToDo
from flows.inspection.encoding import wav
from flows.main_job import main_job
from flows.orchestra import call
from flows.studio.faces import learn_face, ridge
from flows.studio.guard import LocalOnly, inside
from flows.studio.library import PAGE, Library, Query
from flows.studio.preview import Previews, Segment, complaint, timeline
from flows.studio.serve import listening
from models.emotion import Timeline
from pipeline.samples import heldout_speech
from store import Cache, Snapshot

SECRET = "nobody may read this"


@dataclass(frozen=True)
class Running:
    address: str
    store: Path
    out: Path
    snapshot: Snapshot
    clip: str
    before: dict[str, str]

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.address + path, timeout=60, **more)


@pytest.fixture(scope="module")
def studio(looked_at: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("studio")
    out = root / "out"
    (out / "heads").mkdir(parents=True)
    (root / "secret.mp4").write_text(SECRET)
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "head.json").write_text(SECRET)
    (root / "elsewhere" / "film.mp4").write_text(SECRET)
    (out / "link.mp4").symlink_to(root / "secret.mp4")
    (out / "way").symlink_to(root / "elsewhere")
    (out / "heads" / "evil").symlink_to(root / "elsewhere")
    (out / "notes.json").write_text(SECRET)
    (out / "video.mp4").write_bytes(b"a film")
    snapshot = Cache.open(looked_at).snapshot()
    clip = next(c for c in snapshot.clips("clips").index if c.startswith("iris_happy_s1"))
    before = contents(looked_at)
    own = root / "temporary"
    own.mkdir()
    with running_studio("--out", out, "--store", looked_at, temporary=own) as address:
        yield Running(address, looked_at, out, snapshot, str(clip), before)
    assert list(own.glob("emohead-studio-*")) == []  # the studio leaves nothing behind


def test_the_list_names_every_clip_and_why_one_was_refused(studio: Running):
    page = studio.get("/").text
    for name in ("iris_happy_s1.mp4", "iris_sad_s5.mp4", "grey.mp4"):
        assert name in page
    assert "5 of 5 clips" in page
    assert "no face" in page
    assert "1 of 5 clips" in studio.get("/?state=refused").text
    assert "2 of 5 clips" in studio.get("/?emotion=happy").text
    assert "0 of 5 clips" in studio.get("/?text=zzz&page=9").text


def test_a_clip_page_shows_facts_and_an_unknown_clip_is_said(studio: Running):
    page = studio.get(f"/clip/{studio.clip}").text
    assert "sharpness" in page
    assert "shore" in page  # a word that is said
    grey = next(c for c in studio.snapshot.clips("clips").index if c.startswith("grey"))
    assert "Nothing of this clip was kept" in studio.get(f"/clip/{grey}").text
    assert "No such clip" in studio.get("/clip/nobody").text


def test_pictures_landmarks_and_masks_are_the_stores(studio: Running):
    base, read = f"/clips/{studio.clip}", studio.snapshot.read
    answer = studio.get(f"{base}/picture.jpg?frame=7")
    shown = np.asarray(Image.open(io.BytesIO(answer.content))).astype(float)
    stored = read("clips", "video/rgb", studio.clip)
    assert np.abs(shown - stored[7].astype(float)).mean() < 3
    points = np.frombuffer(studio.get(f"{base}/landmarks.f32").content, "<f4")
    by_hand = read("clips", "face/landmarks", studio.clip)[..., :2] / 128
    assert points.reshape(by_hand.shape) == pytest.approx(by_hand)
    labels = np.frombuffer(studio.get(f"{base}/masks.u8").content, np.uint8)
    assert np.array_equal(labels, read("clips", "parsing/selfie", studio.clip).ravel())
    assert studio.get(f"{base}/picture.jpg?frame=99999").status_code == 404
    assert studio.get(f"{base}/picture.jpg?frame=-1").status_code == 404


def test_the_film_has_every_frame_and_the_sound(studio: Running):
    film = studio.get(f"/clips/{studio.clip}/film.mp4")
    frames = studio.snapshot.frames("clips", studio.clip)
    with av.open(io.BytesIO(film.content), "r") as video:
        assert sum(1 for _ in video.decode(video=0)) == frames
        assert video.streams.audio[0].codec_context.name == "aac"
    part = studio.get(f"/clips/{studio.clip}/film.mp4", headers={"range": "bytes=0-99"})
    assert part.status_code == 206  # so that a browser can seek
    assert len(part.content) == 100


def test_curves_agree_with_the_stored_cells(studio: Running):
    told = studio.get(f"/clips/{studio.clip}/curves.json").json()
    rows = {row["name"]: row["series"] for row in told["curves"]}
    mar = studio.snapshot.read("clips", "face/mar", studio.clip)
    assert rows["mouth opening"]["MAR"] == pytest.approx(mar, abs=1e-4)
    assert np.mean(rows["emotion margin"]["happy"]) > 0 > np.mean(rows["emotion margin"]["sad"])


@pytest.mark.parametrize(
    "path",
    [
        "/made/../secret.mp4",
        "/made/..%2fsecret.mp4",
        "/made/%2e%2e/secret.mp4",
        "/made/..%5csecret.mp4",
        "/made/link.mp4",
        "/made/way/film.mp4",
        "/made/{root}/secret.mp4",
        "/made//{root}/secret.mp4",
        "/made/%2f{root}%2fsecret.mp4",
        "/made/notes.json",
        "/made/video.mp4%00.json",
        "/static/..%2fserve.py",
        "/static/../serve.py",
        "/clips/..%2f..%2fsecret/film.mp4",
        "/clips/%2e%2e/picture.jpg",
        "/clips/{root}%2fsecret.mp4/film.mp4",
        "/previews/..%2fsecret.mp4",
        "/previews/../secret.mp4",
        "/_nicegui/static/..%2f..%2f..%2f..%2fsecret.mp4",
        "/_nicegui/3.18.0/static/../../../../secret.mp4",
    ],
)
def test_no_file_outside_is_given(studio: Running, path: str):
    path = path.format(root=studio.out.parent)
    with socket.create_connection(("127.0.0.1", httpx.URL(studio.address).port or 0)) as line:
        # by hand: a client would tidy the path up before it asks
        host = studio.address.removeprefix("http://")
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := line.recv(65536):
            answer += part
    assert answer.split(b" ")[1] in (b"400", b"404"), path
    assert SECRET.encode() not in answer


def test_a_finished_video_of_the_output_is_given(studio: Running):
    assert studio.get("/made/video.mp4").content == b"a film"
    page = studio.get("/timeline").text
    assert "/made/video.mp4" in page
    assert "/made/link.mp4" not in page
    assert "No head can speak yet" in page
    assert "evil" not in page  # a head that lies elsewhere is none


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8600"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1.evil.example"},
    ],
)
def test_a_foreign_page_is_turned_away(studio: Running, headers: dict[str, str]):
    for path in ("/", f"/clips/{studio.clip}/picture.jpg", "/_nicegui_ws/socket.io/?EIO=4"):
        assert studio.get(path, headers=headers).status_code == 403
    assert studio.get("/", headers={"origin": studio.address}).status_code == 200


@pytest.mark.anyio
async def test_a_foreign_live_connection_is_closed():
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def never(*_: Any) -> None:
        raise AssertionError("it was let through")

    head = [(b"host", b"127.0.0.1:5"), (b"origin", b"http://evil.example")]
    scope = {"type": "websocket", "headers": head}
    await LocalOnly(cast(Any, never), 5)(scope, cast(Any, receive), send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_pages_name_no_other_host(studio: Running):
    for path in ("/", f"/clip/{studio.clip}", "/emotions", "/timeline"):
        answer = studio.get(path)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        foreign = re.findall(r'(?:src|href)=\\?["\'](?:https?:)?//[^"\']*', answer.text)
        assert not foreign, path


def test_the_store_is_byte_for_byte_as_before(studio: Running):
    """Last: after every page and picture of this module was asked for."""
    for path in ("/", f"/clip/{studio.clip}", "/emotions?identity=iris", "/timeline"):
        assert studio.get(path).status_code == 200
    for name in ("picture.jpg", "film.mp4", "landmarks.f32", "masks.u8", "curves.json"):
        assert studio.get(f"/clips/{studio.clip}/{name}").status_code == 200
    assert contents(studio.store) == studio.before
    assert not list(Path.cwd().glob(".nicegui"))


def test_files_are_inside_only_when_they_really_are(tmp_path: Path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.mp4").touch()
    (tmp_path / "out-b.mp4").touch()
    (folder / "link.mp4").symlink_to(tmp_path / "out-b.mp4")
    (folder / "same.mp4").symlink_to(folder / "a.mp4")
    assert inside(folder, "a.mp4", (".mp4",)) == folder.resolve() / "a.mp4"
    assert inside(folder, "same.mp4", (".mp4",)) == folder.resolve() / "a.mp4"
    for name in ("", ".", "link.mp4", "../out-b.mp4", str(folder / "a.mp4"), "a.mp4\0", "b.mp4"):
        assert inside(folder, name, (".mp4",)) is None, name
    assert inside(folder, "a.mp4", (".wav",)) is None


def test_ten_thousand_clips_are_read_once_and_no_frame(
    looked_at: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    real, times = (Snapshot.clips, Snapshot.cells, Snapshot._window), 2000

    def clips(self: Snapshot, dataset: str) -> pd.DataFrame:
        asked.append("clips")
        many = pd.concat([real[0](self, dataset)] * times, ignore_index=True)
        many["clip_id"] = [f"clip-{i:05}" for i in range(len(many))]
        many["identity"] = [f"M{i % 50:03}" for i in range(len(many))]
        return many.set_index("clip_id", drop=False)

    def cells(self: Snapshot, dataset: str) -> pd.DataFrame:
        asked.append("cells")
        return pd.concat([real[1](self, dataset)] * times, ignore_index=True)

    def window(self: Snapshot, *what: Any) -> Any:
        asked.append("frames")
        return real[2](self, *what)

    library = Library(str(looked_at))  # finding the names of the features may look at the cells
    # judging builds functions, which the tests' type checks make slow
    monkeypatch.setattr("flows.studio.library.judge", lambda facts, limits: {})
    monkeypatch.setattr(Snapshot, "clips", clips)
    monkeypatch.setattr(Snapshot, "cells", cells)
    monkeypatch.setattr(Snapshot, "_window", window)
    shown, count, _ = library.page(Query())
    assert (len(shown), count) == (PAGE, 10_000)
    shown, count, query = library.page(Query(identity="M007", page=99))
    assert (count, query.page) == (200, (200 - 1) // PAGE)
    assert shown[-1].clip_id == "clip-09957"
    assert library.page(Query(text="clip-0001"))[1] == 10
    assert asked == ["clips", "cells"]


def test_filters_join_and_a_page_past_the_end_is_the_last(looked_at: Path):
    library = Library(str(looked_at))
    names = [e.name for e in library.search(Query(identity="iris", emotion="sad"))]
    assert names == ["iris_sad_s1.mp4", "iris_sad_s5.mp4"]
    assert [e.state for e in library.search(Query(text="GREY"))] == ["refused"]
    assert len(library.search(Query(flag="any"))) + len(library.search(Query(flag="none"))) == 5
    assert library.page(Query(page=7))[2].page == 0
    with pytest.raises(NothingToDo, match="datasets: 'clips'"):
        Library(str(looked_at), dataset="other")


def test_ridge_finds_a_linear_map_again():
    rng = np.random.default_rng(0)
    x, slopes = rng.normal(size=(5000, 3)), rng.normal(size=(3, 4))
    mean, found, explained = ridge(x, x @ slopes + 7)
    assert found == pytest.approx(slopes, abs=2e-3)
    assert mean == pytest.approx(np.full(4, 7), abs=2e-3)
    assert explained > 0.999


def test_a_step_along_a_normal_is_that_much_margin_and_moves_the_face(looked_at: Path):
    face = learn_face(Library(str(looked_at)), "iris")
    rest = face.margins(face.at_rest)
    moved = face.margins(face.expression({"happy": 2.5}))
    assert moved["happy"] == pytest.approx(rest["happy"] + 2.5)  # w has unit length
    names = list(face.planes.names)
    up = face.points(face.at_rest + 2 * np.eye(10)[names.index("corner_raise")])
    # one whitened unit is std face lengths: the corners (61, 291) go up, that is to smaller y
    lift = (face.points(face.at_rest) - up)[[61, 291], 1].mean()
    assert lift == pytest.approx(
        2 * face.planes.whitening.std[names.index("corner_raise")], rel=0.5
    )
    assert 0.3 < face.explained <= 1
    with pytest.raises(NothingToDo, match="hyperplanes"):
        learn_face(Library(str(looked_at)), "nobody")


moments = st.lists(st.integers(0, 250), min_size=2, max_size=10, unique=True).map(sorted)


@given(moments, st.sampled_from([0.2, 0.8, 1.0, 1.5]))
def test_the_line_that_is_shown_means_the_segments(marks: list[int], strength: float):
    pairs = list(zip(marks[::2], marks[1::2], strict=False))
    segments = [Segment("happy", a / 25, b / 25, strength) for a, b in pairs]
    parsed = Timeline.parse(timeline(segments[::-1])).segments
    assert [(s.start, s.end) for s in parsed] == [(a / 25, b / 25) for a, b in pairs]
    assert all(s.weights == (("happy", pytest.approx(strength)),) for s in parsed)
    assert complaint(segments, 10.0) == ""


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        ([Segment("sad", 1, 1)], "not after its start"),
        ([Segment("sad", 1, 9)], "reaches 9 s, the sound ends at 2.00 s"),
        ([Segment("sad", 0, 1), Segment("happy", 0.5, 2)], "happy starts at 0.5 s, before sad"),
        ([Segment("sad", 0, 1, -0.5)], "below 0"),
    ],
)
def test_what_cannot_be_spoken_is_said(segments: list[Segment], why: str):
    assert why in complaint(segments, 2.0)


def test_a_preview_says_what_it_lacks(tmp_path: Path):
    assert "--out OUT" in Previews("s", "main", None, tmp_path).missing("iris")
    previews = Previews("s", "main", tmp_path, tmp_path)
    assert "no network yet" in previews.missing("iris")
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "best.json").touch()
    assert "iris has no head yet" in previews.missing("iris")


@pytest.mark.slow
def test_a_preview_is_a_video_of_synthesize(sample_clips: Path, tmp_path: Path):
    """A real network and head, trained for a moment."""
    quick = {"steps": 12, "validate_every": 12, "save_every": 12, "d": 32, "d_h": 32}
    out, sound = tmp_path / "out", tmp_path / "short.wav"
    with wave.open(str(heldout_speech("iris"))) as file:
        samples = np.frombuffer(file.readframes(19_200), np.int16)
    sound.write_bytes(wav(samples))
    job = MainJobConfig(
        data=sample_clips,
        out=out,
        audio=sound,
        size=128,
        render_size=64,
        network_settings=quick,
        head_settings={"seconds": None, "steps": 12, "rays": 256},
    )
    call(cast(Any, main_job), job)
    previews = Previews(str(out / "store"), "main", out, tmp_path)
    assert previews.missing("iris") == ""
    line = timeline([Segment("happy", 0, 0.4), Segment("sad", 0.8, 1.2, 0.5)])
    preview = previews.start("iris", sound, line, "")
    assert preview.process is not None
    preview.process.wait(timeout=240)
    for _ in range(50):
        if preview.state != "running":
            break
        time.sleep(0.1)
    assert preview.state == "done", preview.lines
    with av.open(str(preview.path)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 30  # 1.2 s
    record = json.loads(preview.path.with_suffix(".json").read_text())
    assert record["emotion"] == line
    stopped = previews.start("iris", sound, line, "")
    previews.stop()
    assert stopped.state == "stopped"


def test_it_listens_on_this_machine_alone_and_names_a_taken_port():
    with listening(0) as one:
        host, port = one.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(FlowError, match=f"port {port} is taken"), listening(port):
            pass


def test_the_command_says_what_it_needs(tmp_path: Path):
    result = CliRunner().invoke(app, ["studio"])
    assert isinstance(result.exception, FlowError)
    assert "give --out" in str(result.exception)
    result = CliRunner().invoke(app, ["studio", "--store", str(tmp_path / "none")])
    assert isinstance(result.exception, store.StoreError)


def test_masks_shrink_to_a_fourth_where_frames_are_large():
    from flows.studio.media import MASK_SIDE, Media

    labels = np.arange(2 * 256 * 256, dtype=np.uint8).reshape(2, 256, 256)
    library = SimpleNamespace(
        names=SimpleNamespace(parsing="p"),
        by_id={"a": SimpleNamespace(frames=2)},
        has=lambda *_: True,
        read=lambda _c, _f, start, stop: labels[start:stop],
    )
    packed = Media(cast(Any, library), Path()).masks("a")
    assert packed is not None
    small = np.frombuffer(gzip.decompress(packed), np.uint8).reshape(2, MASK_SIDE, MASK_SIDE)
    assert np.array_equal(small, labels[:, 1::2, 1::2])
