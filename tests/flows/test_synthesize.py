"""Sound to video: every frame, marked, resumed after a kill, in bounded memory; what cannot be is
said before any work."""

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import av
import ffmpeg
import numpy as np
import pytest
from PIL import Image
from talking_kit import DrawnHead, asked, picture, speech, write

import flows.synthesis.staging as staging
from flows import cli
from flows.errors import FlowError, NothingToDo
from flows.features import FeatureNames
from flows.gallery import GalleryConfig, gallery
from flows.orchestra import call
from flows.synthesis.driving import Body, driving, longest_run, there_and_back
from flows.synthesis.look import Look
from flows.synthesize import opened_background, synthesize
from models.errors import EmotionError
from pipeline.errors import MediaError
from pipeline.ffmpeg import ffmpeg_exe
from pipeline.sound import read_sound
from render.backdrop import TorsoLayers
from render.codings import coding_of
from render.errors import BackgroundError, RenderError, VideoError
from render.head_data import HeadData
from render.scene import Scene, Torso
from render.segments import Segments
from render.views import angles, mean_camera
from render.xmp import SOURCE_TYPE, read_xmp
from store import Cache

NAMES = FeatureNames()


@pytest.fixture(scope="module")
def world(talking_world: Path) -> Path:
    return talking_world


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("speech") / "short.wav", 1.2)


@pytest.fixture(autouse=True)
def head(monkeypatch: pytest.MonkeyPatch) -> DrawnHead:
    """Real heads speak in test_main_job; here one is drawn that says what it was asked for."""
    drawn = DrawnHead()
    monkeypatch.setattr(staging, "load_head", lambda folder: drawn)
    return drawn


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([f.to_ndarray(format="rgb24") for f in file.decode(video=0)])


def test_sound_becomes_a_marked_video_of_every_frame(
    world: Path, short: Path, tmp_path: Path
) -> None:
    out = tmp_path / "v.mp4"
    record = call(synthesize, asked(world, short, out, emotion="happy@0-0.4, sad@0.8-1.2"))
    frames = frames_of(out)
    assert frames.shape == (30, 64, 64, 3)
    assert record["frames"] == 30
    assert record["driving_clip"].startswith("anna_neutral")
    # The scene as filmed above, clothes below, the head drawn between.
    assert np.abs(frames[:, 3, 3].astype(int) - [40, 160, 70]).max() < 25
    assert np.abs(frames[:, 46, 12].astype(int) - [30, 40, 150]).max() < 30
    told = (read_xmp(out) or b"").decode()
    assert SOURCE_TYPE in told
    assert record["provenance"]["snapshot"] in told
    assert "anna" not in told  # provenance names models, not people
    assert record["marks"] == {
        "visible": True, "tags": True, "xmp": True, "c2pa": "not signed: switched off"
    }  # fmt: skip
    arrays = np.load(tmp_path / "v.npz")
    assert arrays["alpha"].shape == (30, 3)
    assert list(arrays["tags"]) == ["happy", "sad"]
    assert json.loads((tmp_path / "v.json").read_text())["frames"] == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.json", "v.mp4", "v.npz"]


def test_stereo_mp3_at_48_khz_is_spoken_and_heard_as_it_is(
    world: Path, short: Path, tmp_path: Path
) -> None:
    mp3 = tmp_path / "voice.mp3"
    coded = ffmpeg.output(
        ffmpeg.input(str(short)), str(mp3), acodec="libmp3lame", ar=48_000, ac=2, loglevel="error"
    )
    subprocess.run(ffmpeg.compile(coded, cmd=ffmpeg_exe()), check=True)
    out = tmp_path / "v.mp4"
    record = call(synthesize, asked(world, mp3, out))
    with av.open(str(out)) as file:
        stream = file.streams.audio[0]
        assert (stream.rate, stream.codec_context.channels) == (48_000, 2)
        sound = np.concatenate([f.to_ndarray()[0] for f in file.decode(stream)])
    assert len(frames_of(out)) == record["frames"]
    said = read_sound(short)
    found = np.correlate(sound[::3][: len(said)], said, "full")
    assert abs(int(found.argmax()) - (len(said) - 1)) < 40  # samples of 1/16 ms: 2.5 ms


