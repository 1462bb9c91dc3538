"""A held-out clip spoken again: by the network and the head, over its own poses, body and sound."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from flows.config import EvaluateConfig
from flows.errors import NothingToDo
from flows.evaluation.drawing import Said, drawer_of
from flows.evaluation.places import generated_in, recorded_in
from flows.fit_hyperplanes import planes_key
from flows.reading import cells_key
from flows.synthesis.provenance import file_hash
from flows.train_audio_expression import network_clips, speech_cells, splits_of
from flows.train_head import head_clips, head_data, head_features, held_out_frames
from models import load, speak
from models.checkpoint import Checkpoint
from models.errors import EmotionError
from render.video import VideoWriter
from store import Snapshot

WAVEFORM = "audio/waveform"
SHORTEST = 6
"""Consecutive frames with a pose that are worth a video."""


@dataclass(frozen=True)
class Made:
    """The two videos of a clip, or why there are none."""

    clip_id: str
    identity: str
    emotion: str
    generated: Path | None = None
    reference: Path | None = None
    why_not: str = ""
    drawn: int | None = None
    """Side at which the generated one was drawn, where it was enlarged to the recorded one's."""


def held_out_clips(
    snapshot: Snapshot, config: EvaluateConfig, identity: str, shown: set[str]
) -> tuple[list[str], str]:
    """Clips of an identity that nothing learnt from; and a remark if there is one.

    Args:
        snapshot: where they lie.
        config: what is evaluated.
        identity: whose clips.
        shown: what the drawer was trained on, beside network and head.

    Raises:
        NothingToDo: every clip of the identity was trained on.
    """
    usable = head_clips(snapshot, config.dataset, identity, config.names)
    learnt = trained_on(snapshot, config, usable) | shown
    test = [clip for clip in usable if clip not in learnt]
    if not test:
        raise NothingToDo(
            f"no clip of {identity!r} is held out by network and head alike: {len(usable)} clips; "
            "add clips, or mark some with split=test"
        )
    if config.clips is not None and len(test) > config.clips:
        chosen = [test[i] for i in np.linspace(0, len(test) - 1, config.clips).astype(int)]
        return list(dict.fromkeys(chosen)), f"{config.clips} of {len(test)} held-out clips"
    return test, ""


def trained_on(snapshot: Snapshot, config: EvaluateConfig, clip_ids: list[str]) -> set[str]:
    """Clips of an identity that its head or the network learnt from.

    The head holds out what the network does; where that is none of the identity's clips, the last
    ones, which the network has then learnt from.
    """
    names, dataset = config.names, config.dataset
    spoken = splits_of(snapshot, dataset, network_clips(snapshot, dataset, names))
    counts = [snapshot.frames(dataset, clip) for clip in clip_ids]
    frames = tuple(str(clip) for clip in np.repeat(clip_ids, counts))
    seen = ~held_out_frames(snapshot, dataset, names, frames)
    shown = {clip for clip, used in zip(frames, seen, strict=True) if used}
    return shown | {clip for clip, part in spoken.items() if part == "train"}


