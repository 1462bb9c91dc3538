"""Faults in numbers: what docs/reliability.md states. Each part prints its seed.

Usage: python benchmarks/store_faults.py kills [count] [seed]
       python benchmarks/store_faults.py flips [count] [seed]
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "store"))

from fault_kit import Killer


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


PARTS = {"kills": kills}

if __name__ == "__main__":
    PARTS[sys.argv[1]](*sys.argv[2:])
