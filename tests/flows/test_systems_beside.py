"""Systems trained from one store, judged on the same clips by one command."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app

pytestmark = pytest.mark.slow  # real encoders, trainings of a moment, real videos


def command(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.stdout


def test_systems_stand_side_by_side(sample_clips: Path, tmp_path: Path) -> None:
    videos, out = tmp_path / "videos", tmp_path / "out"
    shutil.copytree(sample_clips, videos, ignore=shutil.ignore_patterns("milo*"))
    for clip in ("iris_happy_s5", "iris_sad_s5"):
        beside = videos / f"{clip}.json"
        beside.write_text(json.dumps(json.loads(beside.read_text()) | {"split": "test"}))
    command("preprocess", videos, "--store", out / "store", "--size", 128, "--workers", 1)
    command("fit-hyperplanes", "--out", out)
    short = [
        word
        for name, value in {"steps": 8, "validate_every": 8, "save_every": 8}.items()
        for word in ("--train", f"network.{name}={value}")
    ]
    for system in ("emohead", "moee"):
        train = ("train", "network", "--out", out, "--preset", "demo", "--system", system)
        command(*train, *short)
    head = ("train", "head", "--identity", "iris", "--out", out, "--preset", "demo")
    command(*head, "--train", "head.steps=8", "--train", "head.rays=128")
    both = ("evaluate", "--out", out, "--system", "emohead", "--system", "moee", "--frames", 2)
    told = command(*both)
    assert "| metric | better | emohead | moee | true videos | ahead | clips |" in told
    table = (out / "evaluation" / "side-by-side.csv").read_text().splitlines()
    psnr = next(line for line in table if line.startswith("PSNR"))
    assert psnr.endswith(",2")  # both held-out clips by both
    assert not (out / "evaluation-moee" / "side-by-side.csv").exists()
    page = (out / "evaluation" / "evaluation.html").read_text()
    assert page.count("<video") == 2 * 3
    assert "../evaluation-moee/clips/" in page
    record = json.loads((out / "evaluation" / "evaluation.json").read_text())
    assert record["system"] == "emohead"
    assert record["tables"]["against"][0]["clips"] == 2
    command(*both)  # nothing is made or measured twice
    again = json.loads((out / "evaluation" / "evaluation.json").read_text())
    assert again["reused"] == 2
    assert again["cells"] == record["cells"]
    gone = CliRunner().invoke(app, [*map(str, both), "--system", "emodiffhead"])
    assert gone.exit_code == 2
    assert "emodiffhead" in gone.output
