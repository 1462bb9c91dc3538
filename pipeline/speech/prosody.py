"""How it was said: pitch, loudness, colour and voicing, with their course over half a second."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline import clock
from pipeline.encoder import AUDIO, ClipInputs, identity_of
from pipeline.features import FeatureSpec
from pipeline.speech.level import speech_level
from pipeline.speech.logmel import power_spectrum
from pipeline.speech.pitch import bridged, pitch
from pipeline.speech.steps import delta, paired, step_frames

BASE = (
    "f0_semitones",
    "voicing",
    "energy_db",
    "centroid_hz",
    "bandwidth_hz",
    "flatness_db",
    "rolloff_hz",
    "zero_crossing",
)
"""Channels of one step. Semitones over 100 Hz; voicing 0..1; energy dBFS; centroid, bandwidth and
85 % rolloff of the power spectrum in Hz; flatness (geometric over arithmetic mean) in dB;
zero_crossing as a fraction of samples."""

FLOOR = 1e-10


@dataclass(frozen=True)
class ProsodyConfig:
    """Ranges and windows of the prosody features."""

    low_hz: float = 65.0
    """Lowest pitch, Hz."""
    high_hz: float = 500.0
    """Highest pitch, Hz."""
    pitch_window: int = 1024
    """Samples that pitch is sought in, centred on the step (64 ms)."""
    threshold: float = 0.25
    """YIN's threshold on aperiodicity; also the edge between voiced and unvoiced."""
    reference_hz: float = 100.0
    """Zero of the semitone scale, and the pitch written where a clip has no voiced step at all."""
    silence_db: float = -35.0
    """A step this much quieter than the clip's speech is not voiced, dB."""
    fft: int = 512
    """Length of the Fourier transform, samples."""
    rolloff: float = 0.85
    """Share of the power below the rolloff frequency."""
    slow_seconds: float = 0.5
    """Window of the slow statistics, centred, seconds."""
    delta_reach: int = 2
    """Steps each side that a slope is fitted over."""


def channel_names() -> tuple[str, ...]:
    """Names of the channels of `emotion/prosody`, in order."""
    return (
        *BASE,
        *(f"{name}/delta" for name in BASE),
        *(f"{name}/slow_mean" for name in BASE),
        *(f"{name}/slow_std" for name in BASE),
    )


def spectral_shape(
    power: Float[np.ndarray, "steps bins"], rolloff: float
) -> Float[np.ndarray, "steps 4"]:
    """Centroid (Hz), bandwidth (Hz), flatness (dB) and rolloff (Hz) of each power spectrum."""
    hertz = np.linspace(0, clock.SAMPLE_RATE / 2, power.shape[1])
    power = power + FLOOR
    total = power.sum(axis=1)
    centroid = power @ hertz / total
    spread = np.maximum(power @ np.square(hertz) / total - np.square(centroid), 0.0)
    flatness = 10 * (np.log10(power).mean(axis=1) - np.log10(power.mean(axis=1)))
    reached = np.cumsum(power, axis=1) >= rolloff * total[:, None]
    return np.stack([centroid, np.sqrt(spread), flatness, hertz[reached.argmax(axis=1)]], axis=1)


def slow_statistics(
    values: Float[np.ndarray, "steps channels"], window: int
) -> Float[np.ndarray, "steps doubled"]:
    """Centred running mean and standard deviation; at the ends over what is there."""
    half = window // 2
    count = len(values)
    low = np.maximum(np.arange(count) - half, 0)
    high = np.minimum(np.arange(count) + half + 1, count)
    centre = values.mean(axis=0)  # large offsets (Hz) would drown the variance in rounding

    def mean(of: np.ndarray) -> np.ndarray:
        sums = np.cumsum(np.pad(of, ((1, 0), (0, 0))), axis=0)
        return (sums[high] - sums[low]) / (high - low)[:, None]

    first = mean(values - centre)
    variance = np.maximum(mean(np.square(values - centre)) - np.square(first), 0.0)
    return np.concatenate([first + centre, np.sqrt(variance)], axis=1)


class ProsodyEncoder:
    """32 prosody channels at 50 Hz, in raw units."""

    name = "prosody"
    version = "1"
    inputs = (AUDIO,)

    def __init__(self, config: ProsodyConfig | None = None) -> None:
        """Take settings; without any, those of the embedded profile."""
        self.config = config or ProsodyConfig()
        shape = (clock.STEPS_PER_FRAME, len(channel_names()))
        self.outputs = (FeatureSpec("emotion/prosody", shape, "float32", float("nan")),)

    def identity(self) -> dict[str, Any]:
        """All that determines the channels, their names included."""
        return identity_of(self.name, self.version, self.config) | {"channels": channel_names()}

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """`emotion/prosody` float32 [V, 2, 32]; see `channel_names`."""
        config = self.config
        audio = inputs.audio(padding=clock.STEP_PADDING)
        fields = step_frames(audio).astype(np.float64)
        energy = 10 * np.log10(np.square(fields).mean(axis=1) + FLOOR)
        hertz, periodic = pitch(
            step_frames(audio, config.pitch_window),
            config.low_hz,
            config.high_hz,
            config.threshold,
        )
        level = speech_level(audio)
        audible = energy > (np.inf if level is None else level + config.silence_db)
        voiced = audible & (periodic > 1 - config.threshold)
        semitones = 12 * np.log2(hertz / config.reference_hz)
        crossing = (np.signbit(fields[:, 1:]) != np.signbit(fields[:, :-1])).mean(axis=1)
        base = np.column_stack(
            [
                bridged(semitones, voiced, 0.0),
                np.where(audible, periodic, 0.0),
                energy,
                spectral_shape(power_spectrum(fields, config.fft), config.rolloff),
                crossing,
            ]
        )
        window = round(config.slow_seconds * clock.FPS * clock.STEPS_PER_FRAME)
        channels = [base, delta(base, config.delta_reach), slow_statistics(base, window)]
        return {"emotion/prosody": paired(np.concatenate(channels, axis=1))}
