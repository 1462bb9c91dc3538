"""Training data from packs: the store's cells as memory-mapped arrays, read once, whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from models.data import ClipRow, SpeechFeatures, Split, TrainingData, read_steps
from models.errors import TrainingDataError
from pipeline.hyperplanes import HyperplaneSet
from store import Pack


@dataclass(frozen=True)
class PackFeatures:
    """Names of the packed features that the network reads."""

    audio: str
    emotion: str
    expression: str
    text: str
    mouth: str | None = None
    """Mouth aspect ratio; None: not packed."""


def training_data_of(
    cells: Pack,
    words: Pack | None,
    names: PackFeatures,
    planes: Mapping[str, HyperplaneSet],
    splits: Mapping[str, Split],
    tags: Mapping[str, str],
    text_width: int,
    provenance: Mapping[str, Any] | None = None,
) -> TrainingData:
    """All clips of a pack on one long axis.

    Two steps a frame become their mean here, so that audio and emotion lie in memory once (ten
    minutes of 768 channels each: 92 MB); the expression stays mapped to the file.

    Args:
        cells: audio, emotion, expression, mouth of every clip.
        words: token tables and indices of the clips that have words; None: nobody speaks words.
        names: what is called what.
        planes: hyperplanes and whitening by identity, and `pooled`.
        splits: part of each clip.
        tags: emotion of each clip, "" where it has none that can be used.
        text_width: channels of a token, by the store's schema.
        provenance: see `TrainingData`.

    Raises:
        TrainingDataError: an input has no 50 Hz steps, or anything `TrainingData` finds.
    """
    table = cells.clips
    rows = tuple(
        ClipRow(
            str(clip_id), str(table.identity[clip_id]), tags[str(clip_id)],
            table.sentence[clip_id] or None, splits[str(clip_id)],
            first, frames,
        )
        for clip_id, first, frames in zip(
            table.index, table["first"].tolist(), table["frames"].tolist(), strict=True
        )
    )  # fmt: skip
    tokens, index = _words(words, names.text, rows, text_width)
    features = SpeechFeatures(
        _inputs(cells, names.audio), _inputs(cells, names.emotion), tokens, index
    )
    mouth = None if names.mouth is None else cells.array(names.mouth)
    return TrainingData(
        features, cells.array(names.expression), rows, planes, dict(provenance or {}), mouth
    )


def _inputs(cells: Pack, name: str) -> Float[np.ndarray, "frames width"]:
    steps = cells.array(name)
    if steps.ndim != 3:
        raise TrainingDataError(
            f"{name} has shape {steps.shape} in {cells.folder}; the network reads 50 Hz steps "
            "(frames, 2, channels): name an audio or emotion feature"
        )
    return read_steps(steps).astype(np.float32, copy=False)


def _words(
    words: Pack | None, name: str, rows: tuple[ClipRow, ...], width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Joint token table, and the row of it spoken at each frame of the long axis (-1: none)."""
    index = np.full(rows[-1].first + rows[-1].frames, -1, dtype=np.int32)
    if words is None:
        return np.zeros((0, width), dtype=np.float32), index
    known, tables, count = set(words.clips.index), [], 0
    for row in rows:
        if row.clip_id not in known:
            continue
        spoken = words.window(name, row.clip_id, 0, row.frames)
        index[row.first : row.first + row.frames] = np.where(spoken < 0, -1, spoken + count)
        tables.append(words.tokens(name, row.clip_id))
        count += len(tables[-1])
    return np.concatenate(tables), index
