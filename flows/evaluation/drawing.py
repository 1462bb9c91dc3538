"""Who draws a clip that is spoken again: the identity's head, or the video diffusion model."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from flows.config import EvaluateConfig
from flows.errors import NothingToDo
from flows.fit_hyperplanes import read_planes
from flows.reading import clips_with
from flows.synthesis.driving import sampled
from flows.synthesis.look import OneShot
from flows.synthesis.one_shot import (
    MODEL,
    Shot,
    drawn,
    enlarged,
    face_among,
    find_portrait,
    saved_in,
    shot_of,
)
from flows.synthesis.provenance import file_hash
from flows.train_audio_expression import splits_of
from render.backdrop import TorsoLayers, background_plate
from render.compositing import compose
from render.head import Head, load_head
from render.head_data import HeadData
from store import Snapshot

if TYPE_CHECKING:
    from render.diffusion.checkpoint import SavedPortrait

Frames = Iterator[UInt8[np.ndarray, "s s 3"]]


@dataclass(frozen=True)
class Said:
    """What is to be seen in each frame."""

    alpha: Float32[np.ndarray, "frames k"]
    """Expression, whitened."""
    audio: Float32[np.ndarray, "frames width"]
    emotion: str | None
    """As the system was asked; None: as the voice has it."""


class Drawer(Protocol):
    """Makes frames as large as the recorded ones."""

    weights: list[str]
    """Hashes of what it draws with."""

    @property
    def side(self) -> int | None:
        """Side in pixels at which it draws, whatever its frames' is; None: at theirs."""
        ...

    def learnt_from(self) -> set[str]:
        """Clips it was trained on, beside those of network and head."""
        ...

    def frames(self, rows: HeadData, said: Said, learnt: list[str]) -> Frames:
        """Frames of a clip.

        Args:
            rows: its recorded frames, poses and bodies.
            said: what is to be seen.
            learnt: clips of the identity that may be looked at.
        """
        ...


def drawer_of(snapshot: Snapshot, config: EvaluateConfig, identity: str) -> Drawer:
    """The one that the evaluation asks for.

    Raises:
        NothingToDo: there is no video diffusion model.
        OSError: the identity has no head.
    """
    if config.portrait is not None:
        return PortraitDrawer(snapshot, config, identity, config.portrait)
    return HeadDrawer(snapshot, config, identity)


class HeadDrawer:
    """A head over the clip's own poses and body."""

    def __init__(self, snapshot: Snapshot, config: EvaluateConfig, identity: str) -> None:
        """Raises:
        OSError: the identity has no head.
        """
        self.snapshot, self.config = snapshot, config
        self.folder = config.heads / identity
        self.weights = [file_hash(self.folder / "head.safetensors")]
        self._loaded: tuple[Head, np.ndarray] | None = None
        self.side = None

    def learnt_from(self) -> set[str]:
        """None: heads hold out what the network does (`trained_on`)."""
        return set()

    def frames(self, rows: HeadData, said: Said, learnt: list[str]) -> Frames:
        """See `Drawer`. What lies behind the head is learnt from other clips, as the head is."""
        if self._loaded is None:
            known = sampled(self.snapshot, self.config.dataset, learnt, self.config.names)
            self._loaded = load_head(self.folder), background_plate(known)
        head, plate = self._loaded
        layers = TorsoLayers.of(rows, plate)
        for i, coefficients in enumerate(said.alpha):
            rgb, opacity = head.render(rows.cameras[i], coefficients, rows.size)
            yield compose(rgb, opacity, layers.layer(i))


class PortraitDrawer:
    """One frame of the identity, moved by the video diffusion model; enlarged to the frames' side.

    It makes up its own head movements: figures frame by frame tell that, too.
    """

    def __init__(
        self, snapshot: Snapshot, config: EvaluateConfig, identity: str, folder: Path
    ) -> None:
        """Raises:
        NothingToDo: there is no video diffusion model in `folder`.
        """
        find_portrait(folder)
        self.snapshot, self.config, self.identity = snapshot, config, identity
        self.path = folder / MODEL
        self.weights = [file_hash(self.path)]
        self._shot: Shot | None = None

    @cached_property
    def saved(self) -> "SavedPortrait":
        """The stored model.

        Raises:
            FlowError: diffusers is not installed.
            PortraitFolderError: it cannot be loaded.
        """
        return saved_in(self.path.parent)

    @property
    def side(self) -> int:
        """See `Drawer`."""
        return self.saved.training.network.size

    def learnt_from(self) -> set[str]:
        """See `Drawer`. Its clips are split by the one rule for all, as a model of all people."""
        names, dataset = self.config.names, self.config.dataset
        planes = read_planes(self.snapshot, dataset, names.expression)
        who = self.snapshot.clips(dataset).identity
        usable = clips_with(self.snapshot, dataset, (names.frames, names.audio, names.expression))
        parts = splits_of(self.snapshot, dataset, [c for c in usable if who[c] in planes])
        return {clip for clip, part in parts.items() if part == "train"}

    def frames(self, rows: HeadData, said: Said, learnt: list[str]) -> Frames:
        """See `Drawer`."""
        shot = self._opened(learnt)
        with tempfile.TemporaryDirectory(prefix="emohead-") as folder:
            frames = drawn(shot, OneShot(), said.alpha, said.audio, said.emotion, 0, Path(folder))
            for frame in frames:
                yield enlarged(frame, rows.size)

    def _opened(self, learnt: list[str]) -> Shot:
        if self._shot is None:
            names, dataset = self.config.names, self.config.dataset
            found = face_among(self.snapshot, dataset, names, learnt, self.side)
            if found is None:
                raise NothingToDo(f"no clip of {self.identity!r} that was learnt from shows a face")
            self._shot = shot_of(self.saved, *found)
        return self._shot
