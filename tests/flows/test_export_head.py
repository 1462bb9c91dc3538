"""A head that is given away makes the same video without a store; what it cannot do, it says."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from talking_kit import FRAMES, DrawnHead, asked, speech
from typer.testing import CliRunner

import flows.synthesis.staging as staging
from flows import cli
from flows.errors import FlowError
from flows.export_head import ExportHeadConfig, export_head
from flows.gallery import GalleryConfig, gallery
from flows.orchestra import call
from flows.synthesis.acquaintance import acquainted
from flows.synthesis.driving import there_and_back
from flows.synthesis.recordings import InFolder, InStore, recordings_of
from flows.synthesize import opened_background, synthesize
from models import load
from models.data import whitening_of
from render.carried import DRIVING, read_carried
from render.errors import HeadFolderError


@pytest.fixture(scope="module")
def world(talking_world: Path) -> Path:
    return talking_world


@pytest.fixture(scope="module")
def given(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody else gets: no store beside it."""
    to = tmp_path_factory.mktemp("far") / "anna-speaks"
    line = ["export", "head", "--identity", "anna", "--out", str(world), "--to", str(to)]
    done = CliRunner().invoke(cli.app, line)
    assert done.exit_code == 0, done.output
    assert f"emohead synthesize --out {to} --identity anna --audio a.wav" in done.stdout
    return to


@pytest.fixture(autouse=True)
def head(monkeypatch: pytest.MonkeyPatch) -> DrawnHead:
    drawn = DrawnHead()
    monkeypatch.setattr(staging, "load_head", lambda folder: drawn)
    return drawn


def exporting(world: Path, to: Path, **more: Any) -> ExportHeadConfig:
    return ExportHeadConfig(
        store=str(world / "store"), identity="anna", head=world / "heads" / "anna",
        network=world / "network", to=to, **more,
    )  # fmt: skip


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_the_video_is_the_same_without_the_store(world: Path, given: Path, tmp_path: Path) -> None:
    assert files(given) == [
        "README-anna.txt", f"heads/anna/{DRIVING}", "heads/anna/head.json",
        "heads/anna/head.safetensors", "network/best.json", "network/best.safetensors",
    ]  # fmt: skip
    audio, videos, records = speech(tmp_path / "a.wav", 0.8), [], []
    for out in (world, given):
        video = tmp_path / f"{out.name}.mp4"
        records.append(call(synthesize, asked(out, audio, video, emotion="happy@0-0.4")))
        videos.append(video.read_bytes())
    assert videos[0] == videos[1]
    apart = ("video", "seconds")
    near, far = ({k: v for k, v in r.items() if k not in apart} for r in records)
    assert near == far
    assert far["driving_clip"].startswith("anna_neutral")


@pytest.mark.slow
@pytest.mark.parametrize("look", [{"background": "grey", "size": 96}, {"orbit": 20.0}])
def test_every_look_that_needs_no_other_clip_is_the_same(
    world: Path, given: Path, look: dict[str, Any]
) -> None:
    alpha = np.zeros((50, 3), np.float32)
    seen, turned, known = [], [], []
    for out in (world, given):
        config = asked(out, Path("a.wav"), Path("v.mp4"), look)
        recordings = recordings_of(config, load(config.network), read_carried(config.head, "anna"))
        known.append(type(recordings))
        course = recordings.course(len(alpha))
        stage = recordings.stage(
            alpha, course, opened_background(config, recordings.side, len(alpha))
        )
        seen.append(np.stack(list(stage.scene.frames())))
        turned.append(course.record(stage.seen))
    assert known == [InStore, InFolder]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert turned[0] == turned[1]


def test_a_long_recording_is_carried_in_part_from_its_beginning(
    world: Path, given: Path, tmp_path: Path
) -> None:
    shutil.copytree(given, tmp_path / "to")  # an earlier export, which is replaced
    told = export_head(exporting(world, tmp_path / "to", seconds=0.5))
    assert (told["frames"], told["seconds"]) == (12, 0.48)
    config = asked(tmp_path / "to", Path("a.wav"), Path("v.mp4"))
    carried, whole = (read_carried(f / "heads" / "anna", "anna") for f in (tmp_path / "to", given))
    assert carried is not None
    assert whole is not None
    assert len(whole.cameras) == FRAMES
    part = recordings_of(config, load(config.network), carried).course(30)
    np.testing.assert_array_equal(part.cameras, whole.cameras[there_and_back(12, 30)])
    for row in (0, 11):
        np.testing.assert_array_equal(carried.beneath(row)[0], whole.beneath(row)[0])


