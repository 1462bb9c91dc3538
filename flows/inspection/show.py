"""One clip of a store, written as a recording or opened in the viewer."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import rerun as rr

from flows.errors import FlowError, NothingToDo
from flows.inspection.clip import clip_facts
from flows.inspection.find import find_clip
from flows.inspection.layout import layout
from flows.inspection.record import ClipRecorder
from flows.store_features import names_in, profile_of_store
from store import Cache

APPLICATION = "emohead"


@dataclass(frozen=True)
class Inspection:
    """What a recording holds."""

    clip_id: str
    frames: int
    sent: tuple[str, ...]
    left_out: dict[str, str]
    """Feature to reason."""
    path: Path


def record_clip(
    store: str, text: str, path: Path, dataset: str = "clips", ref: str = "main"
) -> Inspection:
    """Write everything the store knows of a clip to an .rrd file, whole or not at all.

    Args:
        store: folder or URL; it is only read.
        text: clip id, its beginning, or the source's file name.
        path: file to write.
        dataset: group of the store.
        ref: branch, tag or snapshot id.

    Raises:
        NothingToDo: no such clip or several; or `path` lies inside the store.
    """
    cache = Cache.open(store)
    if Path(cache.location) in path.absolute().parents:
        raise NothingToDo(f"{path} lies inside the store {cache.location}; write it elsewhere")
    snapshot = cache.snapshot(ref)
    clip_id = find_clip(snapshot, dataset, text)
    facts = clip_facts(snapshot, dataset, clip_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    stream = rr.RecordingStream(APPLICATION, recording_id=f"{clip_id}@{snapshot.id}")
    rr.set_log_time_enabled(False, recording=stream)  # when it was written is no clock of a clip
    rr.set_log_tick_enabled(False, recording=stream)
    try:
        stream.save(draft)
        stream.send_recording_name(f"{facts.name} ({facts.identity}, {facts.emotion or '?'})")
        recorder = ClipRecorder(stream, snapshot, dataset, facts)
        names = names_in(snapshot, dataset, profile_of_store(cache, ref, dataset))
        recorder.everything(names.expression)
        valid = set(recorder.sent)
        stream.send_blueprint(
            layout(
                recorder.heat_maps,
                masks=any(name.startswith("parsing/") for name in valid),
                margins=recorder.has_margins,
                sound="audio/waveform" in valid,
                seen=facts.frames > 0,
            )
        )
        stream.flush()
        stream.disconnect()
        draft.replace(path)
    finally:
        stream.disconnect()
        draft.unlink(missing_ok=True)
    return Inspection(
        clip_id, facts.frames, tuple(recorder.sent), recorder.left_out, path.absolute()
    )


def open_in_viewer(store: str, text: str, dataset: str = "clips", ref: str = "main") -> Inspection:
    """Show a clip in a viewer window and wait until it is closed. Nobody else on the network can
    reach what it shows.

    Raises:
        NothingToDo: no such clip.
        FlowError: the viewer could not open a window.
    """
    with tempfile.TemporaryDirectory(prefix="emohead-inspect-") as folder:
        done = record_clip(store, text, Path(folder) / "clip.rrd", dataset, ref)
        log = Path(folder) / "viewer.log"
        with log.open("wb") as said, viewer(["--port", "auto", str(done.path)], said) as process:
            code = process.wait()
        lines = log.read_text(errors="replace").strip().splitlines() or ["no message"]
    if code:
        raise FlowError(
            f"the Rerun viewer ended with code {code}: {lines[-1]}. Without a screen, "
            "write a file with --save clip.rrd and open it elsewhere: rerun clip.rrd"
        )
    return done


@contextlib.contextmanager
def viewer(arguments: Sequence[str], said: IO[bytes] | None = None) -> Iterator[subprocess.Popen]:
    """Rerun's own program on this machine alone; it ends with the block at the latest.

    `python -m rerun` starts the program as a child, which outlives it when it is ended: both make a
    group of processes, and the group is ended.
    """
    command = [sys.executable, "-m", "rerun", "--bind", "127.0.0.1", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=said or subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
