"""Encoders that read the waveform: shapes, known signals, determinism."""

from typing import Any

import numpy as np
import pytest

from pipeline.encoder import ClipInputs, Encoder
from pipeline.errors import MissingInput
from pipeline.speech.logmel import LogMelConfig, LogMelEncoder, mel_bank
from pipeline.speech.pitch import bridged, cumulative_difference, pitch
from pipeline.speech.prosody import BASE, ProsodyEncoder, channel_names, slow_statistics
from pipeline.speech.steps import step_frames
from pipeline.speech.waveform import WaveformEncoder

FRAMES = 25
T = np.arange(640 * FRAMES) / 16_000


def clip(audio: np.ndarray) -> ClipInputs:
    return ClipInputs(len(audio) // 640, audio_source=lambda: audio.astype(np.float32))


def channel(array: np.ndarray, name: str) -> np.ndarray:
    return array.reshape(-1, array.shape[-1])[:, channel_names().index(name)]


@pytest.mark.parametrize("encoder", [WaveformEncoder(), LogMelEncoder(), ProsodyEncoder()])
@pytest.mark.parametrize("kind", ["tone", "noise", "silence", "one frame"])
def test_arrays_are_what_the_specs_promise(encoder: Any, kind: str) -> None:
    rng = np.random.default_rng(1)
    audio = {
        "tone": 0.3 * np.sin(2 * np.pi * 200 * T),
        "noise": 0.1 * rng.normal(size=len(T)),
        "silence": np.zeros(len(T)),
        "one frame": 0.1 * rng.normal(size=640),
    }[kind]
    assert isinstance(encoder, Encoder)
    inputs = clip(audio)
    arrays = encoder.encode(inputs)
    assert set(arrays) == {spec.name for spec in encoder.outputs}
    for spec in encoder.outputs:
        spec.check(arrays[spec.name], inputs.frames)
        assert np.isfinite(arrays[spec.name]).all()
    again = encoder.encode(clip(audio))
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


@pytest.mark.parametrize("encoder", [WaveformEncoder(), LogMelEncoder(), ProsodyEncoder()])
def test_no_sound_is_said(encoder: Any) -> None:
    with pytest.raises(MissingInput, match="no audio stream"):
        encoder.encode(ClipInputs(3))


def test_waveform_is_exact_and_counts_what_it_saturates() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 640 * 2)
    inputs = clip(samples / 32768)
    stored = WaveformEncoder().encode(inputs)["audio/waveform"]
    assert np.array_equal(stored.ravel(), samples)
    assert "saturated_samples" not in inputs.facts
    loud = clip(np.full(640, 1.5))
    assert WaveformEncoder().encode(loud)["audio/waveform"].max() == 32767
    assert loud.facts["saturated_samples"] == 640


def test_a_tone_lights_the_band_it_lies_in() -> None:
    mel = LogMelEncoder().encode(clip(0.2 * np.sin(2 * np.pi * 1000 * T)))["audio/logmel"]
    bank = mel_bank(80, 512, 0.0, 8000.0)
    expected = int(bank[32].argmax())  # 1000 Hz = bin 32 of 16 kHz / 512
    assert set(mel[2:-2, :, :80].argmax(axis=2).ravel()) == {expected}
    assert np.abs(mel[3:-3, :, 80:]).max() < 0.1  # a steady tone has no slope


def test_loudness_of_the_recording_does_not_matter_to_logmel() -> None:
    audio = 0.2 * np.random.default_rng(2).normal(size=len(T))
    loud = LogMelEncoder().encode(clip(audio))["audio/logmel"]
    quiet = LogMelEncoder().encode(clip(audio / 50))["audio/logmel"]
    assert np.allclose(loud, quiet, atol=1e-2)
    raw = LogMelEncoder(LogMelConfig(level_dbfs=None)).encode(clip(audio / 50))["audio/logmel"]
    assert (loud - raw)[..., :80].mean() > 1


