"""Damaged copies of real clips through the media path, in a worker with a time limit.

`python -m benchmarks.fuzz_media FOLDER [cases] [seed]`

FOLDER holds a few short clips; every case is one of them, truncated, with a hole, or with bytes of
its header or body changed. What is counted: crashes of the worker, cases over the time limit, and
"wrong valid" ones: a clip that was taken although frames are missing and nothing of it was
recorded, or whose pictures differ visibly from the original's without any remark.
"""

import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 60.0
"""Seconds a case may take."""
KINDS = ("truncated", "header", "body", "hole", "swapped")
DIFFERENT = 20.0
"""dB; a frame further than this from the original's is visibly another one."""
SHARE = 0.05
"""Share of visibly different frames from which silence about it counts as wrong."""


@dataclass(frozen=True)
class Case:
    """One damaged file and what came of it."""

    name: str
    kind: str
    verdict: str
    """rejected, valid, recorded, silent, wrong, crash or hang."""
    reason: str
    seconds: float


def mutate(data: bytes, kind: str, noise: np.random.Generator) -> bytes:
    """Damage as it happens on disks, in transfers, and by those who look for holes."""
    out = bytearray(data)
    if kind == "truncated":
        return bytes(out[: int(noise.integers(1, len(out)))])
    if kind == "hole":
        start = int(noise.integers(0, len(out)))
        out[start : start + 3000] = bytes(len(out[start : start + 3000]))
    elif kind == "swapped":
        size = min(4096, len(out) // 4)
        a, b = (int(x) for x in noise.integers(0, len(out) - size, 2))
        out[a : a + size], out[b : b + size] = out[b : b + size], out[a : a + size]
    else:
        end, count = (min(4000, len(out)), 12) if kind == "header" else (len(out), 60)
        for at in noise.integers(0, end, count):
            out[int(at)] = int(noise.integers(256))
    return bytes(out[: len(data)])


def look(path: Path) -> dict[str, Any]:
    """What the media path makes of a file: pictures at 64 pixels, sound, remarks, or a reason."""
    from pipeline import media
    from pipeline.errors import MediaError
    from pipeline.geometry import Square
    from pipeline.media_audio import read_audio
    from pipeline.media_video import read_video

    try:
        info = media.probe(path)
        video = read_video(info, 64, lambda _, size: Square(0, 0, min(size) // 2 * 2))
        try:
            sound = read_audio(info, len(video.frames)).facts
        except MediaError as reason:
            sound = {"missing": str(reason)}
    except MediaError as reason:
        return {"reason": str(reason)}
    return {"frames": video.frames, "video": video.facts, "sound": sound}


def worker(pipe: Connection) -> None:
    """Answer paths with what `look` says, until the pipe closes."""
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(look(path))
        except Exception as error:
            pipe.send({"bug": f"{type(error).__name__}: {error}"})


class Worker:
    """A process that may die or hang; it is replaced then."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=worker, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, path: Path, limit: float = LIMIT) -> dict[str, Any]:
        """The answer, or `crash` or `hang`."""
        try:
            self.pipe.send(path)
            if self.pipe.poll(limit):
                return self.pipe.recv()
            answer = {"hang": f"over {limit:.0f} s"}
        except (EOFError, ConnectionResetError, BrokenPipeError):
            self.process.join(5)
            answer = {"crash": f"exit code {self.process.exitcode}"}
        self.close()
        self._start()
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def judged(answer: dict[str, Any], whole: dict[str, Any]) -> tuple[str, str]:
    """Verdict and reason of one answer, against what the undamaged file gave."""
    for bad in ("crash", "hang", "bug"):
        if bad in answer:
            return ("crash" if bad == "bug" else bad), answer[bad]
    if "reason" in answer:
        return "rejected", answer["reason"]
    facts, sound = answer["video"], answer["sound"]
    remarks = [
        name
        for name in ("damaged_packets", "corrupt_frames", "frames_out_of_order", "cut_off")
        if facts[name]
    ]
    remarks += ["missing_s"] * (facts["missing_s"] > 0.02)
    gap = facts["longest_gap_s"] > whole["video"]["longest_gap_s"] + 0.01
    remarks += ["longest_gap_s"] * gap
    remarks += [
        name
        for name in ("damaged_packets", "holes_s", "ends_early_s", "missing")
        if sound.get(name, 0) != whole["sound"].get(name, 0)
    ]
    got, expected = answer["frames"], whole["frames"]
    if len(got) != len(expected):
        lost = f"{len(got)} of {len(expected)} frames"
        return ("recorded", ", ".join(remarks)) if remarks else ("wrong", lost)
    off = ((got.astype(np.float32) - expected) ** 2).mean(axis=(1, 2, 3))
    other = float(np.mean(10 * np.log10(255**2 / np.maximum(off, 1e-3)) < DIFFERENT))
    if remarks:
        return "recorded", ", ".join(remarks)
    return ("silent", f"{other:.0%} of frames differ") if other > SHARE else ("valid", "")


def fuzz(folder: Path, cases: int, seed: int) -> list[Case]:
    """Run the cases; the same seed gives the same files."""
    clips = sorted(path for path in folder.iterdir() if path.is_file())
    noise = np.random.default_rng(seed)
    found = []
    worker = Worker()
    whole = {path: worker.ask(path) for path in clips}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(cases):
            clip = clips[number % len(clips)]
            kind = KINDS[number // len(clips) % len(KINDS)]
            path = Path(scratch) / f"{number}{clip.suffix}"
            path.write_bytes(mutate(clip.read_bytes(), kind, noise))
            began = time.monotonic()
            verdict, reason = judged(worker.ask(path), whole[clip])
            case = Case(clip.name, kind, verdict, reason, time.monotonic() - began)
            path.unlink()
            found.append(replace(case, reason=reason.replace(path.name, clip.name)))
    worker.close()
    return found


def main(folder: str, cases: str = "500", seed: str = "1") -> int:
    """Print a table; the exit code counts crashes, hangs and wrong ones."""
    found = fuzz(Path(folder), int(cases), int(seed))
    verdicts = ("valid", "recorded", "rejected", "silent", "wrong", "hang", "crash")
    print(f"| damage | cases | {' | '.join(verdicts)} |\n|---|{'---:|' * (len(verdicts) + 1)}")
    for kind in (*KINDS, "all"):
        those = [case for case in found if kind in (case.kind, "all")]
        counts = Counter(case.verdict for case in those)
        print(f"| {kind} | {len(those)} | {' | '.join(str(counts[v]) for v in verdicts)} |")
    print(f"\nslowest case {max(case.seconds for case in found):.1f} s")
    bad = [case for case in found if case.verdict in ("wrong", "hang", "crash", "silent")]
    for case in bad[:40]:
        print(f"{case.verdict}: {case.name} {case.kind}: {case.reason}")
    return sum(case.verdict in ("wrong", "hang", "crash") for case in found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
