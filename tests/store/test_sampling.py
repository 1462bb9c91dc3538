"""Every window once an epoch, the same for everyone who knows seed and step; resume is a number."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_kit import DATASET, ingest, make_clip

import store
from store.sampling import EpochSampler, WindowDataset, permuted

CLIPS = {"a": 5, "b": 140, "c": 30}


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**64), st.integers(0, 2**40))
def test_an_epoch_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    found = permuted(n, seed, epoch, np.arange(n))
    assert sorted(found.tolist()) == list(range(n))
    some = np.arange(n)[:: max(1, n // 5)]
    np.testing.assert_array_equal(permuted(n, seed, epoch, some), found[some])


def test_the_permutation_stays_what_it_is() -> None:
    """A run resumed with a later version must go on with the same windows."""
    assert permuted(10, 1, 0, np.arange(10)).tolist() == [2, 8, 1, 9, 0, 5, 6, 3, 4, 7]


def test_places_and_values_are_independent() -> None:
    """1,000 permutations of 16: each value as often at each place (chi-square, 225 degrees of
    freedom: mean 225, deviation 21)."""
    counts = np.zeros((16, 16))
    for epoch in range(1000):
        counts[np.arange(16), permuted(16, 5, epoch, np.arange(16))] += 1
    chi = ((counts - 1000 / 16) ** 2 / (1000 / 16)).sum()
    assert 225 - 5 * 21 < chi < 225 + 5 * 21


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 70), st.integers(0, 99))
def test_steps_go_through_the_epochs_and_resume_anywhere(n: int, batch: int, resume: int) -> None:
    steps = [EpochSampler(n, batch, 3).indices(step) for step in range(resume % 7 + 3)]
    flat = np.concatenate(steps)
    for epoch in range(len(flat) // n):
        whole = flat[epoch * n : (epoch + 1) * n]
        assert sorted(whole.tolist()) == list(range(n))
    half = EpochSampler(n, batch, 3, start=2, stop=len(steps))
    assert [b.tolist() for b in steps[2:]] == list(half)
    assert len(half) == len(steps) - 2


def test_a_window_is_what_the_pack_holds(cache: store.Cache, tmp_path: Path) -> None:
    ingest(cache, CLIPS)
    pack = store.pack(cache.snapshot(), DATASET, ["face/mar", "audio/logmel"], tmp_path)
    dataset = WindowDataset(pack, ["face/mar", "audio/logmel"], length=16, stride=3)
    # (140 - 16) // 3 + 1 = 42 of b, (30 - 16) // 3 + 1 = 5 of c, a is too short
    assert len(dataset) == 47
    assert [dataset.place(i) for i in (0, 41, 42, 46)] == [
        ("b", 0),
        ("b", 123),
        ("c", 0),
        ("c", 12),
    ]
    for i in (0, 17, 41, 42, 46):
        clip_id, start = dataset.place(i)
        arrays = make_clip(clip_id, CLIPS[clip_id]).arrays
        for feature, values in dataset[i].items():
            np.testing.assert_array_equal(values, arrays[feature][start : start + 16])
            assert values.flags.writeable
    with pytest.raises(IndexError, match="window 47 of 47"):
        dataset[47]
    with pytest.raises(store.PackError, match="longest has 140 frames"):
        WindowDataset(pack, ["face/mar"], length=141)
    only = WindowDataset(pack, ["face/mar"], 16, clips=["c"])
    assert only.place(0) == ("c", 0)


def test_spawned_loader_workers_see_the_same_windows(cache: store.Cache, tmp_path: Path) -> None:
    data = pytest.importorskip("torch.utils.data")
    ingest(cache, CLIPS)
    pack = store.pack(cache.snapshot(), DATASET, ["face/mar"], tmp_path)
    dataset = WindowDataset(pack, ["face/mar"], length=8)
    sampler = EpochSampler(len(dataset), 4, seed=1, start=5, stop=9)
    loader = data.DataLoader(
        dataset, batch_sampler=sampler, num_workers=1, multiprocessing_context="spawn"
    )
    for step, batch in enumerate(loader, start=5):
        right = [dataset[i]["face/mar"] for i in sampler.indices(step).tolist()]
        np.testing.assert_array_equal(batch["face/mar"].numpy(), np.stack(right))
