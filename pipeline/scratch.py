"""The local folder remote files are brought to: bounded, and emptied again.

Each process holds one file at a time (the next one replaces it), so that the pieces of one long
recording cost one download. What a killed process left is removed by the next one that begins.
"""

import atexit
import contextlib
import getpass
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Condition, RLock

from pipeline.encoder import sha256_of
from pipeline.errors import InputError, SourceAway
from pipeline.remote import fetch
from pipeline.source import ClipSource

FOLDER = "EMOHEAD_SCRATCH"
SIZE = "EMOHEAD_SCRATCH_GB"
DEFAULT_GB = 8.0


def scratch_folder() -> Path:
    """$EMOHEAD_SCRATCH, or a folder of the user's in the system's temporary folder."""
    told = os.environ.get(FOLDER)
    return Path(told) if told else Path(tempfile.gettempdir()) / f"emohead-{getpass.getuser()}"


def scratch_bytes() -> int:
    """What one process may have there at a time.

    Raises:
        InputError: $EMOHEAD_SCRATCH_GB is no number above 0.
    """
    told = os.environ.get(SIZE, str(DEFAULT_GB))
    try:
        size = int(float(told) * 1e9)
    except (ValueError, OverflowError):
        size = 0
    if size <= 0:
        raise InputError(f"{SIZE} = {told!r}; give gigabytes, e.g. 8")
    return size


def own_folder() -> Path:
    """The folder of this process; made at the first call, removed when the process ends."""
    folder = scratch_folder() / f"process-{os.getpid()}@{socket.gethostname()}"
    if not folder.is_dir():
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise SourceAway(
                f"no file can be brought to {folder} ({error.strerror}); set {FOLDER} to a folder "
                "with room"
            ) from error
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _sweep(folder.parent)
    return folder


def _sweep(top: Path) -> None:
    """Remove what processes left that are no more."""
    for folder in top.glob(f"process-*@{socket.gethostname()}"):  # on a share, others have theirs
        number = folder.name.removeprefix("process-").partition("@")[0]
        if number.isdigit() and not _alive(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


_one_at_a_time = RLock()
"""Of several threads in a worker one has its file at hand, the others wait."""
_held: tuple[str, Path] | None = None
"""(sha256, copy) of the file this process holds."""


@contextmanager
def at_hand(source: ClipSource) -> Iterator[ClipSource]:
    """The source with its file on this machine. A local source is what it is.

    Raises:
        SourceAway: it cannot be brought here, or has other bytes than when it was scanned.
    """
    if not source.remote:
        yield source
        return
    with _one_at_a_time:
        yield replace(source, path=_brought(source), remote="")


def _brought(source: ClipSource) -> Path:
    global _held
    if _held is not None and _held[0] == source.sha256 and _held[1].is_file():
        return _held[1]
    drop()
    # The name counts: messages show it, and its ending says what it is.
    path = own_folder() / source.sha256[:16] / source.path.name
    try:
        fetch(source.remote, path, source.size, scratch_bytes())
    except InputError as error:  # gone since the scan: at the next one it is not listed
        raise SourceAway(str(error)) from error
    digest = sha256_of(path)
    if digest != source.sha256:
        path.unlink()
        raise SourceAway(
            f"{source.remote} changed since it was scanned (sha256 {digest[:12]}…, was "
            f"{source.sha256[:12]}…): run again"
        )
    _held = digest, path
    return path


def drop() -> None:
    """Delete the file this process holds."""
    global _held
    if _held is not None:
        _held[1].unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            _held[1].parent.rmdir()
        _held = None


class Room:
    """Bytes that several threads share: who wants more than is free waits."""

    def __init__(self, size: int) -> None:
        """`size`: bytes in all."""
        self.size = self._free = size
        self._changed = Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Hold `size` bytes (at most all there are) during the block."""
        size = min(size, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()
