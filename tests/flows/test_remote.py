"""Videos in a bucket and on a web server: brought once, worked on from a bounded scratch folder."""

import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from flows.cli import app
from flows.config import PreprocessConfig
from flows.orchestra import call
from flows.planning import plan_preprocess
from flows.preprocess import preprocess
from pipeline import remote, scratch
from pipeline.errors import InputError, SourceAway
from pipeline.remote import fetch, files_of, is_remote, token_of, why_no_name
from pipeline.scratch import Room, at_hand, drop, scratch_bytes
from store import Cache

pytest.importorskip("s3fs", reason="s3fs comes with emohead[cloud]")
FEATURES = ("audio/waveform", "audio/logmel")


class Web(http.server.SimpleHTTPRequestHandler):
    """A plain web server that counts, and can be told to break."""

    asked: list[tuple[str, str]]
    broken: set[str]

    def do_GET(self) -> None:
        self.asked.append(("GET", self.path))
        if any(name in self.path for name in self.broken):
            self.send_error(503)
            return
        super().do_GET()

    def do_HEAD(self) -> None:
        self.asked.append(("HEAD", self.path))
        super().do_HEAD()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the tests' output."""


@pytest.fixture(autouse=True)
def scratch_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EMOHEAD_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr(remote, "WAIT", 0.01)
    yield tmp_path / "scratch"
    drop()


