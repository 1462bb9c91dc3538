"""What a run tells of itself: log lines, metrics, and its cost, counted once and told alike."""

import json
import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from flows.cli import app
from flows.errors import FlowError
from flows.preprocess import by_reason
from flows.telemetry import metrics as measured
from flows.telemetry.ledger import Ledger, cost_text
from flows.telemetry.metrics import MOST_REASONS, Metrics, measure_for, result_of
from flows.telemetry.reasons import counted, kind_of
from flows.telemetry.run_log import FIELDS, LOG, JsonLines, log_to, tell
from flows.workers import AWAY, ClipRecord

SOUND = ("audio/waveform", "audio/logmel")


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    """No test listens to another."""
    yield
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)
        handler.close()
    LOG.setLevel(logging.NOTSET)
    measured._on = None


def record(clip: str, frames: int = 50, **more: Any) -> ClipRecord:
    given: dict[str, Any] = {
        "computed": ("a", "b"), "rejected": {}, "seconds": {"video": 2.0, "store": 0.5},
        "facts": {}, "array_bytes": 1000, "stored_bytes": 600,
    }  # fmt: skip
    return ClipRecord(clip_id=clip, name=f"{clip}.mp4", frames=frames, **(given | more))


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_one_thing_said_of_many_clips_is_one_kind_of_reason() -> None:
    assert kind_of("b.mkv: 17 frames at '/data/x.mkv' -3.5 s\ntraceback") == "# frames at … # s"
    assert counted(["a.mp4: no face in 12 frames", "b.mp4: no face in 9 frames", "x"]) == {
        "no face in # frames": 2, "x": 1,
    }  # fmt: skip
    assert len(kind_of("word " * 100)) == 90
    assert kind_of(" ") == "unknown"


def test_the_account_of_a_run_by_hand(tmp_path: Path) -> None:
    measure_for(str(tmp_path / "m.prom"))
    ledger = Ledger("r", "/store", "clips", workers=2, planned=4)
    ledger.clip(record("a"))
    ledger.clip(record("b", rejected={"c": "no audio stream"}))
    ledger.clip(record("c", frames=0, computed=(), rejected={"c": "c.mp4: no face, 3 px"}))
    ledger.clip(record("d", frames=0, computed=(), rejected={"c": f"{AWAY}gone"}))
    ledger.committed(0.25, "SNAP")
    cost = ledger.ended()
    assert cost["clips"] == {"valid": 1, "partial": 1, "rejected": 1, "away": 1}
    assert (cost["frames"], cost["cells"], cost["commits"]) == (100, 4, 1)
    assert cost["core_seconds"] == {"video": 8.0, "store": 2.0}
    # 100 frames are 4 s; 10 worker seconds for it are 10 / 4 core hours an hour
    assert cost["core_hours_per_video_hour"] == 2.5
    assert (cost["array_bytes"], cost["stored_bytes"]) == (4000, 2400)
    assert cost["stored_bytes_per_video_hour"] == 2400 * 900
    text = cost_text(cost)
    assert "2.50 core hours an hour of video" in text
    assert "80 %" in text
    assert "no audio stream" in text
    found = samples((tmp_path / "m.prom").read_text())
    assert found["emohead_stage_seconds_total", ("video",)] == 8.0
    assert found["emohead_clips_total", ("rejected",)] == 1
    assert found["emohead_rejected_cells_total", ("no face, # px",)] == 1
    assert found["emohead_stored_bytes_total", ()] == 2400
    assert found["emohead_commit_seconds_count", ()] == 1
    assert found["emohead_waiting_clips", ()] == 0
    ledger.clip(record("e", stored_bytes=None))
    assert ledger.cost()["stored_bytes"] is None
    assert "not counted" in cost_text(ledger.cost())
    assert result_of(record("f")) == "valid"


def test_label_values_do_not_grow_for_ever(tmp_path: Path) -> None:
    served = Metrics(str(tmp_path / "m.prom"))
    for number in range(MOST_REASONS + 5):
        word = "x" * (number + 1)
        served.clip(record("a", rejected={"c": word}))
    served.write()
    found = samples((tmp_path / "m.prom").read_text())
    kinds = [labels for name, labels in found if name == "emohead_rejected_cells_total"]
    assert len(kinds) == MOST_REASONS + 1
    assert found["emohead_rejected_cells_total", ("other",)] == 5
    with pytest.raises(FlowError, match="folder is not there"):
        Metrics(str(tmp_path / "no" / "m.prom"))


