"""A damaged cell is found, named, and computed again, and no other."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.config import PreprocessConfig
from flows.orchestra import call
from flows.planning import plan_preprocess
from flows.preprocess import preprocess
from store import Cache

FEATURES = ("audio/logmel", "audio/waveform")


@pytest.mark.usefixtures("warm")
def test_a_flipped_byte_costs_the_cell_it_is_in(clips: Path, tmp_path: Path) -> None:
    location = str(tmp_path / "store")
    job = PreprocessConfig(data=clips, store=location, size=128, workers=1, features=FEATURES)
    call(preprocess, job)
    cache = Cache.open(location)
    before = cache.snapshot()
    chunk = max(Path(location, "chunks").iterdir(), key=lambda path: path.stat().st_size)
    healthy = chunk.read_bytes()
    at = len(healthy) // 2
    chunk.write_bytes(healthy[:at] + bytes([healthy[at] ^ 1]) + healthy[at + 1 :])

    (clip_id, feature) = Cache.open(location).validate(read_data=True).damaged[0]
    asked = CliRunner().invoke(app, ["store", "validate", location, "--read-data"])
    assert asked.exit_code == 3
    assert f"clips/{feature} of clip {clip_id}" in asked.stdout
    assert "--repair" in asked.stdout

    again = job.model_copy(update={"repair": True})
    _, plan, _ = plan_preprocess(again)
    assert [cell[:3] for cell in plan.cells] == [(clip_id, feature, "forced")]
    assert call(preprocess, again)["computed"] == 1
    after = Cache.open(location)
    assert after.validate(read_data=True).ok
    assert call(preprocess, again)["planned"] == 0
    # What was computed is what was there: only the copy from before the damage can tell.
    chunk.write_bytes(healthy)
    for name in FEATURES:
        for clip in before.clips("clips").index:
            np.testing.assert_array_equal(
                Cache.open(location).snapshot(before.id).read("clips", name, str(clip)),
                after.snapshot().read("clips", name, str(clip)),
            )