class Speaker:
    """Network of a system and who draws one identity, loaded once."""

    def __init__(self, snapshot: Snapshot, config: EvaluateConfig, identity: str) -> None:
        """Raises:
        CheckpointError, HeadFolderError: network or head cannot be loaded.
        NothingToDo: there is no video diffusion model where one was asked for.
        """
        self.snapshot, self.config, self.identity = snapshot, config, identity
        self.drawer = drawer_of(snapshot, config, identity)
        self._hashes = [*self.drawer.weights, file_hash(config.network / "best.safetensors")]

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The network."""
        return load(self.config.network)

    @cached_property
    def learnt(self) -> list[str]:
        """Clips of the identity that may be looked at: those learnt from; all, where none was."""
        config = self.config
        clips = head_clips(self.snapshot, config.dataset, self.identity, config.names)
        known = trained_on(self.snapshot, config, clips)
        return [clip for clip in clips if clip in known] or clips

    def make(self, clip_id: str) -> Made:
        """Both videos; what lies there from the same inputs is not made again."""
        snapshot, config = self.snapshot, self.config
        row = snapshot.clips(config.dataset).loc[clip_id]
        emotion = str(row.emotion or "")
        generated = generated_in(config.out, clip_id)
        folder = generated.parent
        reference = recorded_in(config.out, clip_id)
        names = config.names
        there = snapshot.cells(config.dataset)
        features = (*head_features(names), names.audio, names.emotion, names.text, WAVEFORM)
        features = tuple(name for name in features if name in there)
        key = {
            "cells": cells_key(snapshot, config.dataset, [clip_id], features),
            "planes": str(planes_key(snapshot, config.dataset, names.expression)),
            "models": self._hashes,
            "emotion": emotion,
            "version": 1,
        }
        record = folder / "made-from.json"
        if record.is_file() and json.loads(record.read_text("utf-8")) == key:
            return self._made(clip_id, emotion, generated, reference)
        lacking = [
            name
            for name in (names.audio, names.emotion)
            if snapshot.state(config.dataset, clip_id, name) != "valid"
        ]
        if lacking:
            why = f"no sound to speak from ({lacking[0]} is not in the store)"
            return Made(clip_id, self.identity, emotion, why_not=why)
        data = head_data(snapshot, config.dataset, [clip_id], names, thin=False)
        run = _longest(np.isfinite(data.cameras).all((1, 2)) & data.found)
        if run.stop - run.start < SHORTEST:
            why = f"a pose in {run.stop - run.start} consecutive frames; {SHORTEST} are needed"
            return Made(clip_id, self.identity, emotion, why_not=why)
        said = self._said(clip_id, emotion, run)
        rows = data.take(np.arange(run.start, run.stop))
        folder.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)
        sound = self._sound(clip_id, run)
        self._write(generated, self.drawer.frames(rows, said, self.learnt), rows.size, sound)
        self._write(reference, iter(rows.frames), rows.size, sound)
        draft = folder / ".made-from.json"
        draft.write_text(json.dumps(key), "utf-8")
        draft.replace(record)
        return self._made(clip_id, emotion, generated, reference)

    def _made(self, clip_id: str, emotion: str, generated: Path, reference: Path) -> Made:
        config, side = self.config, self.drawer.side
        shown = int(self.snapshot.features(config.dataset)[config.names.frames].shape[0])
        drawn = side if side is not None and side < shown else None
        return Made(clip_id, self.identity, emotion, generated, reference, drawn=drawn)

    def _said(self, clip_id: str, emotion: str, run: slice) -> Said:
        """As the network says it from the clip's sound, in the clip's emotion if it knows it."""
        cells = speech_cells(self.snapshot, self.config.dataset, clip_id, self.config.names)
        asked = emotion or None
        try:
            speech = speak(self.checkpoint, cells, asked, self.identity)
        except EmotionError:  # no hyperplane, or no label: the network's own expression
            asked = None
            speech = speak(self.checkpoint, cells, None, self.identity)
        return Said(speech.alpha[run], cells.audio[run].astype(np.float32), asked)

    def _write(
        self, path: Path, frames: Any, size: int, sound: Int16[np.ndarray, " samples"] | None
    ) -> None:
        with VideoWriter(path, size, sound) as video:
            for frame in frames:
                video.write(frame)

    def _sound(self, clip_id: str, run: slice) -> Int16[np.ndarray, " samples"] | None:
        dataset = self.config.dataset
        if WAVEFORM not in self.snapshot.cells(dataset):
            return None
        if self.snapshot.state(dataset, clip_id, WAVEFORM) != "valid":
            return None
        wave = self.snapshot.read(dataset, WAVEFORM, clip_id)[run]
        return np.ascontiguousarray(wave).reshape(-1)


def _longest(good: np.ndarray) -> slice:
    """The longest stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0, 0)
    at = int((stops - starts).argmax())
    return slice(int(starts[at]), int(stops[at]))
