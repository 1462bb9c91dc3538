"""A separate process that commits clips of its own, one session each.

Usage: committer.py <store> <name> <count> [<wait file>]. Prints the clips it believes committed.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from store_kit import DATASET, feature_schemas, make_clip

import store

FEATURES = ["face/mar", "text/words"]


def main(location: str, name: str, count: str, gate: str = "") -> None:
    cache = store.Cache.open(location)
    schemas = {feature: feature_schemas()[feature] for feature in FEATURES}
    print("ready", flush=True)
    while gate and not Path(gate).exists():
        time.sleep(0.01)
    for i in range(int(count)):
        clip_id = f"{name}{i}"
        with cache.write(DATASET, schemas, f"commit {clip_id}") as session:
            cells = dict.fromkeys(FEATURES, "f" * 32)
            session.allocate([store.ClipRow(clip_id, clip_id, 20 + i, cells)])
            session.write_clip(make_clip(clip_id, 20 + i, 0, FEATURES))
        print(clip_id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
