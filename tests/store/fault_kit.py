"""What the tests of faults share: tiny ingests, whole-store comparison, and the killing."""

import asyncio
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store_kit import DATASET, encoder_keys, feature_schemas, make_clip
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import store

FEATURES = ("video/rgb", "face/mar", "text/words")
HERE = Path(__file__).parent

OLD = {f"old{i}": 5 + i for i in range(6)}
"""Clips that are there before; one needs two blocks."""
ALL = {**OLD, "old5": 140, **{f"new{i:02d}": 4 + i for i in range(14)}}
"""Clips of the ingest that is disturbed: 6 recomputed with another encoder, 14 new."""
OLD["old5"] = 140


def schemas() -> dict[str, store.FeatureSchema]:
    return {name: feature_schemas()[name] for name in FEATURES}


def encoders(version: int) -> dict[str, store.EncoderKey]:
    """`version` is that of the pictures' encoder; face/mar reads pictures, text/words does not."""
    return {name: encoder_keys(**{"video/rgb": version})[name] for name in FEATURES}


def write_of(
    clip_id: str, frames: int, version: int, slots: Mapping[str, Any] | None = None
) -> store.ClipWrite:
    """What an encoder of that version makes of the planned features of a clip."""
    cells = FEATURES if slots is None else list(slots[clip_id].cells)
    return make_clip(clip_id, frames, version, cells)


def order_rows(
    snapshot: store.Snapshot,
    clips: Mapping[str, int],
    wanted: Mapping[str, store.EncoderKey],
    force: Any = (),
) -> tuple[store.Plan, list[store.ClipRow]]:
    """Plan clips (id -> frames); the rows of those with something to do."""
    sources = [store.SourceKey(name, f"content of {name}") for name in clips]
    plan = store.plan(snapshot, DATASET, sources, wanted, force)
    rows = [
        store.ClipRow(name, content, clips[name], plan.cells_of(name))
        for name, content in sources
        if plan.cells_of(name)
    ]
    return plan, rows


def ingest(
    cache: store.Cache, clips: Mapping[str, int], version: int = 1, force: Any = ()
) -> store.Plan:
    """The same ingest as the nursery's, in this process."""
    plan, rows = order_rows(cache.snapshot(), clips, encoders(version), force)
    with cache.write(DATASET, schemas(), "Ingest", {"plan": plan.hash}) as session:
        for batch in session.allocate(rows, max_clips=4):
            fork = session.fork(batch)
            for slot in batch.slots:
                write = write_of(slot.clip_id, clips[slot.clip_id], version, fork.slots)
                store.write_clip(fork, write)
            session.merge(fork)
    return plan


def everything(snapshot: store.Snapshot) -> dict[str, bytes]:
    """Every key of a snapshot with its bytes: the metadata of every group and array, and every
    chunk as it is stored. What is equal here is equal however it is read."""
    there = snapshot.root.store

    async def collect() -> dict[str, bytes]:
        keys = [key async for key in there.list_prefix("")]
        prototype = default_buffer_prototype()
        found = await asyncio.gather(*(there.get(key, prototype) for key in keys))
        return {
            key: data.to_bytes() for key, data in zip(keys, found, strict=True) if data is not None
        }

    return sync(collect())


