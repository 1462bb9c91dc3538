"""What datasets cost, from the rates and sizes that one store measured.

    python -m benchmarks.capacity STORE [--frames-per-clip 100]

Reads seconds per frame of each stage from the store's commits and bytes per frame from its folder,
and multiplies. Nothing else is assumed but what the table says.
"""

import argparse
from pathlib import Path

from flows.estimate import measured_rates
from store import Cache

FPS = 25
HOURS = {
    "MEAD, one view (~40 h)": 40,
    "MEAD, seven views": 280,
    "DH-FaceEmoVid-150": 150,
    "VoxCeleb2": 2_400,
    "100,000 hours": 100_000,
}
ROUND = 500
"""Clips of one commit."""


def folder_bytes(folder: Path) -> tuple[int, int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files), len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("--cores", type=int, default=64)
    arguments = parser.parse_args()
    cache = Cache.open(arguments.store)
    snapshot = cache.snapshot()
    clips = [snapshot.clips(name) for name in snapshot.datasets()]
    frames = sum(int(table.frames.sum()) for table in clips)
    count = sum(len(table) for table in clips)
    rates = measured_rates(cache)
    per_frame = sum(rates.values())
    size, files = folder_bytes(Path(arguments.store))
    print(f"{count} clips, {frames} frames; {1 / per_frame:.1f} frames/s a core; ", end="")
    print(f"{size / frames / 1000:.1f} kB a frame; {files / count:.1f} objects a clip")
    for stage, seconds in sorted(rates.items(), key=lambda item: -item[1]):
        print(f"  {stage:<12} {1000 * seconds:7.2f} ms a frame  {seconds / per_frame:5.1%}")
    print(
        f"\n| dataset | frames | core-hours | on {arguments.cores} cores | TB | objects | commits |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, hours in HOURS.items():
        total = hours * 3600 * FPS
        core_hours = total * per_frame / 3600
        many = total / (frames / count)
        print(
            f"| {name} | {total / 1e6:,.0f} M | {core_hours:,.0f} | "
            f"{core_hours / arguments.cores:,.1f} h | {total * size / frames / 1e12:,.2f} | "
            f"{many * files / count / 1e6:,.1f} M | {many / ROUND:,.0f} |"
        )


if __name__ == "__main__":
    main()
