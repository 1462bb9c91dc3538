"""Update, maintain, doctor, status: what a data engineer calls every day."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.config import MaintainConfig, UpdateConfig
from flows.doctor import Finding, examine
from flows.errors import StoreDamaged
from flows.estimate import estimate, measured_rates
from flows.maintain import maintain
from flows.orchestra import call
from flows.planning import plan_preprocess
from flows.update import free_name, update
from store import Cache


def config(clips: Path, **more: object) -> UpdateConfig:
    base = {"data": clips, "store": str(clips.parent / "store"), "size": 128, "release": "r"}
    return UpdateConfig.model_validate(base | more)


@pytest.mark.usefixtures("warm")
def test_update_makes_a_release_when_something_changed_and_none_when_nothing_did(
    clips: Path, sample_clips: Path
) -> None:
    held_back = sorted(clips.glob("iris_sad_s5.*"))
    for path in held_back:
        path.unlink()
    page = clips.parent / "pages" / "quality.html"
    first = call(update, config(clips, report=page))
    assert first["release"] == "r"
    assert f"wrote {page}" in first["text"]
    assert "frames/s by 2 workers" in page.read_text()
    assert first["hyperplanes"]["planes"]
    again = call(update, config(clips))
    assert (again["release"], again["snapshot"]) == (None, first["snapshot"])
    for path in held_back:
        shutil.copy2(sample_clips / path.name, clips)

    # One clip is new: its twelve cells are planned, timed by what the first run measured.
    job = config(clips)
    scanned, plan, profile = plan_preprocess(job)
    assert len(plan.cells) == 12
    cache = Cache.open(job.store)
    expected = estimate(plan, scanned.clips, profile, cache)
    assert expected.unmeasured == ()
    assert expected.seconds == pytest.approx(
        expected.frames * sum(measured_rates(cache).values()), rel=0.01
    )
    third = call(update, job)
    assert third["release"] == "r-2"
    assert not third["hyperplanes"]["reused"]

    # What the commands print of it.
    run = CliRunner()
    shown = json.loads(run.invoke(app, ["status", job.store, "--json"]).stdout)
    assert set(shown["releases"]) == {"r", "r-2"}
    assert shown["commits"][1]["frames_per_worker_second"] > 0
    healthy = run.invoke(app, ["doctor", "--store", job.store, "--json"])
    assert healthy.exit_code == 0
    states = {finding["name"]: finding["state"] for finding in json.loads(healthy.stdout)}
    assert states["store"] == states["ffmpeg"] == states["packages"] == "ok"

    # Maintenance keeps a sound store, and does not touch a damaged one.
    assert "no problems" in call(maintain, MaintainConfig(store=job.store))["validation"]
    for chunk in (Path(job.store) / "chunks").iterdir():
        chunk.write_bytes(b"")
    with pytest.raises(StoreDamaged, match="was not cleaned"):
        call(maintain, MaintainConfig(store=job.store, read_data=True))


def test_a_release_takes_the_next_free_name() -> None:
    assert free_name("a", {}) == "a"
    assert free_name("a", {"a": "1", "a-2": "2"}) == "a-3"
    assert "{" not in free_name("a-{date}", {})


def test_doctor_names_the_cure(tmp_path: Path) -> None:
    findings = {finding.name: finding for finding in examine(str(tmp_path / "none"))}
    assert findings["store"].state == "broken"
    for finding in findings.values():
        assert isinstance(finding, Finding)
        assert finding.state == "ok" or finding.cure
