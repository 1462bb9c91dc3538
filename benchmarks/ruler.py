"""At which size hyperplanes can still be read from a face: true videos, drawn smaller.

    python -m benchmarks.ruler STORE IDENTITY --clips _s5

The recorded frames of an identity's clips are shrunk to each size, enlarged to their own again (as
the video diffusion model's are) and measured as `emohead metrics` measures any video: which share
of a clip's frames lies on its own emotion's side of the hyperplane.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from flows.margins import margins_of, planes_of
from flows.store_features import expression_of, profile_of_store
from render.metrics.landmark_error import eye_distance, ibug
from render.metrics.watching import Watched, reduced, watch
from render.video import VideoWriter
from store import Cache

DATASET = "clips"
FRAMES = "video/rgb"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("identity")
    parser.add_argument("--clips", default="", help="what the clips' names hold; all otherwise")
    parser.add_argument("--frames", type=int, default=50, help="of each clip, from the start")
    parser.add_argument("--sizes", type=int, nargs="*", default=[224, 192, 160, 128, 96, 64])
    given = parser.parse_args()
    cache = Cache.open(given.store)
    snapshot, expression = cache.snapshot(), expression_of(cache, DATASET)
    profile = profile_of_store(cache, "main", DATASET) or "embedded"
    margins = margins_of(
        planes_of(snapshot, DATASET, expression), given.identity, expression, profile
    )
    table = snapshot.clips(DATASET)
    chosen = table[(table.identity == given.identity) & table.uri.str.contains(given.clips)]
    sides: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    eyes: dict[int, list[float]] = defaultdict(list)

    def read(video: Watched, size: int, emotion: str) -> None:
        found = margins(video, emotion)
        seen = np.isfinite(found)
        sides[emotion][size].append(100 * float((found[seen] > 0).mean()))
        apart = eye_distance(ibug(video.landmarks))
        eyes[size].append(float(np.nanmedian(apart)) * video.drawn[0] / video.size[0])

    with tempfile.TemporaryDirectory() as folder:
        for clip_id, row in chosen.iterrows():
            if not row.emotion:
                continue
            count = min(given.frames, snapshot.frames(DATASET, str(clip_id)))
            frames = snapshot.read(DATASET, FRAMES, str(clip_id), 0, count)
            side = frames.shape[1]
            with VideoWriter(Path(folder) / "true.mp4", side) as video:
                for frame in frames:
                    video.write(frame)
            true = watch(Path(folder) / "true.mp4")
            read(true, side, row.emotion)
            for size in given.sizes:
                read(reduced(true, (size, size), (side, side)), size, row.emotion)
    tags = sorted(sides)
    print("| drawn at | eye corners apart |", *(f"{tag} |" for tag in tags))
    print("|---:|---:|" + "---:|" * len(tags))
    for size in sorted(eyes, reverse=True):
        told = " | ".join(f"{np.mean(sides[tag][size]):.0f} %" for tag in tags)
        print(f"| {size} px | {np.mean(eyes[size]):.0f} px | {told} |")


if __name__ == "__main__":
    main()
