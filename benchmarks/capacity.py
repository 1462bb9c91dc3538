"""What datasets cost, from the rates and sizes that one store measured.

    python -m benchmarks.capacity STORE [--seconds-per-clip 10] [--cores 64]

Reads seconds per frame of each stage from the store's commits and bytes per frame from its folder,
and multiplies. What one committer costs a clip and a commit are told as arguments; their defaults
are figures of `benchmarks.scheduling`. Nothing else is assumed but what the table says. With longer
clips the objects of a clip stay as many up to the block of 128 frames, and then grow with it.
"""

import argparse
from pathlib import Path

from flows.estimate import measured_rates
from store import Cache
from store.schema import BLOCK_FRAMES, CLIP_COLUMNS

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
    parser.add_argument("--seconds-per-clip", type=float, help="default: as the store's clips are")
    parser.add_argument("--rate", type=float, help="frames/s a core; default: as it was measured")
    parser.add_argument("--committer-ms", type=float, default=0.8, help="of one clip")
    parser.add_argument("--metadata-bytes", type=float, default=115, help="of one clip")
    arguments = parser.parse_args()
    cache = Cache.open(arguments.store)
    snapshot = cache.snapshot()
    clips = [snapshot.clips(name) for name in snapshot.datasets()]
    frames = sum(int(table.frames.sum()) for table in clips)
    count = sum(len(table) for table in clips)
    rates = measured_rates(cache)
    per_frame = 1 / arguments.rate if arguments.rate else sum(rates.values())
    if not per_frame:
        raise SystemExit(f"{arguments.store}: no run of it was timed; give --rate")
    size, files = folder_bytes(Path(arguments.store))
    print(f"{count} clips, {frames} frames; {1 / per_frame:.1f} frames/s a core; ", end="")
    print(f"{size / frames / 1000:.1f} kB a frame; {files / count:.1f} objects a clip")
    for stage, seconds in sorted(rates.items(), key=lambda item: -item[1]):
        print(f"  {stage:<12} {1000 * seconds:7.2f} ms a frame  {seconds / per_frame:5.1%}")
    length = FPS * arguments.seconds_per_clip if arguments.seconds_per_clip else frames / count
    objects = files / count * max(1, -(-length // BLOCK_FRAMES))
    # A commit reads and writes a chunk and a manifest of every column it touches.
    columns = len(CLIP_COLUMNS) + 2 * len(snapshot.features(snapshot.datasets()[0]))
    print(f"\nclips of {length:.0f} frames, commits of {ROUND}")
    print(
        f"| dataset | frames | clips | core-hours | on {arguments.cores} cores | committer | TB | "
        "requests | metadata | commits |"
    )
    print("|---|" + "---:|" * 9)
    for name, hours in HOURS.items():
        total = hours * 3600 * FPS
        core_hours = total * per_frame / 3600
        many = total / length
        requests = many * objects + many / ROUND * 4 * columns
        print(
            f"| {name} | {total / 1e6:,.0f} M | {many / 1e6:,.2f} M | {core_hours:,.0f} | "
            f"{core_hours / arguments.cores:,.1f} h | "
            f"{many * arguments.committer_ms / 3.6e6:,.1f} h | "
            f"{total * size / frames / 1e12:,.2f} | {requests / 1e6:,.1f} M | "
            f"{many * arguments.metadata_bytes / 1e9:,.2f} GB | {many / ROUND:,.0f} |"
        )


if __name__ == "__main__":
    main()
