"""Previews: `emohead synthesize` itself in a process of its own, into the studio's folder."""

import secrets
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

KEPT = 12
"""Previews kept; the oldest goes first."""
SIDES = {"quick": 96, "full": None}
"""Pixels the head is rendered at; None: the frames' own size."""


@dataclass(frozen=True)
class Segment:
    """One stretch of the timeline."""

    tag: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""
    intensity: float = 1.0


def timeline(segments: Sequence[Segment]) -> str:
    """The segments in the words of `--emotion`.

    >>> timeline([Segment("sad", 2, 3.5, 0.8), Segment("happy", 0, 2)])
    'happy@0-2, sad@2-3.5:0.8'
    """
    parts = []
    for segment in sorted(segments, key=lambda s: s.start):
        strength = "" if segment.intensity == 1 else f":{segment.intensity:g}"
        parts.append(f"{segment.tag}@{segment.start:g}-{segment.end:g}{strength}")
    return ", ".join(parts)


def complaint(segments: Sequence[Segment], seconds: float) -> str:
    """Why these segments cannot be spoken, in words; "" if they can."""
    ordered = sorted(segments, key=lambda s: s.start)
    for one in ordered:
        if one.end <= one.start:
            return f"{one.tag} ends at {one.end:g} s, not after its start {one.start:g} s"
        if one.start < 0 or one.end > seconds + 0.04:
            return f"{one.tag} reaches {one.end:g} s, the sound ends at {seconds:.2f} s"
        if one.intensity < 0:
            return f"{one.tag}: the intensity {one.intensity:g} is below 0"
    for one, other in pairwise(ordered):
        if other.start < one.end:
            return (
                f"{other.tag} starts at {other.start:g} s, before {one.tag} ends at {one.end:g} s"
            )
    return ""


@dataclass
class Preview:
    """One video being made, or made."""

    token: str
    path: Path
    process: subprocess.Popen[str] | None = None
    state: Literal["running", "done", "failed", "stopped"] = "running"
    said: str = ""
    """Last line of progress, or what went wrong."""
    lines: list[str] = field(default_factory=list)

    def stop(self) -> None:
        """End it; nothing of it is kept."""
        if self.process is not None and self.process.poll() is None:
            self.state = "stopped"
            self.process.kill()


class Previews:
    """At most one runs at a time: two would share the processor and both come late."""

    def __init__(self, store: str, ref: str, out: Path | None, folder: Path) -> None:
        """`folder`: the studio's own, where videos go."""
        self.store, self.ref, self.out, self.folder = store, ref, out, folder
        self.made: OrderedDict[str, Preview] = OrderedDict()

    def missing(self, identity: str) -> str:
        """What a preview of an identity lacks, with the cure; "" if nothing."""
        if self.out is None:
            return "no output folder was given; start with: emohead studio --out OUT"
        if not (self.out / "network" / "best.json").is_file():
            return f"{self.out} has no network yet; emohead train network --out {self.out}"
        if not (self.out / "heads" / identity / "head.json").is_file():
            return (
                f"{identity} has no head yet; emohead train head --identity {identity} "
                f"--out {self.out}"
            )
        return ""

    def start(
        self, identity: str, sound: Path, emotion: str, text: str, quality: str = "quick"
    ) -> Preview:
        """Begin a video; what ran before is stopped."""
        self.stop()
        token = secrets.token_urlsafe(9)
        preview = Preview(token, self.folder / f"preview-{token}.mp4")
        # fmt: off
        command = [
            sys.executable, "-m", "flows.cli", "synthesize", "--out", str(self.out),
            "--store", self.store, "--ref", self.ref, "--identity", identity,
            "--audio", str(sound), "--video", str(preview.path), "--no-content-credentials",
        ]
        # fmt: on
        command += ["--emotion", emotion] if emotion else []
        command += ["--text", text] if text else []
        side = SIDES[quality]
        command += ["--render-size", str(side)] if side else []
        preview.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self.made[token] = preview
        while len(self.made) > KEPT:
            gone, _ = self.made.popitem(last=False)
            for path in self.folder.glob(f"preview-{gone}.*"):
                path.unlink()
        threading.Thread(target=_follow, args=(preview,), daemon=True).start()
        return preview

    def stop(self) -> None:
        """End what runs."""
        for preview in self.made.values():
            preview.stop()


def _follow(preview: Preview) -> None:
    """Read what the process says until it ends."""
    process = preview.process
    if process is None or process.stdout is None:
        return
    for line in process.stdout:
        text = line.strip()
        if text:
            preview.lines = [*preview.lines[-30:], text]
            if preview.state == "running":
                preview.said = text[-160:]
    code = process.wait()
    if preview.state == "stopped":
        preview.said = "stopped"
    elif code == 0 and preview.path.is_file():
        preview.state = "done"
    else:
        preview.state = "failed"
        last = next((x for x in reversed(preview.lines) if x.startswith("emohead:")), "")
        preview.said = last.removeprefix("emohead: ") or preview.said or f"exit code {code}"