def test_identity_names_what_determines_the_output() -> None:
    plain, other = LogMelEncoder().identity(), LogMelEncoder(LogMelConfig(mels=40)).identity()
    assert plain["config"]["mels"] == 80
    assert plain != other
    assert LogMelEncoder(LogMelConfig(mels=40)).outputs[0].shape == (2, 120)


@pytest.mark.parametrize("hertz", [80.0, 123.0, 220.0, 440.0])
def test_pitch_of_a_buzz(hertz: float) -> None:
    buzz = sum(np.sin(2 * np.pi * hertz * n * T) / n for n in range(1, 8)) * 0.1
    prosody = ProsodyEncoder().encode(clip(np.asarray(buzz)))["emotion/prosody"]
    semitones = channel(prosody, "f0_semitones")[4:-4]
    assert np.median(semitones) == pytest.approx(12 * np.log2(hertz / 100), abs=0.1)
    assert channel(prosody, "voicing")[4:-4].min() > 0.9


def test_noise_and_silence_are_unvoiced() -> None:
    noise = 0.1 * np.random.default_rng(3).normal(size=len(T))
    voicing = channel(ProsodyEncoder().encode(clip(noise))["emotion/prosody"], "voicing")
    assert (voicing > 0.75).mean() < 0.05
    silent = ProsodyEncoder().encode(clip(np.zeros(len(T))))["emotion/prosody"]
    assert channel(silent, "voicing").max() == 0
    assert channel(silent, "f0_semitones").max() == 0  # 100 Hz, the reference
    assert channel(silent, "energy_db").max() == pytest.approx(-100, abs=0.1)


def test_energy_is_dbfs_and_centroid_is_hertz() -> None:
    tone = np.sin(2 * np.pi * 2000 * T)
    prosody = ProsodyEncoder().encode(clip(tone))["emotion/prosody"]
    assert channel(prosody, "energy_db")[4] == pytest.approx(-3.01, abs=0.05)
    assert channel(prosody, "centroid_hz")[4] == pytest.approx(2000, abs=20)
    assert channel(prosody, "zero_crossing")[4] == pytest.approx(0.25, abs=0.01)


def test_difference_function_equals_its_definition() -> None:
    frames = np.random.default_rng(4).normal(size=(2, 60))
    lags, span = 12, 48
    for row, curve in zip(frames, cumulative_difference(frames, lags), strict=True):
        d = [sum((row[j] - row[j + lag]) ** 2 for j in range(span)) for lag in range(lags)]
        expected = [1.0] + [d[lag] * lag / sum(d[1 : lag + 1]) for lag in range(1, lags)]
        assert curve == pytest.approx(expected)


def test_pitch_of_silence_is_not_periodic() -> None:
    frames = step_frames(np.zeros(640 * 2 + 80), 1024)
    hertz, periodic = pitch(frames, 65.0, 500.0, 0.25)
    assert np.isfinite(hertz).all()
    assert periodic.max() == 0


def test_bridge_goes_straight_and_holds_the_ends() -> None:
    values = np.array([9.0, 1.0, 9.0, 3.0, 9.0])
    known = np.array([False, True, False, True, False])
    assert bridged(values, known, 0.0).tolist() == [1, 1, 2, 3, 3]
    assert bridged(values, np.zeros(5, dtype=bool), 7.0).tolist() == [7] * 5


def test_slow_statistics_equal_a_loop() -> None:
    values = np.random.default_rng(5).normal(size=(20, 2)) + 1000
    got = slow_statistics(values, 5)
    for i in range(20):
        near = values[max(i - 2, 0) : i + 3]
        assert got[i] == pytest.approx(np.concatenate([near.mean(axis=0), near.std(axis=0)]))


def test_channels_have_names() -> None:
    assert len(channel_names()) == ProsodyEncoder().outputs[0].shape[1] == 4 * len(BASE)
    assert len(set(channel_names())) == len(channel_names())