def test_what_needs_more_than_the_head_brings_is_refused_before_any_work(
    world: Path, given: Path, head: DrawnHead, tmp_path: Path
) -> None:
    audio = speech(tmp_path / "a.wav", 1.2)

    def refused(error: type[Exception], look: dict[str, Any] | None = None, **more: Any) -> str:
        with pytest.raises(error) as caught:
            call(synthesize, asked(given, audio, tmp_path / "v.mp4", look, **more))
        assert files(tmp_path) == ["a.wav"]
        assert head.rendered == 0
        return str(caught.value)

    told = refused(FlowError, {"pose_from": "bert_neutral_0"})
    assert "--pose-from bert_neutral_0 names a clip of a store" in told
    assert "there is no store at" in told
    told = refused(FlowError, head=world / "heads" / "anna")  # an old head, and no store
    assert "a head made by `emohead export head` needs none" in told
    told = refused(HeadFolderError, identity="bert")
    assert "holds the head of 'anna', not of 'bert'" in told


def test_a_network_of_other_coefficients_is_refused_and_a_stranger_is_introduced(
    given: Path,
) -> None:
    folder, network = given / "heads" / "anna", load(given / "network")
    carried = read_carried(folder, "anna")
    assert carried is not None
    assert acquainted(network, carried, folder) == (network, ())
    other = {"provenance": {"features": {"expression": "expression/ddfa"}}}
    with pytest.raises(FlowError, match=r"reads 3 coeff.*speaks in 3 of expression/ddfa; take the"):
        acquainted(replace(network, state={**network.state, **other}), carried, folder)

    stranger = replace(network, planes={k: v for k, v in network.planes.items() if k != "anna"})
    met, notes = acquainted(stranger, carried, folder)
    assert "never met anna" in notes[0]
    np.testing.assert_array_equal(
        whitening_of(met.planes, "anna").std, whitening_of(network.planes, "anna").std
    )
    assert met.planes["anna"].planes.keys() == network.planes["anna"].planes.keys()
    assert met.mouth("anna") == network.mouth("anna")

    heard = {"features": {"audio": "audio/hubert"}}
    deaf = replace(network, state={**network.state, "provenance": heard})
    config = asked(given, Path("a.wav"), Path("v.mp4"))
    with pytest.raises(FlowError, match=r"hears audio/hubert, and .* knows audio/logmel"):
        recordings_of(config, deaf, carried).listening()


def test_a_gallery_needs_no_store_either(given: Path, tmp_path: Path) -> None:
    made = call(
        gallery,
        GalleryConfig(
            store=str(given / "store"), identity="anna", head=given / "heads" / "anna",
            network=given / "network", intensities=(1.0,), size=64, views=0,
            content_credentials=False, out=tmp_path / "g",
        ),
    )  # fmt: skip
    assert made["provenance"]["snapshot"] == read_carried_snapshot(given)


def read_carried_snapshot(given: Path) -> str:
    return json.loads((given / "heads" / "anna" / "head.json").read_text())["carried"]["snapshot"]


def test_an_export_replaces_nothing_but_an_export(world: Path, given: Path, tmp_path: Path) -> None:
    before = files(world)
    with pytest.raises(FlowError, match="is there and is no exported head: it would be replaced"):
        export_head(exporting(world, world))
    assert files(world) == before
    other = tmp_path / "network"
    other.mkdir()
    (other / "best.safetensors").write_bytes(b"another")
    with pytest.raises(FlowError, match="holds another network than"):
        export_head(exporting(world, tmp_path))
    assert files(tmp_path) == ["network/best.safetensors"]


def test_the_commands_refuse_without_a_traceback(
    world: Path, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def ran(*line: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["emohead", *line])
        return cli._run(), capsys.readouterr().err

    to = ("--out", str(world), "--to", str(tmp_path / "to"))
    code, said = ran("export", "head", "--identity", "ann", *to)
    assert code == 3
    assert "did you mean 'anna'" in said
    half = tmp_path / "half"
    shutil.copytree(given, half)
    (half / "heads" / "anna" / DRIVING).unlink()
    audio = str(speech(tmp_path / "a.wav", 1.2))
    code, said = ran("synthesize", "--out", str(half), "--identity", "anna", "--audio", audio)
    assert code == 3
    assert f"half a head: {DRIVING} is missing" in said
    assert "Traceback" not in said
