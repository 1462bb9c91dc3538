"""What of this machine works, what is missing, and the cure."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    state: State
    what: str
    cure: str = ""
    needed: bool = False
    """Whether the embedded profile cannot work without it."""


def python() -> Finding:
    """The interpreter."""
    return Finding("python", "ok", ".".join(map(str, sys.version_info[:3])), needed=True)


def packages() -> Finding:
    """Every package emohead names, at a version it accepts."""
    from packaging.requirements import Requirement

    wrong = []
    for line in importlib.metadata.requires("emohead") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if wrong:
        cure = "make setup (or pip install --no-deps -r requirements.lock)"
        return Finding("packages", "broken", "; ".join(wrong), cure, needed=True)
    return Finding("packages", "ok", "as the project asks", needed=True)


def ffmpeg() -> Finding:
    """The encoder of videos."""
    from pipeline.errors import PipelineError
    from pipeline.ffmpeg import ffmpeg_exe

    try:
        path = ffmpeg_exe()
        done = subprocess.run([path, "-version"], capture_output=True, text=True, check=True)
    except (PipelineError, OSError, subprocess.CalledProcessError) as error:
        cure = "install ffmpeg, or pip install imageio-ffmpeg"
        return Finding("ffmpeg", "broken", str(error), cure, needed=True)
    return Finding("ffmpeg", "ok", done.stdout.splitlines()[0][:60], needed=True)


def gpu() -> Finding:
    """A CUDA device, for long trainings."""
    import torch

    if not torch.cuda.is_available():
        what = f"no CUDA device (torch {torch.__version__})"
        cure = "not needed: all runs on the CPU; for long trainings use a CUDA build of torch"
        return Finding("gpu", "missing", what, cure)
    device = torch.cuda.get_device_properties(0)
    return Finding("gpu", "ok", f"{device.name}, {device.total_memory / 2**30:.0f} GiB")


def tiny_cuda_nn() -> Finding:
    """The fastest back-end of the head's encodings."""
    if importlib.util.find_spec("tinycudann") is None:
        cure = "not needed: CPU kernels and PyTorch do the same; on a GPU: pip install tinycudann"
        return Finding("tiny-cuda-nn", "missing", "not installed", cure)
    return Finding("tiny-cuda-nn", "ok", importlib.metadata.version("tinycudann"))


def memory_and_disk() -> Finding:
    """Room to work."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    what = f"{os.cpu_count()} cores, {pages:.0f} GiB memory, {free:.0f} GiB free here"
    if free < 2:
        return Finding("machine", "broken", what, "free some disk: a demo needs 1 GiB", needed=True)
    return Finding("machine", "ok", what)


def prefect_server() -> Finding:
    """The server that keeps run history and schedules."""
    from flows.orchestra import server, why_away

    url = server()
    if url is None:
        what = "none set: commands run here and keep no history"
        cure = "prefect server start; export PREFECT_API_URL=http://127.0.0.1:4200/api"
        return Finding("prefect server", "missing", what, cure)
    if reason := why_away(url):
        cure = "start it (`prefect server start`), or unset PREFECT_API_URL to run without one"
        return Finding("prefect server", "broken", f"{url}: {reason}", cure)
    return Finding("prefect server", "ok", url)


def store(location: str) -> Finding:
    """One store."""
    from store import Cache
    from store.errors import StoreError

    try:
        cache = Cache.open(location)
        snapshot = cache.snapshot()
        report = cache.validate()
    except StoreError as error:
        return Finding("store", "broken", str(error), "name the folder or URL of a store")
    if not report.ok:
        cure = f"emohead store validate {location} --read-data"
        return Finding("store", "broken", report.summary(), cure)
    clips = sum(len(snapshot.clips(name)) for name in snapshot.datasets())
    return Finding("store", "ok", f"{location}: {clips} clips, snapshot {snapshot.id}")


def examine(location: str | None = None) -> list[Finding]:
    """All findings; a check that itself fails is a finding too."""
    checks: list[Callable[[], Finding]] = [
        python,
        packages,
        ffmpeg,
        memory_and_disk,
        gpu,
        tiny_cuda_nn,
        prefect_server,
    ]
    if location is not None:
        checks.append(lambda: store(location))
    return [check() for check in checks]


def text(findings: list[Finding]) -> str:
    """A line each, and the cure under what is not ok."""
    marks = {"ok": "ok", "missing": "--", "broken": "!!"}
    lines = []
    for found in findings:
        lines.append(f"{marks[found.state]}  {found.name:<16} {found.what}")
        if found.cure:
            lines.append(f"      {found.cure}")
    return "\n".join(lines)
