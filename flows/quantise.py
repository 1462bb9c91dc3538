"""`emohead weights quantise`: a network in 8 bits, calibrated and held against itself on a store's
own frames."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from flows.errors import NothingToDo
from flows.reading import clips_with
from pipeline.errors import WeightError
from pipeline.face.bisenet_int8 import FILE, Agreement, agreement, quantised
from pipeline.weights import Shelf
from store import Snapshot

FRAMES = "video/rgb"


def quantise_bisenet(
    snapshot: Snapshot,
    dataset: str,
    weights: str,
    name: str,
    least: float,
    count: int = 48,
    shelf: Shelf | None = None,
) -> Agreement:
    """Put an 8-bit version of BiSeNet weights on the shelf, under a name of its own.

    Every second clip calibrates, the others test.

    Args:
        snapshot: whose frames are used.
        dataset: group of the store.
        weights: name of the weights on the shelf (`.pth`).
        name: name of the result.
        least: smallest mean IoU with the original that is accepted.
        count: frames for each of the two purposes.
        shelf: None: the usual one.

    Raises:
        NothingToDo: fewer than two clips with frames.
        WeightError: no such weights, not a `.pth`, or masks that agree less than `least`.
    """
    shelf = shelf or Shelf.usual()
    if name == weights:
        raise WeightError(f"{name} is the name of the original; give the 8-bit weights another one")
    folder = shelf.open(weights, "bisenet")
    original = next(folder.glob("*.pth"), None)
    if original is None:
        raise WeightError(f"{weights} is an .onnx file; 8-bit weights are made from the .pth")
    clips = clips_with(snapshot, dataset, (FRAMES,))
    if len(clips) < 2:
        raise NothingToDo(
            f"{dataset!r} has {len(clips)} clips with frames, 2 are needed: one calibrates, "
            "another tests; preprocess more clips"
        )
    made = quantised(original, some_frames(snapshot, dataset, clips[::2], count))
    found = agreement(original, made, some_frames(snapshot, dataset, clips[1::2], count))
    if found.mean < least:
        raise WeightError(
            f"{name} is not kept: its masks agree with those of {weights} by {found.text()}, "
            f"at least {least} is asked (--least)"
        )
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / FILE).write_bytes(made)
        shelf.add(name, Path(temporary), like="bisenet")
    return found


def some_frames(snapshot: Snapshot, dataset: str, clips: list[str], count: int) -> list[Any]:
    """Frames evenly over clips, and over each clip."""
    chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, count).round().astype(int)]
    frames = []
    for clip in dict.fromkeys(chosen):
        times = chosen.count(clip)
        last = snapshot.frames(dataset, clip) - 1
        for at in np.linspace(0, last, times + 2)[1:-1].round().astype(int):
            frames.append(snapshot.read(dataset, FRAMES, clip, int(at), int(at) + 1)[0])
    return frames
