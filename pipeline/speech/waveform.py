"""The sound itself, stored beside the features so that a cache is complete without its sources."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import clock
from pipeline.encoder import AUDIO, ClipInputs, identity_of
from pipeline.features import FeatureSpec

FULL_SCALE = 32768
"""int16 steps in an amplitude of 1."""


@dataclass(frozen=True)
class WaveformConfig:
    """Nothing to choose: 16 kHz, mono, 16 bit."""


class WaveformEncoder:
    """16 kHz samples as int16, 640 a frame."""

    name = "waveform"
    version = "1"
    inputs = (AUDIO,)
    outputs = (FeatureSpec("audio/waveform", (clock.SAMPLES_PER_FRAME,), "int16", 0),)

    def __init__(self, config: WaveformConfig | None = None) -> None:
        """Take settings; without any, those of the embedded profile."""
        self.config = config or WaveformConfig()

    def identity(self) -> dict[str, Any]:
        """All that determines the samples."""
        return identity_of(self.name, self.version, self.config)

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """`audio/waveform` int16 [V, 640].

        What exceeds full scale (resampling overshoots by a hair) saturates, as in any sound card;
        how many samples did is left in the facts.
        """
        scaled = np.round(inputs.audio().astype(np.float64) * FULL_SCALE)
        beyond = int(((scaled < -FULL_SCALE) | (scaled > FULL_SCALE - 1)).sum())
        if beyond:
            inputs.facts["saturated_samples"] = beyond
        samples = scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        return {"audio/waveform": samples.reshape(inputs.frames, clock.SAMPLES_PER_FRAME)}