@pytest.fixture
def web(clips: Path) -> Iterator[tuple[str, type[Web]]]:
    """The clips on a web server, without a list of them."""
    handler = type("Counting", (Web,), {"asked": [], "broken": set()})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(clips.parent))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def bucket(clips: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import s3fs

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    given = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
             "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="videos")
    for path in sorted(clips.iterdir()):
        client.upload_file(str(path), "videos", f"in/{path.name}")
    yield "s3://videos/in"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def config(source: str | Path, store: Path, **more: Any) -> PreprocessConfig:
    base = {"data": source, "store": str(store), "size": 128, "features": FEATURES, "workers": 1}
    return PreprocessConfig.model_validate(base | more)


def listed(clips: Path, url: str) -> Path:
    """A list of all the files, beside them."""
    lines = ["# my videos", "", *sorted(f"clips/{path.name}" for path in clips.iterdir())]
    (clips.parent / "list.txt").write_text("\n".join(lines))
    return clips.parent / "list.txt"


def videos(asked: list[tuple[str, str]]) -> list[str]:
    return [path for method, path in asked if method == "GET" and path.endswith(".mp4")]


def test_a_web_servers_videos_give_the_cells_of_a_folders(
    clips: Path, tmp_path: Path, web: tuple[str, type[Web]], scratch_here: Path
) -> None:
    url, server = web
    listed(clips, url)
    here = call(preprocess, config(clips, tmp_path / "here"))
    there = call(preprocess, config(f"{url}/list.txt", tmp_path / "there"))
    assert there["rejections"] == []
    assert there["computed"] == here["computed"] == 8
    assert there["cost"]["core_seconds"]["download"] > 0
    one, two = (Cache.open(tmp_path / name).snapshot() for name in ("here", "there"))
    assert one.cells("clips").to_dict() == two.cells("clips").to_dict()
    told, known = one.clips("clips"), two.clips("clips")
    for column in ("identity", "emotion", "sentence", "sha256", "content", "frames", "transcript"):
        assert list(told[column]) == list(known[column])
    assert sorted(known.uri) == [f"{url}/clips/{path.name}" for path in sorted(clips.glob("*.mp4"))]
    # one download to know it, one to work on it; nothing of it stays
    assert len(videos(server.asked)) == 2 * 4
    left = [path.name for path in scratch_here.rglob("*") if path.is_file()]
    assert left == ["seen.jsonl"]

    # what its server says has not changed is not brought again, by this machine or another
    server.asked.clear()
    assert call(preprocess, config(f"{url}/list.txt", tmp_path / "there"))["planned"] == 0
    (scratch_here / "seen.jsonl").unlink()
    assert call(preprocess, config(f"{url}/list.txt", tmp_path / "there"))["planned"] == 0
    assert videos(server.asked) == []

    # one that changed is, and no other
    changed = sorted(clips.glob("*.mp4"))[0]
    changed.write_bytes(changed.read_bytes() + b"\0" * 8)
    os.utime(changed, (1_000_000_000, 1_000_000_000))
    _, plan, _ = plan_preprocess(config(f"{url}/list.txt", tmp_path / "there"))
    assert len(plan.by_clip) == 1
    assert videos(server.asked) == [f"/clips/{changed.name}"]


def test_what_the_network_refuses_is_tried_again_and_never_held_against_the_clip(
    clips: Path, tmp_path: Path, web: tuple[str, type[Web]]
) -> None:
    url, server = web
    listed(clips, url)
    first, second = (path.name for path in sorted(clips.glob("*.mp4"))[:2])
    source, store = f"{url}/list.txt", tmp_path / "store"
    (clips.parent / "list.txt").open("a").write("\nclips/nobody.mp4\n")
    server.broken.add(first)
    summary = call(preprocess, config(source, store))
    reasons = {told["clip"]: told["reason"] for told in summary["rejections"]}
    assert reasons[first].startswith("out of reach: ")
    assert "503" in reasons[first]
    assert "tried 3 times" in reasons[first]
    assert "is not there" in reasons["nobody.mp4"]
    assert summary["computed"] == 3 * 2
    # back again: computed, without a word from anybody
    server.broken.clear()
    assert call(preprocess, config(source, store))["computed"] == 2

    # away between scan and work: nothing is written, nothing is rejected for ever
    scanned, plan, _ = plan_preprocess(config(source, tmp_path / "other"))
    assert len(plan.by_clip) == 4
    server.broken.add(second)
    (taken,) = [clip for clip in scanned.clips if clip.path.name == second]
    with pytest.raises(SourceAway, match="cannot be reached"), at_hand(taken):
        pass
    server.broken.clear()
    with at_hand(taken) as brought:
        assert brought.path.read_bytes() == (clips / second).read_bytes()
    (clips / second).write_bytes(b"other" * 10)
    drop()
    with pytest.raises(SourceAway, match=r"came of|changed since"), at_hand(taken):
        pass

    # changed and out of reach: --prune must not take it for gone
    os.utime(clips / second, (1_000_000_000, 1_000_000_000))
    server.broken.add(second)
    _, plan, _ = plan_preprocess(config(source, store, prune=True))
    assert plan.removed == ()


def test_sources_that_cannot_be_read_say_what_would_help(
    clips: Path, tmp_path: Path, web: tuple[str, type[Web]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = web
    run = CliRunner()
    told = run.invoke(app, ["plan", f"{url}/clips/", "--store", str(tmp_path / "s")])
    assert isinstance(told.exception, InputError)
    assert "cannot be listed" in str(told.exception)
    with pytest.raises(InputError, match="is not there"):
        files_of(f"{url}/no.txt")
    for text, reason in {
        "file:///etc/passwd": "line 1: 'file:///etc/passwd' is no http",
        "videos/a.mp4": "is no http",
        "https://a/x/%2e%2e/%2e%2e/b.mp4": "leads out",
        "https://a/x.mp4?1\nhttps://a/x.mp4?2": "are both 'x.mp4'",
        "# nothing": "lists nothing",
    }.items():
        (tmp_path / "list.txt").write_text(text)
        with pytest.raises(InputError, match=reason):
            files_of(str(tmp_path / "list.txt"))
    with pytest.raises(SourceAway, match="cannot be reached"):
        files_of("http://127.0.0.1:9/list.txt")
    listed(clips, url)
    with pytest.raises(InputError, match="leave --shots out"):
        plan_preprocess(config(f"{url}/list.txt", tmp_path / "s", shots=True))
    video = f"{url}/clips/{sorted(clips.glob('*.mp4'))[0].name}"
    with pytest.raises(SourceAway, match="EMOHEAD_SCRATCH_GB"):
        fetch(video, tmp_path / "x.mp4", None, 1000)
    assert not list(tmp_path.glob("x.mp4*"))
    monkeypatch.setenv("EMOHEAD_SCRATCH_GB", "much")
    with pytest.raises(InputError, match="'much'"):
        scratch_bytes()
    # corpora read the names of the folders above, too
    (tmp_path / "list.txt").write_text(f"{url}/clips/{sorted(clips.glob('*.mp4'))[0].name}")
    assert {file.above for file in files_of(str(tmp_path / "list.txt"))[0]} == {f"{url[7:]}/clips"}
    # one video by its URL
    ((single,), missing) = files_of(video)
    assert (single.uri, missing) == (video, [])
    assert single.size == sorted(clips.glob("*.mp4"))[0].stat().st_size


def test_a_bucket_is_scanned_by_its_etags(clips: Path, tmp_path: Path, bucket: str) -> None:
    (clips / "letter.mp4").write_text("Dear sir, this is no film.")
    boto3.client("s3").upload_file(str(clips / "letter.mp4"), "videos", "in/letter.mp4")
    store = tmp_path / "store"
    summary = call(preprocess, config(bucket, store))
    assert summary["computed"] == 8
    (refused,) = summary["rejections"]
    assert refused["clip"] == "letter.mp4"
    known = Cache.open(store).snapshot().clips("clips")
    assert set(known.uri) == {f"{bucket}/{path.name}" for path in clips.glob("iris*.mp4")}
    assert set(known.identity) == {"iris"}
    files, _ = files_of(bucket)
    assert all(file.token > 0 for file in files)
    brought: list[str] = []

    def watched(uri: str, *arguments: Any) -> None:
        brought.append(uri)
        fetch(uri, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.remote_scan.fetch", watched)
        again = json.loads(
            CliRunner().invoke(
                app, ["plan", bucket, "--store", str(store), "--json", "--size", "128"]
            ).stdout
        )  # fmt: skip
    # the two features are there, ten others are not; of the videos, the bad one included, nothing
    assert {cell["reason"] for cell in again["cells"]} == {"new feature"} or again["cells"]
    assert [uri for uri in brought if uri.endswith(".mp4")] == []
    with pytest.raises(InputError, match="holds nothing"):
        files_of("s3://videos/nothing")
    with pytest.raises((InputError, SourceAway), match="s3://nobody"):
        files_of("s3://nobody/in")


def test_small_things(tmp_path: Path, scratch_here: Path) -> None:
    assert is_remote("s3://bucket/x")
    assert is_remote("https://a/list.txt")
    assert not is_remote(tmp_path)
    assert not is_remote("C://videos")
    assert token_of({"ETag": "a"}) != token_of({"ETag": "b"})
    assert 0 < token_of({"LastModified": 3}) < 1 << 60
    assert token_of({}) == -1
    # of a killed process nothing stays
    killed = scratch_here / f"process-999999999@{socket.gethostname()}"
    elsewhere = scratch_here / "process-999999999@another-machine"
    killed.mkdir(parents=True)
    elsewhere.mkdir()
    assert scratch.own_folder().is_dir()
    assert (killed.exists(), elsewhere.exists()) == (False, True)
    # keys of a bucket that would lead out of a folder
    for name in ("/etc/x.mp4", "a//b.mp4", "../x.mp4", "a/./b.mp4"):
        assert "rename it" in str(why_no_name(name))
    assert why_no_name("a/b.mp4") is None
    room = Room(10)
    order: list[str] = []

    def second() -> None:
        with room.of(20):  # more than there is: all of it
            order.append("second")

    with room.of(6):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.05)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


def test_a_bucket_gets_its_store_with_the_first_run(clips: Path, bucket: str) -> None:
    config_there = PreprocessConfig.model_validate(
        {"data": clips, "store": "s3://videos/cache", "size": 128, "features": FEATURES[:1],
         "workers": 1}
    )  # fmt: skip
    assert len(plan_preprocess(config_there)[1].cells) == 4  # a plan makes nothing
    assert not boto3.client("s3").list_objects_v2(Bucket="videos", Prefix="cache")["KeyCount"]
    assert call(preprocess, config_there)["computed"] == 4
    assert not plan_preprocess(config_there)[1].cells