def differences(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """Keys that are not equal."""
    return sorted(path for path in {*one, *other} if one.get(path) != other.get(path))


@dataclass
class Deaths:
    """What a series of kills came to."""

    kills: int = 0
    of_committer: int = 0
    of_worker: int = 0
    too_late: int = 0
    """The ingest was over before the signal."""
    committed: int = 0
    """The commit was made before the signal, and all of it was there."""
    stages: dict[str, int] = field(default_factory=dict)
    """Last stage that the committer told before the signal -> kills."""


class Nursery:
    """The parent of the processes to be killed."""

    def __init__(self) -> None:
        """Start it; it takes a second to import."""
        command = [sys.executable, str(HERE / "fault_nursery.py")]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._rest = b""
        if self.line(60) != "ready":
            raise RuntimeError("the nursery does not start")

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)

    def line(self, seconds: float) -> str | None:
        """Next line, None if none comes in time."""
        assert self.process.stdout is not None
        stop = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = stop - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise RuntimeError("the nursery died")
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    def tell(self, line: str) -> None:
        """Write a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def start(self, location: str, clips: Mapping[str, int], version: int) -> list[int]:
        """Order an ingest; pids of the committer and its two workers."""
        order = {"location": location, "clips": clips, "version": version, "workers": 2}
        self.tell(json.dumps(order))
        said = ""
        stages = []
        while not said.startswith("pids"):
            said = self.line(30) or "nothing"
            stages.append(said)
        self.early = [line for line in stages if line.startswith("stage")]
        return [int(word) for word in said.split()[1:]]

    def follow(self, seconds: float, until: str = "over") -> list[tuple[float, str]]:
        """Lines with their times until one is `until`, or the time is up."""
        begun = time.monotonic()
        said = [(0.0, line) for line in self.early]
        self.early = []
        while True:
            line = self.line(begun + seconds - time.monotonic())
            if line is None:
                return said
            said.append((time.monotonic() - begun, line))
            if line.startswith("over"):
                self.tell("")
            if line.startswith(until):
                return said


class Killer:
    """Disturbs ingests by SIGKILL at random moments and looks at what is left."""

    def __init__(self, folder: Path, seed: int) -> None:
        """`folder`: where stores are made."""
        self.folder, self.random = folder, random.Random(seed)
        self.nursery = Nursery()
        self.deaths = Deaths()
        ingest(store.Cache.open(folder / "template", create=True), OLD)
        calm = self.fresh("calm")
        self.before = everything(calm.snapshot())
        self.nursery.start(calm.location, ALL, 2)
        self.nursery.follow(60)  # the first one warms the caches of the machine
        times = []
        for i in range(2):
            calm = self.fresh(f"calm{i}")
            self.nursery.start(calm.location, ALL, 2)
            times.append({line.removesuffix(" 0 0 0"): t for t, line in self.nursery.follow(60)})
        self.after = everything(store.Cache.open(calm.location).snapshot())
        self.whole = max(said["over"] for said in times)
        self.commit = max(said["stage committed"] - said["stage committing"] for said in times)
        self.chunks = len(list((Path(calm.location) / "chunks").iterdir()))

    def fresh(self, name: str) -> store.Cache:
        """A store that holds the old clips."""
        shutil.copytree(self.folder / "template", self.folder / name)
        return store.Cache.open(self.folder / name)

    def kill_one(self, number: int) -> list[str]:
        """One kill on a fresh store; what went wrong, in words."""
        deaths, draw = self.deaths, self.random
        cache = self.fresh(f"killed{number}")
        before = cache.snapshot().id
        committer = draw.random() < 0.6
        in_commit = committer and draw.random() < 0.5
        share = draw.random()
        pids = self.nursery.start(cache.location, ALL, 2)
        victim = pids[0] if committer else draw.choice(pids[1:])
        said = []
        if in_commit:
            said = self.nursery.follow(60, until="stage committing")
            said += self.nursery.follow(share * self.commit)
        else:
            said = self.nursery.follow(share * self.whole)
        over = bool(said) and said[-1][1].startswith("over")
        if not over:
            os.kill(victim, signal.SIGKILL)  # not yet buried: the pid is its own
            last = self.nursery.follow(60)[-1][1]
            if not last.startswith("over"):
                raise RuntimeError("the survivors do not end")
            over = last.split()[1 + pids.index(victim)] != str(int(signal.SIGKILL))
        deaths.kills += not over
        deaths.too_late += over
        deaths.of_committer += committer and not over
        deaths.of_worker += not committer and not over
        stage = [line for _, line in said if line.startswith("stage")][-1:] or ["stage started"]
        if not over:
            deaths.stages[stage[0][6:]] = deaths.stages.get(stage[0][6:], 0) + 1
        return self.judge(cache.location, before)

    def judge(self, location: str, before: str) -> list[str]:
        """All or nothing; valid; and equal to the calm run after the next one."""
        wrong = []
        cache = store.Cache.open(location)
        found = everything(cache.snapshot())
        if cache.snapshot().id == before:
            if found != self.before:
                wrong.append(f"the old snapshot changed: {differences(found, self.before)}")
        else:
            self.deaths.committed += 1
            if found != self.after:
                wrong.append(f"half a commit: {differences(found, self.after)}")
        wrong += [f"invalid: {p}" for p in cache.validate(read_data=True).problems]
        ingest(cache, ALL, 2)
        again = differences(everything(cache.snapshot()), self.after)
        if again:
            wrong.append(f"the rerun differs from the calm run in {again}")
        return wrong
