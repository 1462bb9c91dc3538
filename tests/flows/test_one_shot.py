"""From one picture to a video: every frame, marked, resumed; what cannot be is said."""

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from talking_kit import FRAMES, K, asked, clips, make_world, speech

import flows.synthesize
from flows import cli
from flows.config import SynthesizeConfig
from flows.errors import FlowError, NothingToDo
from flows.features import FeatureNames
from flows.orchestra import call
from flows.synthesis.look import OneShot
from flows.synthesis.motions import KEPT, Motions
from flows.synthesize import synthesize
from flows.train_portrait import told_emotions
from models.errors import EmotionError
from render.diffusion.animate import Motion
from render.diffusion.config import ExpertsConfig, NetworkConfig, PortraitTraining
from render.diffusion.data import PortraitClip, PortraitData
from render.diffusion.trainer import train_portrait
from render.errors import PictureError

TINY = NetworkConfig(
    size=32, channels=(16, 32), heads=2, groups=8, token_width=32, frames=4, audio_margin=1
)


def portrait(folder: Path, network: NetworkConfig, names: FeatureNames | None = None) -> Path:
    """A model of one step: what it draws is nothing, but it is always the same."""
    rng = np.random.default_rng(1)
    made = []
    for clip in clips()[:2]:
        frames = rng.integers(0, 255, (FRAMES, 32, 32, 3), dtype=np.uint8)
        audio, alpha = clip.features.audio, clip.expression
        made.append(PortraitClip(clip.clip_id, clip.identity, "happy", frames, audio, alpha))
    data = PortraitData(tuple(made), {"features": (names or FeatureNames()).model_dump()})
    if network.experts is not None:
        data = told_emotions(data, network.experts)
    training = PortraitTraining(network, steps=2, warm_up=1, learning_rate=1e-2, ema=0.0)
    train_portrait(data, training, folder)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_world(tmp_path_factory.mktemp("world"))
    portrait(folder / "portrait", TINY)
    return folder


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("speech") / "short.wav", 0.8)


def request(world: Path, audio: Path, out: Path, **more: Any) -> SynthesizeConfig:
    one = OneShot(steps=1, **more.pop("one", {}))
    look = more.pop("look", {})
    return asked(world, audio, out, look, **{"head": world / "portrait", "one_shot": one} | more)


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([f.to_ndarray(format="rgb24") for f in file.decode(video=0)])


