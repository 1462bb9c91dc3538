"""A held-out clip spoken again: by the network and the head, over its own poses, body and sound."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16

from flows.config import EvaluateConfig
from flows.errors import NothingToDo
from flows.fit_hyperplanes import planes_key
from flows.reading import cells_key
from flows.synthesis.driving import sampled
from flows.synthesis.provenance import file_hash
from flows.train_audio_expression import network_clips, speech_cells, splits_of
from flows.train_head import head_clips, head_data, head_features, held_out_frames
from models import load, speak
from models.checkpoint import Checkpoint
from models.errors import EmotionError
from render.backdrop import TorsoLayers, background_plate
from render.compositing import compose
from render.head import Head, load_head
from render.head_data import HeadData
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

    @property
    def name(self) -> str:
        """What files of the clip are called."""
        return file_name(self.clip_id)


def file_name(clip_id: str) -> str:
    """A clip's id as a file name: readable, and one name for one id."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in clip_id)[:60]
    return f"{plain}-{hashlib.sha256(clip_id.encode()).hexdigest()[:8]}"


def held_out_clips(
    snapshot: Snapshot, config: EvaluateConfig, identity: str
) -> tuple[list[str], str]:
    """Clips of an identity that neither network nor head learnt from; and a remark if there is one.

    Raises:
        NothingToDo: every clip of the identity was trained on.
    """
    usable = head_clips(snapshot, config.dataset, identity, config.names)
    learnt = trained_on(snapshot, config, usable)
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
    """Network and head of one identity, loaded once."""

    def __init__(self, snapshot: Snapshot, config: EvaluateConfig, identity: str) -> None:
        """Raises:
        CheckpointError, HeadFolderError: network or head cannot be loaded.
        """
        self.snapshot, self.config, self.identity = snapshot, config, identity
        folder = config.heads / identity
        self._hashes = [
            file_hash(folder / "head.safetensors"),
            file_hash(config.network / "best.safetensors"),
        ]
        self._folder = folder
        self._loaded: tuple[Head, Checkpoint, np.ndarray] | None = None

    def _models(self) -> tuple[Head, Checkpoint, np.ndarray]:
        if self._loaded is None:
            config = self.config
            clips = head_clips(self.snapshot, config.dataset, self.identity, config.names)
            learnt = trained_on(self.snapshot, config, clips)
            # What lies behind the head is learnt from other clips, as the head is.
            others = [clip for clip in clips if clip in learnt] or clips
            known = sampled(self.snapshot, config.dataset, others, config.names)
            plate = background_plate(known)
            self._loaded = load_head(self._folder), load(config.network), plate
        return self._loaded

    def make(self, clip_id: str) -> Made:
        """Both videos; what lies there from the same inputs is not made again."""
        snapshot, config = self.snapshot, self.config
        row = snapshot.clips(config.dataset).loc[clip_id]
        emotion = str(row.emotion or "")
        told = Made(clip_id, self.identity, emotion)
        folder = config.out / "clips" / told.name
        generated, reference = folder / "generated.mp4", folder / "reference.mp4"
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
            return Made(clip_id, self.identity, emotion, generated, reference)
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
        alpha = self._alpha(clip_id, emotion)[run]
        rows = data.take(np.arange(run.start, run.stop))
        folder.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)
        sound = self._sound(clip_id, run)
        self._write(generated, self._frames(rows, alpha), rows.size, sound)
        self._write(reference, iter(rows.frames), rows.size, sound)
        draft = folder / ".made-from.json"
        draft.write_text(json.dumps(key), "utf-8")
        draft.replace(record)
        return Made(clip_id, self.identity, emotion, generated, reference)

    def _alpha(self, clip_id: str, emotion: str) -> Float32[np.ndarray, "frames k"]:
        """As the network says it from the clip's sound, in the clip's emotion if it has a plane."""
        _, checkpoint, _ = self._models()
        cells = speech_cells(self.snapshot, self.config.dataset, clip_id, self.config.names)
        if emotion:
            try:
                return speak(checkpoint, cells, emotion, self.identity).alpha
            except EmotionError:
                pass  # no hyperplane of this tag (rest of all): the network's own expression
        return speak(checkpoint, cells, None, self.identity).alpha

    def _frames(self, rows: HeadData, alpha: np.ndarray) -> Any:
        head, _, plate = self._models()
        layers = TorsoLayers.of(rows, plate)
        for i, coefficients in enumerate(alpha):
            rgb, opacity = head.render(rows.cameras[i], coefficients, rows.size)
            yield compose(rgb, opacity, layers.layer(i))

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
