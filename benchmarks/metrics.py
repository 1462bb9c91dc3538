"""What measuring costs a frame, and that a run over many clips goes on after a kill.

    python -m benchmarks.metrics --clips 100

Clips are noise of 3 frames at 64 px without a face: what is shown is the price of a pair beside its
frames, and that after SIGKILL at about half nothing is measured twice. `--pair A B` times the parts
of one real pair.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from flows.evaluation.folders import measure_folders
from render.metrics.pair import score_pair
from render.metrics.watching import watch
from render.video import VideoWriter

_RUN = (
    "import sys; from pathlib import Path; from flows.evaluation.folders import measure_folders;"
    "measure_folders(*map(Path, sys.argv[1:]))"
)


def clips(folder: Path, count: int, seed: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(count):
        with VideoWriter(folder / f"c{i:04d}.mp4", 64) as video:
            for _ in range(3):
                video.write(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8))
    return folder


def killed_and_resumed(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        a, b, out = clips(root / "a", count, 1), clips(root / "b", count, 2), root / "out"
        began = time.monotonic()
        run = subprocess.Popen([sys.executable, "-c", _RUN, str(a), str(b), str(out)])
        while len(list((out / "scores").glob("*.json"))) < count // 2 and run.poll() is None:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        kept = len(list((out / "scores").glob("*.json")))
        middle = time.monotonic()
        told = measure_folders(a, b, out)
        end = time.monotonic()
        measure_folders(a, b, out)
        print(f"killed after {kept} of {count} pairs and {middle - began:.1f} s")
        print(f"resumed: {told['reused']} found, {count - told['reused']} measured, "
              f"{end - middle:.1f} s")  # fmt: skip
        print(f"a third run finds all {count}: {time.monotonic() - end:.1f} s")


def parts(generated: Path, reference: Path) -> None:
    began = time.monotonic()
    watched = watch(generated)
    middle = time.monotonic()
    score_pair(generated, reference)
    whole = time.monotonic() - middle
    frames = 2 * len(watched)
    look = 2 * (middle - began)
    size = f"{watched.size[0]}x{watched.size[1]}"
    share = 100 * look / whole
    print(f"{frames} frames of {size} px: {1000 * whole / frames:.1f} ms a frame")
    print(f"of it {share:.0f} % decoding and landmarks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--pair", type=Path, nargs=2)
    given = parser.parse_args()
    if given.pair:
        parts(*given.pair)
    else:
        killed_and_resumed(given.clips)


if __name__ == "__main__":
    main()