def test_the_first_frame_of_somebody_speaks(world: Path, short: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.mp4"
    record = call(synthesize, request(world, short, out, emotion="happy@0-0.4, sad@0.6-0.8"))
    frames = frames_of(out)
    assert frames.shape == (20, 64, 64, 3)  # at the side of the stored frames
    assert (record["drawn_size"], record["size"]) == (32, 64)
    assert record["picture"] == "frame 0 of clip anna_neutral_0"
    assert set(record["provenance"]) == {"portrait", "network", "snapshot"}
    assert record["marks"]["visible"]
    assert record["marks"]["xmp"]
    assert "yaw_degrees" not in record
    arrays = np.load(tmp_path / "v.npz")
    assert arrays["alpha"].shape == (20, K)
    assert list(arrays["tags"]) == ["happy", "sad"]
    assert set(arrays.files) == {"alpha", "alpha_tilde", "margin", "shift", "tags"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.json", "v.mp4", "v.npz"]
    told = " ".join(cli_told(record))
    assert "drawn from frame 0 of clip anna_neutral_0, at 32 pixels" in told
    # Somebody nobody trained a head of does as well; and other frames come of another face.
    bert = tmp_path / "bert.mp4"
    call(synthesize, request(world, short, bert, identity="bert", emotion="happy"))
    assert frames_of(bert).shape == frames.shape


def cli_told(record: dict[str, Any]) -> list[str]:
    from flows.commands.synthesize import told

    return told(record).splitlines()


def test_a_run_that_broke_off_goes_on_and_ends_with_the_same_bytes(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = speech(tmp_path / "a.wav", 4.6)  # 115 frames: a piece, and some
    whole, broken = tmp_path / "whole.mp4", tmp_path / "broken.mp4"
    call(synthesize, request(world, audio, whole, emotion="sad"))
    drawn, last, real = 0, 108, flows.synthesize.enlarged

    def enlarged(frame: np.ndarray, size: int) -> np.ndarray:
        nonlocal drawn
        if drawn == last:
            raise KeyboardInterrupt
        drawn += 1
        return real(frame, size)

    monkeypatch.setattr(flows.synthesize, "enlarged", enlarged)
    with pytest.raises(KeyboardInterrupt):
        call(synthesize, request(world, audio, broken, emotion="sad"))
    assert not broken.exists()
    drawn, last = 0, -1
    record = call(synthesize, request(world, audio, broken, emotion="sad"))
    assert (record["resumed_at"], drawn) == (100, 15)
    assert record["seconds"]["hear"] == 0
    assert broken.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_what_it_takes_to_go_on_is_kept_and_not_for_ever(tmp_path: Path) -> None:
    motions = Motions(tmp_path)
    assert motions.before(5) is None
    for start in range(4, 1000, 4):
        motions.keep(Motion(start, np.full((2, 1, 1, 1), start, np.float32)))
    kept = sorted(int(path.stem) for path in tmp_path.iterdir())
    assert kept == list(range(996 - KEPT, 1000, 4))
    found = motions.before(902)
    assert found is not None
    assert found.places is not None
    assert (found.start, found.places[0, 0, 0, 0]) == (900, 900)
    (tmp_path / "0000900.npy").write_bytes(b"torn")
    found = motions.before(902)
    assert found is not None
    assert found.start == 896
    assert motions.before(3) is None
    motions.keep(Motion(1000, None))
    nothing = motions.before(1000)
    assert nothing is not None
    assert nothing.places is None


def test_experts_are_told_the_timeline(world: Path, short: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    experts = ExpertsConfig(latent=16, tokens=2, inner=16, heads=2)
    moee = portrait(tmp_path / "moee", replace(TINY, coefficients=False, experts=experts))
    videos = {}
    for emotion in ("happy", "sad", None):
        out = tmp_path / f"{emotion}.mp4"
        call(synthesize, request(world, short, out, head=moee, emotion=emotion))
        videos[emotion] = frames_of(out)
    assert not np.array_equal(videos["happy"], videos["sad"])
    assert not np.array_equal(videos["happy"], videos[None])


@pytest.mark.parametrize(
    ("more", "error", "told"),
    [
        ({"head": Path("none")}, NothingToDo, "no video diffusion model.*train portrait"),
        ({"look": {"background": "white"}}, FlowError, "--background: a face that is drawn from"),
        ({"look": {"orbit": 9.0}}, FlowError, "--orbit: .*let a head speak"),
        ({"render_size": 64}, FlowError, "--render-size"),
        ({"identity": ""}, FlowError, r"whose face is not said; give a picture .*--identity"),
        ({"identity": "ann"}, NothingToDo, "'ann' has no frame with a face.*anna, bert"),
        ({"one": {"picture": Path("no.png")}}, FlowError, r"--picture no\.png is not there"),
        ({"one": {"picture": Path("grey.png")}}, PictureError, r"grey\.png .*no face was found"),
        ({"emotion": "hapy"}, EmotionError, "'hapy' is not known.*did you mean 'happy'"),
        ({"emotion": ""}, EmotionError, "timeline '': cannot read ''"),
        ({"text": "  "}, FlowError, "--text is empty; write what is said, or leave it out"),
        ({"one_shot": None, "identity": ""}, FlowError, "whose head speaks is not said"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(
    more: dict[str, Any], error: type[Exception], told: str, world: Path, short: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = tmp_path / "given"
    given.mkdir()
    Image.new("RGB", (200, 200), "grey").save(given / "grey.png")
    monkeypatch.chdir(given)
    with pytest.raises(error, match=told):
        call(synthesize, request(world, short, tmp_path / "v.mp4", **more))
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_a_model_of_other_features_is_refused(world: Path, short: Path, tmp_path: Path) -> None:
    other = portrait(tmp_path / "other", TINY, FeatureNames(audio="audio/hubert"))
    with pytest.raises(FlowError, match="trained on audio/hubert, the network speaks in audio/log"):
        call(synthesize, request(world, short, tmp_path / "v.mp4", head=other))


def test_a_real_picture_speaks_and_three_faces_do_not(
    world: Path, short: Path, tmp_path: Path, shared_data: Path
) -> None:
    still = shared_data / "real" / "stills" / "s0.jpg"
    out = tmp_path / "v.mp4"
    one = {"picture": still}
    record = call(synthesize, request(world, short, out, identity="", one=one, emotion="happy"))
    assert record["picture"] == str(still)
    assert len(frames_of(out)) == 20
    with Image.open(still) as image:
        face = np.asarray(image.convert("RGB").resize((256, 256)))
    Image.fromarray(np.hstack([face] * 3)).save(tmp_path / "three.png")
    with pytest.raises(PictureError, match="3 faces were found; cut out the one that is meant"):
        call(synthesize, request(world, short, out, one={"picture": tmp_path / "three.png"}))


def test_the_command_draws_from_a_picture_and_tells_without_a_traceback(
    world: Path, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def ran(*options: str) -> tuple[int, str, str]:
        line = ["emohead", "synthesize", "--audio", str(short), "--out", str(world)]
        line += ["--video", str(tmp_path / "v.mp4"), *options]
        monkeypatch.setattr(sys, "argv", line)
        code = cli._run()
        output = capsys.readouterr()
        return code, output.out, output.err

    code, out, _ = ran("--identity", "anna", "--draw", "portrait", "--sampling-steps", "1",
                       "--no-content-credentials")  # fmt: skip
    assert code == 0
    assert "drawn from frame 0" in out
    code, _, told = ran("--picture", "no.png", "--draw", "head")
    assert code == 2
    assert "a head needs none of" in " ".join(told.replace("│", " ").split())  # it is boxed
    code, _, told = ran("--identity", "anna", "--sampling-steps", "4")
    assert code == 2
    code, _, told = ran("--system", "moee", "--picture", "no.png")
    assert code == 3
    assert "no.png is not there" in told
    code, _, told = ran("--system", "emodiffhead", "--identity", "anna")
    assert code == 3
    assert "no checkpoint in" in told
    assert "Traceback" not in told
