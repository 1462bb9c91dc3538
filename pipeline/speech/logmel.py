"""Log-mel spectrum with slopes: the speech feature that needs no weights."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from pipeline import clock
from pipeline.encoder import AUDIO, ClipInputs, identity_of
from pipeline.features import FeatureSpec
from pipeline.speech.level import levelled
from pipeline.speech.steps import FIELD_SAMPLES, delta, paired, step_frames


@dataclass(frozen=True)
class LogMelConfig:
    """What is heard of the spectrum."""

    mels: int = 80
    """Mel bands."""
    fft: int = 512
    """Length of the Fourier transform, samples; the 400-sample field is zero-padded to it."""
    low_hz: float = 0.0
    """Lower edge of the lowest band, Hz."""
    high_hz: float = 8000.0
    """Upper edge of the highest band, Hz."""
    floor: float = 1e-8
    """Power added before the logarithm: about -80 dB under the level below."""
    delta_reach: int = 2
    """Steps each side that a slope is fitted over; 2 spans 100 ms."""
    level_dbfs: float | None = -23.0
    """Level every clip is brought to before the spectrum, dBFS; None keeps the recording's own."""
    max_gain_db: float = 40.0
    """Limit of the amplification, dB."""


@lru_cache(maxsize=4)
def mel_bank(
    mels: int, fft: int, low_hz: float, high_hz: float
) -> Float32[np.ndarray, "bins mels"]:
    """Slaney's triangular filters, one column a band."""
    import librosa

    return librosa.filters.mel(
        sr=clock.SAMPLE_RATE, n_fft=fft, n_mels=mels, fmin=low_hz, fmax=high_hz
    ).T.astype(np.float32)


def power_spectrum(
    frames: Float[np.ndarray, "steps width"], fft: int
) -> Float[np.ndarray, "steps bins"]:
    """Squared magnitude under a Hann window, bins = fft / 2 + 1."""
    window = np.hanning(frames.shape[1] + 1)[:-1]
    return np.square(np.abs(np.fft.rfft(frames * window, n=fft, axis=1)))


class LogMelEncoder:
    """80 log-mel bands, their slope and the slope's slope, at 50 Hz."""

    name = "logmel"
    version = "1"
    inputs = (AUDIO,)

    def __init__(self, config: LogMelConfig | None = None) -> None:
        """Take settings; without any, those of the embedded profile."""
        self.config = config or LogMelConfig()
        shape = (clock.STEPS_PER_FRAME, 3 * self.config.mels)
        self.outputs = (FeatureSpec("audio/logmel", shape, "float32", float("nan")),)

    def identity(self) -> dict[str, Any]:
        """All that determines the spectrum."""
        return identity_of(self.name, self.version, self.config)

    def encode(self, inputs: ClipInputs) -> dict[str, np.ndarray]:
        """`audio/logmel` float32 [V, 2, 3 mels]: log power, first and second slope a step."""
        config = self.config
        audio, gain = levelled(
            inputs.audio(padding=clock.STEP_PADDING), config.level_dbfs, config.max_gain_db
        )
        inputs.facts["audio_gain_db"] = round(gain, 2)
        # Power a sample, so that the floor keeps its meaning for any field.
        spectrum = power_spectrum(step_frames(audio), config.fft) / FIELD_SAMPLES
        bank = mel_bank(config.mels, config.fft, config.low_hz, config.high_hz)
        mel = np.log(spectrum @ bank + config.floor)
        slope = delta(mel, config.delta_reach)
        bend = delta(slope, config.delta_reach)
        return {"audio/logmel": paired(np.concatenate([mel, slope, bend], axis=1))}
