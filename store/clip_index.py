"""Where a clip's row is, without reading all clip ids: a hash table in pages.

`index/clip_id` is one vector of uint64, cut into pages of 1,024 slots, each page a chunk. A clip
belongs to the page that the first bits of its hash name, and lies anywhere in it: an entry is the
hash's first 32 bits and the row + 1, 0 is a free slot. So to find a clip is to read one page; to
add or remove one is to write one page; when pages are three quarters full on average, their number
doubles, each page splitting in two by the next bit.

The index is a hint: whoever finds a row looks at its clip_id, and whoever finds none reads all ids.
So a store without an index, or with one that lacks clips, reads right, only slower.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from store.errors import CorruptionError
from store.pieces import codec_of, fetch

PATH = "index/clip_id"
"""Vector inside the dataset group."""

CLIPS = "clips"
"""Attribute of the vector: clips in it."""

PAGE = 1024
"""Slots in a page."""

FULL = 0.75
"""Mean filling at which the pages double; a page of mean 768 (deviation 28) never overflows by
chance, and if one does, the pages double too."""

_ROW = np.uint64(0xFFFFFFFF)
_HASH = np.uint64(32)


def hash_of(clip_id: str) -> int:
    """32 bits."""
    return int.from_bytes(hashlib.blake2b(clip_id.encode(), digest_size=4).digest(), "big")


def _entries(rows: Mapping[str, int]) -> np.ndarray:
    hashes = np.array([hash_of(clip_id) for clip_id in rows], np.uint64)
    return (hashes << _HASH) | (np.fromiter(rows.values(), np.uint64, len(rows)) + np.uint64(1))


def _pages_of(entries: np.ndarray, bits: int) -> np.ndarray:
    """Page of each entry, when there are 2**bits pages."""
    return (
        (entries >> np.uint64(64 - bits)).astype(np.int64)
        if bits
        else np.zeros_like(entries, np.int64)
    )


class ClipIndex:
    """The stored index of a dataset, read page by page."""

    def __init__(self, array: zarr.Array) -> None:
        """`array`: `index/clip_id`."""
        self.array = array
        self.bits = (array.shape[0] // PAGE).bit_length() - 1
        self._codec = codec_of(array)
        self._known: dict[int, np.ndarray] = {}

    @property
    def clips(self) -> int:
        """Clips in the index."""
        return int(self.array.attrs[CLIPS])  # pyright: ignore[reportArgumentType]

    def candidates(self, clip_id: str) -> list[int]:
        """Rows that may be the clip's: mostly one, or none."""
        mark = np.uint64(hash_of(clip_id))
        number = int(mark) >> (32 - self.bits)
        page = self.page(number)
        found = page[(page >> _HASH == mark) & (page != 0)]
        return [int(entry & _ROW) - 1 for entry in found]

    def page(self, number: int) -> np.ndarray:
        """Slots of a page."""
        return self.pages([number])[number]

    def pages(self, numbers: Sequence[int]) -> dict[int, np.ndarray]:
        """Slots of several pages, fetched together."""
        absent = [number for number in numbers if number not in self._known]
        if self._codec is None:
            for number in absent:
                values = np.asarray(self.array[number * PAGE : (number + 1) * PAGE])
                self._known[number] = values
        elif absent:
            name, metadata = self.array.path, self.array.metadata
            keys = [(f"{name}/{metadata.encode_chunk_key((number,))}", None) for number in absent]
            for number, data in zip(absent, fetch(self.array.store, keys), strict=True):
                self._known[number] = (
                    np.zeros(PAGE, np.uint64) if data is None else self._codec.decode(data)
                )
        return {number: self._known[number] for number in numbers}


def open_index(group: zarr.Group) -> ClipIndex | None:
    """The index of a dataset; None if it has none."""
    found = group.get(PATH)
    return ClipIndex(found) if isinstance(found, zarr.Array) else None


def update_index(
    group: zarr.Group,
    added: Mapping[str, int],
    removed: Mapping[str, int],
    everything: Callable[[], Mapping[str, int]],
) -> None:
    """Bring the index up to date: clips with their rows. Where there is none yet, or it is too
    small or damaged, it is made anew of `everything()`, all clips with their rows after the change.
    """
    index = open_index(group)
    if index is not None:
        clips = index.clips + len(added) - len(removed)
        fits = clips <= FULL * PAGE * 2**index.bits
        try:
            if fits and _change_pages(index, _entries(removed), _entries(added)):
                if clips != index.clips:
                    index.array.attrs[CLIPS] = clips
                return
        except CorruptionError:  # made anew below
            pass
    rebuild_index(group, everything())


def rebuild_index(group: zarr.Group, rows: Mapping[str, int]) -> None:
    """Make the index anew: all clips with their rows."""
    _write_all(group, _entries(rows))


def _change_pages(index: ClipIndex, gone: np.ndarray, new: np.ndarray) -> bool:
    """Write the pages that change; False, with nothing written, if one would overflow."""
    of_gone, of_new = _pages_of(gone, index.bits), _pages_of(new, index.bits)
    changed = {}
    for number, slots in index.pages(np.union1d(of_gone, of_new).tolist()).items():
        entries = np.setdiff1d(slots[slots != 0], gone[of_gone == number])
        entries = np.union1d(entries, new[of_new == number])
        if len(entries) > PAGE:
            return False
        changed[number] = _filled(entries)
    # Neighbours in one call: in a large round nearly every page changes.
    for run in np.split(list(changed), np.flatnonzero(np.diff(list(changed)) != 1) + 1):
        if len(run):
            pages = np.concatenate([changed[number] for number in run.tolist()])
            index.array[int(run[0]) * PAGE : (int(run[-1]) + 1) * PAGE] = pages
    return True


def _filled(entries: np.ndarray) -> np.ndarray:
    page = np.zeros(PAGE, np.uint64)
    page[: len(entries)] = entries
    return page


def _write_all(group: zarr.Group, entries: np.ndarray) -> None:
    """Make the index anew, as large as it needs to be."""
    bits = 0
    while len(entries) > FULL * PAGE * 2**bits or _largest(entries, bits) > PAGE:
        bits += 1
    if PATH in group:
        del group[PATH]
    group.require_group(PATH.rsplit("/", 1)[0])
    array = group.create_array(
        PATH,
        shape=(PAGE * 2**bits,),
        dtype="uint64",
        chunks=(PAGE,),
        fill_value=0,
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        dimension_names=["slot"],
        attributes={CLIPS: len(entries)},
    )
    pages = np.zeros((2**bits, PAGE), np.uint64)
    of = _pages_of(entries, bits)
    order = np.argsort(entries, kind="stable")  # by hash, so page by page
    entries, of = entries[order], of[order]
    first = np.searchsorted(of, np.arange(2**bits))
    pages[of, np.arange(len(entries)) - first[of]] = entries
    array[:] = pages.reshape(-1)


def _largest(entries: np.ndarray, bits: int) -> int:
    return int(np.bincount(_pages_of(entries, bits)).max()) if len(entries) else 0
