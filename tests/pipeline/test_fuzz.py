"""A short fuzz run: the long one is `python -m benchmarks.fuzz_media`."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_media import KINDS, Worker, fuzz, judged, mutate


def test_damaged_clips_crash_nothing_and_none_is_taken_for_whole(shared_data: Path, tmp_path: Path):
    for name in ("mead/W009_front_happy_level3_001.mp4", "grid/bbaf2n.mpg"):
        shutil.copyfile(shared_data / "real" / name, tmp_path / Path(name).name)
    shutil.copyfile(shared_data / "bad" / "torchcodec__av1_video.mkv", tmp_path / "c.mkv")
    found = fuzz(tmp_path, 30, seed=2)
    verdicts = Counter(case.verdict for case in found)
    assert verdicts.total() == 30
    assert not verdicts.keys() & {"wrong", "hang", "crash", "silent"}, found
    assert verdicts["rejected"] > 0 < verdicts["recorded"]


def test_a_worker_that_dies_or_hangs_is_seen_and_replaced(tmp_path: Path, maker: Any):
    clip = maker.write("clip.mp4", [])
    worker = Worker()
    worker.process.kill()
    assert "crash" in worker.ask(clip)
    assert "hang" in worker.ask(clip, limit=0.0)
    assert "reason" in worker.ask(clip)
    worker.close()


def test_missing_frames_without_a_remark_would_be_called_wrong():
    facts = dict.fromkeys(
        ("damaged_packets", "corrupt_frames", "frames_out_of_order", "cut_off", "missing_s"), 0
    ) | {"longest_gap_s": 0.04}
    whole = {"frames": np.zeros((9, 4, 4, 3), np.uint8), "video": facts, "sound": {}}
    assert judged(whole, whole) == ("valid", "")
    assert judged(whole | {"frames": whole["frames"][:7]}, whole) == ("wrong", "7 of 9 frames")
    other = whole | {"frames": whole["frames"] + 200}
    assert judged(other, whole)[0] == "silent"
    said = other | {"video": facts | {"damaged_packets": 2}}
    assert judged(said, whole) == ("recorded", "damaged_packets")
    assert judged({"bug": "KeyError"}, whole)[0] == "crash"


def test_damage_is_the_same_for_the_same_seed_and_always_some():
    data = bytes(range(256)) * 100
    for kind in KINDS:
        a, b = (mutate(data, kind, np.random.default_rng(3)) for _ in range(2))
        assert a == b != data
