"""Damaged files: any flipped bit, cut or missing file is found, or changes nothing that is read.

The full number (360) is `benchmarks/store_faults.py flips`; docs/reliability.md has it.
"""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from fault_kit import OLD, SOME, Damager, differences, everything, ingest
from numcodecs.zstd import decompress
from store_kit import DATASET

import store
from store.seals import FOLDER

SEED = 5


def test_damage_anywhere_is_found_or_changes_nothing_and_can_be_repaired(tmp_path: Path) -> None:
    damager = Damager(tmp_path, SEED)
    for number in range(10):
        how = (damager.flip, damager.flip, damager.flip, damager.cut, damager.lose)
        how[number % 5](damager.draw())
    flips = damager.flips
    assert (flips.silent, flips.unclear, flips.unrepaired) == ([], [], []), f"seed {SEED}"
    assert set(flips.harmless) <= {"config.yaml", "refs", FOLDER}
    assert len(flips.found) >= 3


@pytest.mark.slow
def test_a_hundred_faults(tmp_path: Path) -> None:
    damager = Damager(tmp_path, SEED + 1)
    for number in range(100):
        how = (damager.flip, damager.flip, damager.flip, damager.cut, damager.lose)
        how[number % 5](damager.draw())
    flips = damager.flips
    assert (flips.silent, flips.unclear, flips.unrepaired) == ([], [], []), f"seed {SEED + 1}"


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)


def manifest_of(cache: store.Cache, path: str) -> Path:
    inside = cache.repository.inspect_snapshot(cache.snapshot().id)
    nodes = json.loads(inside) if isinstance(inside, str) else inside
    node = next(node for node in nodes["nodes"] if node["path"] == f"/{DATASET}/{path}")
    return Path(cache.location, "manifests", node["manifest_refs"][0]["id"])


def test_a_damaged_manifest_is_named_with_its_cells(cache: store.Cache) -> None:
    ingest(cache, OLD)
    damage(manifest_of(cache, "frames/face/mar"))
    report = store.Cache.open(cache.location).validate()
    assert {(clip, "face/mar") for clip in OLD} == set(report.damaged)
    assert "does not match the checksum it was written with" in report.summary()
    assert "its chunks are listed in the damaged manifest" in report.summary()


def test_a_store_that_does_not_open_says_which_file_and_the_way_back(cache: store.Cache) -> None:
    ingest(cache, OLD)
    good = cache.snapshot()
    there = everything(good)
    ingest(cache, SOME, 2)
    tip = cache.snapshot().id
    wanted = everything(cache.snapshot())
    (Path(cache.location) / "snapshots" / tip).write_bytes(b"")
    with pytest.raises(store.CorruptionError, match=f"snapshots/{tip} has 0 bytes.*{good.id}"):
        store.Cache.open(cache.location)
    assert store.fall_back(cache.location) == good.id
    again = store.Cache.open(cache.location)
    assert differences(everything(again.snapshot()), there) == []
    ingest(again, SOME, 2)
    assert differences(everything(again.snapshot()), wanted) == []
    assert store.fall_back(cache.location) == again.snapshot().id  # nothing to do any more


def test_a_commit_without_a_seal_is_told_and_sealed_by_the_next(cache: store.Cache) -> None:
    ingest(cache, OLD)
    old = cache.snapshot().id
    (Path(cache.location) / FOLDER / old).unlink()  # as if the committer had died before it
    report = cache.validate(read_data=True)
    assert (report.ok, report.sealed) == (True, False)
    assert "no seal" in report.summary()
    ingest(cache, SOME, 2)
    assert (cache.validate().sealed, cache.validate(old).sealed) == (True, True)


def test_without_seals_the_chunks_of_clip_table_and_fits_still_find_a_flipped_bit(
    cache: store.Cache,
) -> None:
    """On object storage there are no seals: the checksum of each chunk does it."""
    plan = ingest(cache, {f"clip{i}": 1 for i in range(100)})  # too many to lie in a manifest
    before = set(Path(cache.location, "chunks").iterdir())
    with cache.write(DATASET, {}, "Fit") as session:
        w = np.random.default_rng(1).normal(size=(4, 100))
        session.put_hyperplanes("face/mar", "pooled", {"w": w}, {})
    fits = set(Path(cache.location, "chunks").iterdir()) - before
    assert fits
    for seal in (Path(cache.location) / FOLDER).iterdir():
        seal.unlink()
    for file, path in [(fits.pop(), "hyperplanes/face/mar/pooled/w"), *columns_of(before, plan)]:
        healthy = file.read_bytes()
        damage(file)
        problems = store.Cache.open(cache.location).validate(read_data=True).problems
        file.write_bytes(healthy)
        assert any(path in f"{problem}" for problem in problems), (path, problems)


def columns_of(files: set[Path], plan: store.Plan) -> list[tuple[Path, str]]:
    """The chunk files that hold the fingerprints of a feature."""
    found = []
    for file in files:
        with contextlib.suppress(RuntimeError):
            text = decompress(file.read_bytes()[:-4])
            for feature, fingerprint in plan.cells_of("clip7").items():
                if fingerprint.encode() in text:
                    found.append((file, f"cells/{feature}"))
    assert len(found) == 3
    return found
