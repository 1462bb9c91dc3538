"""Faults in numbers: what docs/reliability.md states. Each part prints its seed.

Usage: python benchmarks/store_faults.py kills [count] [seed]
       python benchmarks/store_faults.py flips [count] [seed]
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "store"))

from fault_kit import Damager, Killer


def kills(count: str = "300", seed: str = "1") -> None:
    """SIGKILL at random moments of a 20-clip ingest, in workers and in the committer."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        killer = Killer(Path(name), int(seed))
        print(f"kills: seed {seed}; an ingest {killer.whole:.2f} s, commit {killer.commit:.2f} s")
        failures = 0
        number = 0
        while killer.deaths.kills < int(count):
            wrong = killer.kill_one(number)
            failures += bool(wrong)
            for what in wrong:
                print(f"kill {number} of seed {seed}: {what}")
            number += 1
        killer.nursery.close()
    print(f"kills: {killer.deaths}; {failures} failures; {time.perf_counter() - start:.0f} s")


def flips(count: str = "300", seed: str = "1") -> None:
    """One flipped bit (two thirds), a cut or a missing file, in any file of a small store."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        damager = Damager(Path(name), int(seed))
        for number in range(int(count)):
            file = damager.draw()
            how = (
                damager.flip,
                damager.flip,
                damager.flip,
                damager.flip,
                damager.cut,
                damager.lose,
            )
            how[number % 6](file)
        kinds = {kind: sum(f.parts[0] == kind for f in damager.files) for kind in KINDS}
    print(f"flips: seed {seed}, {count} faults, files {kinds}")
    for name, value in vars(damager.flips).items():
        if isinstance(value, list):
            print(f"  {name}: {len(value)}", *value[:8], sep="\n    ")
        else:
            print(f"  {name}: {value}")
    print(f"flips: {time.perf_counter() - start:.0f} s")


META = ("manifests", "snapshots", "transactions", "refs", "config.yaml", ".emohead.seals")
KINDS = ("chunks", *META)
PARTS = {"kills": kills, "flips": flips}

if __name__ == "__main__":
    PARTS[sys.argv[1]](*sys.argv[2:])
