"""A studio of its own process, as a user starts it."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_studio(*arguments: str | Path, temporary: Path | None = None) -> Iterator[str]:
    """Start `emohead studio`, give its address, end it; `temporary`: where its folder goes."""
    command = [sys.executable, "-m", "flows.cli", "studio", *map(str, arguments)]
    command += ["--port", "0", "--no-browser"]
    environment = os.environ | ({"TMPDIR": str(temporary)} if temporary else {})
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as studio:
        try:
            assert studio.stdout is not None
            assert studio.stderr is not None
            line = studio.stdout.readline()
            if not line.startswith("studio: "):
                studio.kill()
                raise RuntimeError(f"the studio did not start: {line}{studio.stderr.read()}")
            yield line.removeprefix("studio: ").strip()
        finally:
            studio.terminate()


def contents(folder: Path) -> dict[str, str]:
    """Every file of a folder with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