def test_metrics_over_http_and_a_port_that_is_taken() -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = Metrics(f"127.0.0.1:{port}")
    served.frames.inc(7)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert samples(answer.read().decode())["emohead_frames_total", ()] == 7
    with pytest.raises(FlowError, match=f"{port}: nobody can be served there"):
        Metrics(f"127.0.0.1:{port}")


def test_lines_have_the_same_fields_whatever_happened(tmp_path: Path) -> None:
    tell("nobody listens", clip="a")
    log_to(str(tmp_path / "run.jsonl"))
    tell("clip", clip="a", seconds=1.5, reason=None, extra=Path("x"))
    try:
        raise ValueError("so")
    except ValueError:
        LOG.exception("it broke")
    first, second = (json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines())
    assert set(FIELDS) < set(first)
    assert (first["event"], first["clip"], first["seconds"], first["run"]) == (
        "clip",
        "a",
        1.5,
        None,
    )
    assert first["time"].endswith("+00:00")
    assert "ValueError: so" in second["traceback"]
    assert isinstance(JsonLines(), logging.Formatter)
    with pytest.raises(FlowError, match="cannot be written"):
        log_to(str(tmp_path / "no" / "run.jsonl"))


def test_a_workers_environment_counts_as_a_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOHEAD_LOG_JSON", str(tmp_path / "run.jsonl"))
    monkeypatch.setenv("EMOHEAD_METRICS", str(tmp_path / "m.prom"))
    for run in ("one", "two"):
        Ledger(run, "/store", "clips", workers=1, planned=0).ended()
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert [(line["run"], line["event"]) for line in lines] == [
        ("one", "run began"), ("one", "run ended"), ("two", "run began"), ("two", "run ended"),
    ]  # fmt: skip
    assert (tmp_path / "m.prom").is_file()


def test_rejections_are_told_by_reason() -> None:
    told = [{"clip": f"{n}.mp4", "feature": "audio", "reason": "no sound"} for n in range(5)]
    told.append({"clip": "x.mp4", "feature": "all", "reason": "no face"})
    assert by_reason(told) == [
        "0.mp4, 1.mp4, 2.mp4 and 2 more: audio: no sound", "x.mp4: all: no face",
    ]  # fmt: skip


@pytest.mark.usefixtures("warm")
def test_a_run_is_told_in_lines_metrics_and_status_alike(clips: Path, tmp_path: Path) -> None:
    (clips / "letter.mp4").write_text("Dear sir, this is no film.")
    store = tmp_path / "store"
    command = ["preprocess", str(clips), "--store", str(store), "--size", "128", "--json"]
    command += ["--clips-per-commit", "2", *(f"--feature={feature}" for feature in SOUND)]
    telling = ["--log-json", str(tmp_path / "run.jsonl"), "--metrics", str(tmp_path / "m.prom")]
    done = CliRunner().invoke(app, [*telling, *command])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    cost = summary["cost"]
    assert cost["clips"] == {"valid": 4}
    assert cost["commits"] == 2
    assert cost["frames"] == summary["frames"] > 0
    assert {"logmel", "store", "probe"} <= set(cost["core_seconds"])
    assert "core hours an hour of video" in summary["text"]
    # the bytes that were counted are the bytes of the chunks that lie there
    chunks = sum(path.stat().st_size for path in (store / "chunks").iterdir())
    assert chunks <= cost["stored_bytes"] <= 1.2 * chunks + 100_000

    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    (run,) = {line["run"] for line in lines if line["event"] == "run began"}
    stages = [line for line in lines if line["event"] == "stage"]
    assert {line["run"] for line in stages} == {run}
    assert sum(line["seconds"] for line in stages) == pytest.approx(
        sum(cost["core_seconds"].values()), abs=0.1
    )
    assert [line["event"] for line in lines].count("commit") == 2
    found = samples((tmp_path / "m.prom").read_text())
    assert found["emohead_frames_total", ()] == cost["frames"]
    assert found["emohead_commit_seconds_count", ()] == 2

    shown = CliRunner().invoke(app, ["status", str(store), "--json"])
    (last,) = json.loads(shown.stdout)["costs"]
    assert last["run"] == run
    assert last["frames"] == cost["frames"]
    assert last["core_seconds"] == cost["core_seconds"]
    assert last["commits"] == cost["commits"]
    shown = CliRunner().invoke(app, ["status", str(store)])
    assert "4 clips valid" in shown.stdout
    assert "frames/s a core" in shown.stdout
    # nothing to do: nothing is charged
    assert json.loads(CliRunner().invoke(app, command).stdout)["cost"] is None
