"""Windows of a pack as a map-style dataset, and the order in which training sees them.

The order is a function of (seed, step): an epoch is a permutation of all windows that is computed
where it is needed, not stored, so to resume one needs the step and nothing else, and every worker
finds the same windows. (`models.windows.WindowSampler` draws windows and their partners of another
identity, with replacement; this goes through each window once an epoch.)
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from jaxtyping import Int

from store.errors import PackError
from store.packs import Pack

ROUNDS = 6


def permuted(n: int, seed: int, epoch: int, at: Int[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
    """Values at places `at` of the permutation of 0..n-1 that belongs to (seed, epoch).

    A Feistel network over the smallest 4**h >= n, keyed by numpy's SeedSequence; places that it
    sends outside are sent on until they are inside (Black and Rogaway 2002, "Ciphers with arbitrary
    finite domains", the cycle-walking cipher). Costs O(len(at)), whatever n.
    """
    if n < 1 or (at.size and (int(at.min()) < 0 or int(at.max()) >= n)):
        raise ValueError(f"places {at} are not all in 0..{n - 1}")
    half = max(1, -(-(n - 1).bit_length() // 2))
    keys = np.random.SeedSequence([seed, epoch]).generate_state(ROUNDS, np.uint64)
    values = at.astype(np.uint64)
    outside = np.ones(values.shape, bool)
    while outside.any():
        values[outside] = _feistel(values[outside], np.uint64(half), keys)
        outside = values >= n
    return values.astype(np.int64)


def _feistel(values: np.ndarray, half: np.uint64, keys: np.ndarray) -> np.ndarray:
    mask = np.uint64((1 << int(half)) - 1)
    left, right = values >> half, values & mask
    for key in keys:
        mixed = (right ^ key) * np.uint64(0x9E3779B97F4A7C15)  # uint64 wraps: that is wanted
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
    return (left << half) | right


class WindowDataset:
    """Windows of `length` frames, `stride` apart, of the clips of a pack: `dataset[i]` is a dict of
    one array a feature, [length, ...]. Picklable; a DataLoader takes it as it is."""

    def __init__(
        self,
        pack: Pack,
        features: Sequence[str],
        length: int,
        stride: int = 1,
        clips: Collection[str] | None = None,
    ) -> None:
        """`clips`: of these only. Raises PackError if no clip is as long as a window."""
        if length < 1 or stride < 1:
            raise ValueError(f"a window of {length} frames every {stride} frames")
        table = pack.clips if clips is None else pack.clips.loc[list(clips)]
        frames = table["frames"].to_numpy(np.int64)
        counts = np.maximum((frames - length) // stride + 1, 0)
        if not counts.sum():
            raise PackError(
                f"no window of {length} frames in {len(table)} clips of {pack.folder}: the longest "
                f"has {frames.max(initial=0)} frames; take shorter windows or longer clips"
            )
        self.pack, self.features = pack, tuple(features)
        for feature in self.features:
            pack.array(feature)
        self.length, self.stride = length, stride
        self._first = table["first"].to_numpy(np.int64)
        self._ends = np.cumsum(counts)
        self._ids = table.index.to_list()

    def __len__(self) -> int:
        """Number of windows."""
        return int(self._ends[-1])

    def place(self, index: int) -> tuple[str, int]:
        """(clip id, first frame inside the clip) of a window."""
        clip, start = self._place(index)
        return self._ids[clip], start

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        clip = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[clip - 1]) if clip else 0
        return clip, (index - before) * self.stride

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """The window's features: copies, which may be changed."""
        clip, start = self._place(index)
        first = int(self._first[clip]) + start
        return {f: np.array(self.pack.array(f)[first : first + self.length]) for f in self.features}


class EpochSampler:
    """Batches of indices as a function of (seed, step). As `batch_sampler` of a DataLoader it goes
    from step `start` to before step `stop`."""

    def __init__(self, n: int, batch: int, seed: int, start: int = 0, stop: int = 2**62) -> None:
        """`n` items; a batch may hold the end of one epoch and the beginning of the next."""
        if n < 1 or batch < 1:
            raise ValueError(f"batches of {batch} of {n} items")
        self.n, self.batch, self.seed = n, batch, seed
        self.start, self.stop = start, stop

    def indices(self, step: int) -> Int[np.ndarray, " batch"]:
        """The batch of a step."""
        at = step * self.batch + np.arange(self.batch)
        chosen = np.empty(self.batch, np.int64)
        for epoch in np.unique(at // self.n).tolist():
            here = at // self.n == epoch
            chosen[here] = permuted(self.n, self.seed, epoch, at[here] % self.n)
        return chosen

    def __iter__(self) -> Iterator[list[int]]:
        """Batches, from `start` on."""
        for step in range(self.start, self.stop):
            yield self.indices(step).tolist()

    def __len__(self) -> int:
        """Number of batches."""
        return self.stop - self.start
