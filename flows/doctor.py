"""What of this machine works, what is missing, and the cure."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

State = Literal["ok", "missing", "broken"]


WORKER_GIB = 0.5
"""Memory of one worker of the embedded profile."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    state: State
    what: str
    cure: str = ""
    needed: bool = False
    """Whether what was asked about cannot work without it: broken, it is exit code 3."""


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
    version, _, _ = done.stdout.splitlines()[0].partition(" Copyright")
    return Finding("ffmpeg", "ok", version, needed=True)


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


def machine() -> Finding:
    """Cores this process may use, and memory: each worker takes a core and holds the models."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    free, whole = memory.available / 2**30, memory.total / 2**30
    what = f"{cores} core{'' if cores == 1 else 's'}, {free:.1f} of {whole:.0f} GiB memory free"
    if free < WORKER_GIB:
        cure = f"a worker of the embedded profile needs about {WORKER_GIB} GiB: end something else"
        return Finding("machine", "broken", what, cure, needed=True)
    return Finding("machine", "ok", what)


def disk(name: str, folder: Path, least: float, what_for: str) -> Finding:
    """Room in the file system of a folder, there already or not yet."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(there).free / 2**30
    what = f"{free:.1f} GiB free for {folder}"
    if free < least:
        cure = f"{what_for} needs at least {least:g} GiB: free some, or work in another folder"
        return Finding(name, "broken", what, cure, needed=True)
    return Finding(name, "ok", what)


def room(location: str | None) -> list[Finding]:
    """Disk where results go, and where remote videos are brought to."""
    from pipeline.errors import PipelineError
    from pipeline.scratch import scratch_bytes, scratch_folder

    local = location is not None and "://" not in location
    found = [disk("disk", Path(location or ".") if local else Path.cwd(), 2, "a demo")]
    try:
        gigabytes = scratch_bytes() / 2**30
    except PipelineError as error:
        cure = "unset it, or give a number"
        return [*found, Finding("scratch", "broken", str(error), cure, needed=True)]
    # Only sources that are not on this machine use it.
    scratch = disk("scratch", scratch_folder(), gigabytes, "a worker on remote videos")
    return [*found, dataclasses.replace(scratch, needed=False)]


def profile_weights(profile: str) -> list[Finding]:
    """Whether a profile's encoders find their weights and libraries: a finding for each lack."""
    from pipeline.errors import ProfileError, WeightError
    from pipeline.profiles import load_profile

    name = f"profile {profile}"
    try:
        encoders = load_profile(profile).encoders
    except WeightError as error:
        # A line each, and at the end the profile that does without.
        lacks = [line.strip() for line in str(error).splitlines() if line.startswith("  ")]
        found = [Finding(name, "broken", *_with_cure(lack), needed=True) for lack in lacks]
        return found or [Finding(name, "broken", str(error), needed=True)]
    except ProfileError as error:
        return [Finding(name, "broken", str(error), "emohead plan --help", needed=True)]
    return [Finding(name, "ok", f"{len(encoders)} encoders have what they need")]


def _with_cure(lack: str) -> tuple[str, str]:
    what, mark, cure = lack.partition(": `")
    if mark:
        return what, cure.rstrip("`")
    what, mark, cure = lack.partition(": get it from ")
    return (what, f"get it from {cure}".replace("`", "")) if mark else (lack, "")


def cloud() -> Finding:
    """Packages that bring videos from S3 and web servers."""
    missing = [n for n in ("fsspec", "s3fs", "aiohttp") if importlib.util.find_spec(n) is None]
    if missing:
        what = f"{', '.join(missing)} not installed: no s3:// and https:// sources"
        return Finding("cloud", "missing", what, "only if needed: pip install 'emohead[cloud]'")
    return Finding("cloud", "ok", "videos may lie on S3 and web servers")


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
        return Finding("prefect server", "broken", f"{url}: {reason}", cure, needed=True)
    import prefect

    version = _server_version(url)
    if version is not None and version.split(".")[:2] != prefect.__version__.split(".")[:2]:
        what = f"{url}: server {version}, client here {prefect.__version__}"
        cure = "install the same version on both sides"
        return Finding("prefect server", "broken", what, cure, needed=True)
    return Finding("prefect server", "ok", f"{url}, version {version or 'not told'}")


def _server_version(url: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/admin/version", timeout=5) as answer:
            return str(json.load(answer))
    except (OSError, ValueError):
        return None


def store(location: str) -> Finding:
    """One store."""
    from store import Cache
    from store.errors import StoreError

    try:
        cache = Cache.open(location)
        snapshot = cache.snapshot()
        report = cache.validate()
    except StoreError as error:
        cure = "name the folder or URL of a store"
        return Finding("store", "broken", str(error), cure, needed=True)
    if not report.ok:
        cure = f"emohead store validate {location} --read-data"
        return Finding("store", "broken", report.summary(), cure, needed=True)
    clips = sum(len(snapshot.clips(name)) for name in snapshot.datasets())
    return Finding("store", "ok", f"{location}: {clips} clips, snapshot {snapshot.id}")


def examine(location: str | None = None, profile: str = "embedded") -> list[Finding]:
    """All findings; a check that itself fails is a finding too."""
    alone = (python, packages, ffmpeg, machine, gpu, tiny_cuda_nn, cloud, prefect_server)
    checks: list[tuple[str, Callable[[], list[Finding]]]] = [
        (check.__name__, lambda check=check: [check()]) for check in alone
    ]
    checks.append(("disk", lambda: room(location)))
    checks.append((f"profile {profile}", lambda: profile_weights(profile)))
    if location is not None:
        checks.append(("store", lambda: [store(location)]))
    found = []
    for name, check in checks:
        try:
            found += check()
        except Exception as error:  # a broken installation breaks in any way it likes
            what = f"{type(error).__name__}: {error}"
            found.append(Finding(name, "broken", what, "make setup", needed=True))
    return found


def text(findings: list[Finding]) -> str:
    """A line each, and the cure under what is not ok."""
    marks = {"ok": "ok", "missing": "--", "broken": "!!"}
    lines = []
    for found in findings:
        lines.append(f"{marks[found.state]}  {found.name:<16} {found.what}")
        if found.cure:
            lines.append(f"      {found.cure}")
    return "\n".join(lines)
