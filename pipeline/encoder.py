"""The contract every encoder keeps, and the clip it is handed."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from pipeline import clock
from pipeline.errors import MissingInput
from pipeline.features import FeatureSpec
from pipeline.transcript import Transcript

VIDEO = "media/video"
"""Input name: the cropped frames."""
AUDIO = "media/audio"
"""Input name: the 16 kHz sound."""
TRANSCRIPT = "clip/transcript"
"""Input name: words the corpus or a sidecar knows; None when nobody does."""
MEDIA = (VIDEO, AUDIO, TRANSCRIPT)
"""Inputs that are no features of other encoders."""


@dataclass
class ClipInputs:
    """One clip as its encoders see it. Media are decoded at the first call, once for all."""

    frames: int
    """V, the length of the frame axis."""
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Features of upstream encoders, first axis V; token tables under `<name>#tokens`."""
    transcript: Transcript | None = None
    """What corpus or sidecar know of the words."""
    video_source: Callable[[], np.ndarray] | None = None
    """Brings uint8 [V, S, S, 3]; None when the clip has no usable picture."""
    audio_source: Callable[[], np.ndarray] | None = None
    """Brings float32 [640 V]; None when the clip has no sound."""
    no_audio: str = "no audio stream"
    """Why `audio_source` is None."""
    facts: dict[str, Any] = field(default_factory=dict)
    """JSON-able remarks an encoder leaves about this clip."""

    def video(self) -> UInt8[np.ndarray, "frames size size 3"]:
        """Face-cropped RGB frames.

        Raises:
            MissingInput: the clip has no picture.
        """
        if self.video_source is None:
            raise MissingInput("no video stream")
        video = self.video_source()
        clock.same_length("video", len(video), self.frames)
        return video

    def audio(self, padding: int = 0) -> Float32[np.ndarray, " samples"]:
        """Sound at 16 kHz, [640 V + padding]; then `padding` zeros (STEP_PADDING: 2 V steps).

        Raises:
            MissingInput: the clip has no sound.
        """
        if self.audio_source is None:
            raise MissingInput(self.no_audio)
        audio = self.audio_source()
        clock.same_length("audio", len(audio), clock.samples_of(self.frames), "samples")
        return np.pad(audio, (0, padding)) if padding else audio


@runtime_checkable
class Encoder(Protocol):
    """Turns inputs of one clip into arrays on the frame axis. Models load once, at first use."""

    @property
    def name(self) -> str:
        """Short name, unique in a profile; overrides are addressed by it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same input may give another output."""
        ...

    @property
    def config(self) -> Any:
        """Frozen dataclass of settings; part of the fingerprint."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """`MEDIA` names and names of upstream features."""
        ...

    @property
    def outputs(self) -> tuple[FeatureSpec, ...]:
        """The features it writes."""
        ...

    def identity(self) -> dict[str, Any]:
        """JSON-able: all that determines the output besides the inputs."""
        ...

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """One array per output (and `<name>#tokens` tables), each with first axis V."""
        ...


def identity_of(
    name: str, version: str, config: Any, weights: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The usual `Encoder.identity`: settings spelled out, weights as {file: sha256}."""
    return {
        "encoder": name,
        "version": version,
        "config": dataclasses.asdict(config),
        "weights": dict(sorted((weights or {}).items())),
    }


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