KILLED = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])
import flows.synthesis.staging as staging; from flows.orchestra import call
from flows.synthesize import synthesize; from talking_kit import DrawnHead, asked
staging.load_head = lambda folder: DrawnHead(0.02)
call(synthesize, asked(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), emotion="happy"))
"""


def test_a_run_that_broke_off_goes_on_and_ends_with_the_same_bytes(
    world: Path, head: DrawnHead, tmp_path: Path
) -> None:
    audio = speech(tmp_path / "a.wav", 4.4)  # 110 frames: a piece, and some
    whole, broken = tmp_path / "whole.mp4", tmp_path / "broken.mp4"
    call(synthesize, asked(world, audio, whole, emotion="happy"))
    head.rendered, head.last = 0, 104
    with pytest.raises(KeyboardInterrupt):
        call(synthesize, asked(world, audio, broken, emotion="happy"))
    assert not broken.exists()
    head.rendered, head.last = 0, None
    record = call(synthesize, asked(world, audio, broken, emotion="happy"))
    assert (record["resumed_at"], head.rendered) == (100, 10)
    assert record["seconds"]["hear"] == 0  # what was heard was kept, too
    assert broken.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    world: Path, head: DrawnHead, tmp_path: Path
) -> None:
    audio = speech(tmp_path / "a.wav", 5.2)  # 130 frames: a piece, and some
    whole, killed = tmp_path / "whole.mp4", tmp_path / "killed.mp4"
    call(synthesize, asked(world, audio, whole, emotion="happy"))
    line = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(world), str(audio)]
    child = subprocess.Popen([*line, str(killed)], stderr=subprocess.DEVNULL)
    pieces_folder = tmp_path / ".killed.mp4.parts" / "frames" / "pieces"
    deadline = time.monotonic() + 120
    while not list(pieces_folder.glob("0*.mp4")) and time.monotonic() < deadline:
        assert child.poll() is None
        time.sleep(0.02)
    with pytest.raises(FlowError, match=r"killed\.mp4 is being written by another run"):
        call(synthesize, asked(world, audio, killed, emotion="happy"))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not killed.exists()
    head.rendered = 0
    record = call(synthesize, asked(world, audio, killed, emotion="happy"))
    assert record["resumed_at"] == 100
    assert head.rendered == 30
    assert record["seconds"]["hear"] == 0  # what was heard was kept, too
    assert killed.read_bytes() == whole.read_bytes()
    assert not pieces_folder.exists()


def test_another_request_does_not_go_on_from_the_pieces_of_the_last(
    world: Path, short: Path, head: DrawnHead, tmp_path: Path
) -> None:
    parts = tmp_path / ".v.mp4.parts" / "frames"
    parts.mkdir(parents=True)
    (parts / "started-from.json").write_text('{"frames": "others"}')
    (parts / "left").touch()
    assert call(synthesize, asked(world, short, tmp_path / "v.mp4"))["resumed_at"] == 0
    assert head.rendered == 30


def test_any_background_and_none(world: Path, short: Path, tmp_path: Path) -> None:
    red = tmp_path / "v.mp4"
    record = call(
        synthesize,
        asked(world, short, red, {"background": "#c01020", "size": 96, "visible_mark": False}),
    )
    frames = frames_of(red)
    assert frames.shape == (30, 96, 96, 3)
    assert np.abs(frames[:, 4, 4].astype(int) - [192, 16, 32]).max() < 25
    assert np.abs(frames[:, 90, 30].astype(int) - [30, 40, 150]).max() < 30
    assert record["background"] == {"colour": "#c01020"}

    clear = tmp_path / "v.mov"
    call(
        synthesize, asked(world, short, clear, {"background": "transparent", "visible_mark": False})
    )
    line = [ffmpeg_exe(), "-v", "error", "-i", str(clear), "-f", "rawvideo", "-pix_fmt", "rgba"]
    raw = subprocess.run([*line, "-"], stdout=subprocess.PIPE, check=True).stdout
    rgba = np.frombuffer(raw, np.uint8).reshape(30, 64, 64, 4)
    assert rgba[:, 3, 3, 3].max() <= 2
    assert rgba[:, 60, 20, 3].min() > 250
    assert np.abs(rgba[:, 60, 20, :3].astype(int) - [30, 40, 150]).max() < 30
    # At the shoulder's soft edge nothing of the green scene shines through.
    edge = (rgba[..., 3] > 40) & (rgba[..., 3] < 215)
    edge[:, :46] = False
    assert rgba[edge][:, 1].max() < 90


@pytest.mark.parametrize(
    ("more", "look", "error", "told"),
    [
        ({"emotion": "happy@0-9"}, {}, EmotionError, r"reaches 9\.0 s, the sound ends at 1\.20 s"),
        ({"emotion": "hapy"}, {}, EmotionError, "'hapy' is not known.*did you mean 'happy'"),
        ({"head": Path("h/ana"), "identity": "ana"}, {}, NothingToDo, "'ana' has no head model"),
        ({"emotion": "sad", "timeline": Path("t")}, {}, FlowError, "give one of them"),
        ({}, {"pose_from": "x", "orbit": 9}, FlowError, "follows a clip or circles"),
        ({}, {"pose_from": "bert_nutral"}, FlowError, "no clip.*nearest: bert_neutral_0"),
        ({}, {"pose_from": "anna_"}, FlowError, "the beginning of 6 clips"),
        ({"out": Path("v.avi")}, {}, VideoError, "the ending .avi says no way"),
        ({}, {"background": "transparent"}, VideoError, "H.264 has no transparency"),
        ({}, {"background": "nowhere.png"}, BackgroundError, "no file of that name"),
        ({"audio": Path("no.wav")}, {}, MediaError, "no such file"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(
    more: dict[str, Any], look: dict[str, Any], error: type[Exception], told: str,
    world: Path, short: Path, head: DrawnHead, tmp_path: Path,
) -> None:  # fmt: skip
    out, audio = tmp_path / more.pop("out", "v.mp4"), more.pop("audio", short)
    if "head" in more:
        more["head"] = world / "heads" / more["head"].name
    with pytest.raises(error, match=told):
        call(synthesize, asked(world, audio, out, look, **more))
    assert list(tmp_path.iterdir()) == []
    assert head.rendered == 0


def test_an_identity_without_head_is_told_which_there_are(
    world: Path, short: Path, tmp_path: Path
) -> None:
    config = asked(world, short, tmp_path / "v.mp4", identity="ann", head=world / "heads" / "ann")
    with pytest.raises(NothingToDo, match=r"did you mean 'anna'.*train head --identity ann"):
        call(synthesize, config)


def test_a_video_never_replaces_what_it_is_made_from(world: Path, tmp_path: Path) -> None:
    source = tmp_path / "interview.mp4"
    source.write_bytes(b"precious")
    (tmp_path / "link.mp4").symlink_to(source)
    with pytest.raises(FlowError, match=r"interview\.mp4 is the file that --audio .*link\.mp4"):
        call(synthesize, asked(world, tmp_path / "link.mp4", source))
    assert source.read_bytes() == b"precious"


def test_silence_is_refused(world: Path, tmp_path: Path) -> None:
    write(tmp_path / "quiet.wav", np.zeros(32_000))
    with pytest.raises(MediaError, match=r"quiet\.wav: 2\.00 s of digital silence"):
        call(synthesize, asked(world, tmp_path / "quiet.wav", tmp_path / "v.mp4"))


def test_backgrounds_that_do_not_fit_are_refused_before_any_work(
    world: Path, short: Path, tmp_path: Path
) -> None:
    wide = tmp_path / "wide.png"
    Image.new("RGB", (90, 70)).save(wide)
    with pytest.raises(BackgroundError, match="90x70 px is not square, the video is 64x64"):
        call(synthesize, asked(world, short, tmp_path / "v.mp4", {"background": str(wide)}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wide.png"]


def test_the_command_tells_without_a_traceback(
    world: Path, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def ran(*options: str) -> tuple[int, str]:
        line = ["emohead", "synthesize", "--identity", "anna", "--audio", str(short)]
        line += ["--out", str(world), "--video", str(tmp_path / "v.mp4"), *options]
        monkeypatch.setattr(sys, "argv", line)
        code = cli._run()
        return code, capsys.readouterr().err

    code, told = ran("--timeline", str(tmp_path / "no.yaml"))
    assert code == 3
    assert told.endswith("no.yaml: No such file or directory; give a YAML file\n")
    code, told = ran("--background-fit", "stretch", "--size", "34")
    assert code == 2
    assert "background_fit = 'stretch': Input should be 'exact' or 'cover'" in told
    assert "size = 34: Input should be greater than or equal to 64" in told
    assert "Traceback" not in told


def test_poses_of_another_clip_and_a_circling_camera(world: Path, head: DrawnHead) -> None:
    snapshot = Cache.open(world / "store").snapshot()
    own = driving(snapshot, "clips", "anna", NAMES, 90, Look())
    np.testing.assert_array_equal(own.rows, there_and_back(40, 90))
    base = mean_camera(own.cameras[:40])

    other = driving(snapshot, "clips", "anna", NAMES, 50, Look(pose_from="bert_n"))
    assert other.poses_of == "bert_neutral_0"
    assert set(np.diff(other.rows)) == {0}  # one still body, of a clip of anna's
    assert other.body_of == own.body_of
    # bert's 30 known poses turn by 15 - (-7.3) degrees; anna turns as far, round her own mean.
    np.testing.assert_allclose(mean_camera(other.cameras[:30]), base, atol=1e-5)
    turn = other.cameras[0, :, :3].T @ other.cameras[29, :, :3]
    assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(22.3, abs=0.1)

    mine = driving(snapshot, "clips", "anna", NAMES, 40, Look(pose_from="anna_happy_1"))
    assert mine.body_of == mine.poses_of == "anna_happy_1"

    round_ = driving(snapshot, "clips", "anna", NAMES, 50, Look(orbit=40, orbit_seconds=2))
    assert set(np.diff(round_.rows)) == {0}  # over one still body, that of the middle pose
    assert 15 <= round_.rows[0] < 25
    record = round_.record(own.cameras)
    assert record["yaw_degrees"][1] == pytest.approx(40, abs=1.5)
    assert record["recorded_yaw_degrees"][1] < 6
    assert record["body"] == own.body_of
    assert record["driving_clip"] is None

    # Beyond what was seen the head is asked for its colours as from the nearest recorded view.
    config = asked(world, world / "none.wav", world / "none.mp4")
    alpha = np.zeros((50, 3), np.float32)
    assert staging.staged(config, snapshot, alpha[:40], mine).scene.seen is None
    scene = staging.staged(config, snapshot, alpha, round_).scene
    next(scene.frames(12))
    assert head.coloured_from is not None
    assert angles(round_.cameras[12:13])[0, 0] == pytest.approx(40, abs=1.5)
    # 5 degrees, less those by which the head is moved to the side as it turns.
    known = 5 - np.degrees(0.25 / 20)
    assert angles(head.coloured_from[None])[0, 0] == pytest.approx(known, abs=0.1)


def test_a_gallery_shows_every_emotion_at_every_intensity(world: Path, tmp_path: Path) -> None:
    record = call(
        gallery,
        GalleryConfig(
            store=str(world / "store"), identity="anna", head=world / "heads" / "anna",
            network=world / "network", intensities=(0.0, 1.0), size=64, views=10.0,
            content_credentials=False, out=tmp_path / "g",
        ),
    )  # fmt: skip
    assert record["emotions"] == ["happy", "neutral", "sad"]
    with Image.open(tmp_path / "g" / "sheet.jpg") as sheet:
        assert sheet.size == (2 * 64, 4 * 64)  # three emotions and a row of views
        assert SOURCE_TYPE.encode() in sheet.info["xmp"]
    assert frames_of(tmp_path / "g" / "sweep.mp4").shape == (50, 128, 128, 3)
    assert SOURCE_TYPE.encode() in (read_xmp(tmp_path / "g" / "sweep.mp4") or b"")
    names = sorted(path.name for path in (tmp_path / "g").iterdir())
    assert names == ["gallery.json", "sheet.jpg", "sweep.mp4"]


def test_the_longest_run_by_hand() -> None:
    assert longest_run(np.array([1, 0, 1, 1, 0, 1], bool)) == slice(2, 4)
    assert longest_run(np.zeros(3, bool)) == slice(0, 0)


def test_a_body_is_read_a_block_at_a_time(world: Path) -> None:
    snapshot = Cache.open(world / "store").snapshot()
    body = Body(snapshot, "clips", "anna_happy_0", NAMES)
    frames = snapshot.read("clips", "video/rgb", "anna_happy_0")
    for row in (0, 39, 17):
        np.testing.assert_array_equal(body(row)[0], frames[row])


def test_memory_does_not_grow_with_the_video(world: Path, short: Path, tmp_path: Path) -> None:
    config = asked(world, short, tmp_path / "v.mp4", {"background": "grey"})
    snapshot = Cache.open(config.store).snapshot()

    def peak(frames: int) -> int:
        course = driving(snapshot, "clips", "anna", NAMES, frames, config.look)
        alpha = np.zeros((frames, 3), np.float32)
        grey = opened_background(config, 64, frames)
        stage = staging.staged(config, snapshot, alpha, course, grey)
        tracemalloc.start()
        with Segments(tmp_path / str(frames), 64, coding_of(config.out), frames) as segments:
            for frame in stage.scene.frames():
                segments.write(frame)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(10)  # imports, caches
    assert peak(240) < peak(40) + 2**20  # 200 frames of 64 x 64 x 3 are 2.3 MiB


def test_a_scene_of_parts_that_differ_in_length_is_refused() -> None:
    body = picture(0.0)
    data = HeadData(
        body[0][None], body[1][None], np.zeros((1, 3, 4)), 256.0, np.zeros((1, 3)),
        np.ones(1, bool), ("a",), np.zeros(1, bool),
    )  # fmt: skip
    layers = TorsoLayers.of(data, body[0])
    torso = Torso(lambda row: layers.without_head(*body), np.zeros(3, int), 64, True)
    with pytest.raises(RenderError, match="expression for 2 frames, 2 cameras, 3 torso rows"):
        Scene(DrawnHead(), np.zeros((2, 3)), np.zeros((2, 3, 4)), 64, 64, torso, None, None)
