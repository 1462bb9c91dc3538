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
    made = make_clip(clip_id, frames, version, [name for name in cells if name != "text/words"])
    words = make_clip(clip_id, frames, 1, [name for name in cells if name == "text/words"])
    return store.ClipWrite(clip_id, frames, {**made.arrays, **words.arrays}, words.tokens)


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


@dataclass
class Flips:
    """What a series of damaged files came to, by kind of file."""

    found: dict[str, int] = field(default_factory=dict)
    """Named by `validate`, or refused on opening."""
    harmless: dict[str, int] = field(default_factory=dict)
    """Not found, and nothing that is read is different."""
    silent: list[str] = field(default_factory=list)
    """Not found, and something is different: must stay empty."""
    unclear: list[str] = field(default_factory=list)
    """Found, but by an error that is not one of the store's own."""
    repaired: int = 0
    """Cells planned again, or `main` put back and the run repeated: equal to before."""
    unrepaired: list[str] = field(default_factory=list)


class Damager:
    """Damages files of a store one by one and looks who notices."""

    def __init__(self, folder: Path, seed: int) -> None:
        """`folder`: where stores are made."""
        self.folder, self.random = folder, random.Random(seed)
        self.flips = Flips()
        self.copies = 0
        self.healthy = folder / "healthy"
        cache = store.Cache.open(self.healthy, create=True)
        ingest(cache, OLD)
        cache.tag("v1")
        ingest(cache, SOME, 2)
        self.truth = reading(cache)
        self.main = everything(cache.snapshot())
        self.files = sorted(
            file.relative_to(self.healthy)
            for file in self.healthy.rglob("*")
            if file.is_file() and file.stat().st_size
        )

    def draw(self) -> Path:
        """A file: each kind of them equally often, then any of its kind."""
        kind = self.random.choice(sorted({file.parts[0] for file in self.files}))
        return self.random.choice([file for file in self.files if file.parts[0] == kind])

    def flip(self, file: Path) -> str:
        """One bit of a file, anywhere."""
        data = bytearray((self.healthy / file).read_bytes())
        at, bit = self.random.randrange(len(data)), self.random.randrange(8)
        data[at] ^= 1 << bit
        return self.damage(file, bytes(data), f"bit {bit} of byte {at} of {file}")

    def cut(self, file: Path) -> str:
        """A file that ends too early."""
        data = (self.healthy / file).read_bytes()
        at = self.random.randrange(len(data))
        return self.damage(file, data[:at], f"{file} cut to {at} of {len(data)} bytes")

    def lose(self, file: Path) -> str:
        """A file that is gone."""
        return self.damage(file, None, f"{file} missing")

    def damage(self, file: Path, data: bytes | None, what: str) -> str:
        """Damage one file of a copy of the store; who notices, and can it be repaired."""
        kind = file.parts[0]
        self.copies += 1
        copy = self.folder / f"damaged{self.copies}"
        shutil.copytree(self.healthy, copy)
        try:
            (copy / file).unlink()
            if data is not None:
                (copy / file).write_bytes(data)
            notice, told = self.notice(copy)
            count = getattr(self.flips, notice)
            if isinstance(count, list):
                count.append(f"{what}: {told}")
            else:
                count[kind] = count.get(kind, 0) + 1
            if notice != "harmless" and kind in REPAIRABLE and "tag.v1" not in file.parts:
                repaired = self.repair(copy, kind)
                if repaired:
                    self.flips.unrepaired.append(f"{what}: {repaired}")
                self.flips.repaired += not repaired
        finally:
            shutil.rmtree(copy, ignore_errors=True)  # icechunk may still be at work in it
        return told

    def notice(self, copy: Path) -> tuple[str, str]:
        """`found`, `unclear`, `harmless` or `silent`, and what was said."""
        try:
            cache = store.Cache.open(copy)
            reports = [cache.validate(ref, read_data=True) for ref in ("main", "v1")]
            told = "; ".join(report.summary() for report in reports if not report.ok)
            if told:
                return "found", told
            different = differences(reading(cache), self.truth)
        except store.StoreError as error:
            return "found", str(error)
        except Exception as error:
            return "unclear", f"{type(error).__name__}: {error}"
        return ("silent", str(different)) if different else ("harmless", "")

    def repair(self, copy: Path, kind: str) -> str:
        """The way back that docs/reliability.md gives; what is wrong after it."""
        try:
            cache = store.Cache.open(copy) if kind == "chunks" else None
            damaged = cache.validate(read_data=True).damaged if cache is not None else []
            if cache is not None and damaged:
                plan = ingest(cache, SOME, 2, damaged)
                if {cell[:2] for cell in plan.cells} != set(damaged):
                    return f"planned {plan.cells}, damaged were {damaged}"
            else:
                store.fall_back(copy)
                cache = store.Cache.open(copy)
                ingest(cache, SOME, 2)
            problems = cache.validate(read_data=kind == "chunks").problems
            left = differences(everything(cache.snapshot()), self.main)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return f"{problems} {left}" if problems or left else ""


SOME = {**OLD, "more": 9}
REPAIRABLE = ("chunks", "manifests", "snapshots", "transactions", "refs")
"""Kinds of files that there is a way back for; a lost tag is made again by hand."""


def reading(cache: store.Cache) -> dict[str, bytes]:
    """All that a user can read of a store: its log, its tags, and both snapshots."""
    found = {
        entry.id: repr((entry.message, entry.written_at, sorted(entry.metadata.items()))).encode()
        for entry in cache.log()
    }
    found |= {f"tag {name}": id_.encode() for name, id_ in cache.tags().items()}
    for ref in ("main", "v1"):
        found |= {f"{ref} {key}": data for key, data in everything(cache.snapshot(ref)).items()}
    return found
