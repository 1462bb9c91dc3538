"""The cepstral coefficients SyncNet hears: python_speech_features' `mfcc` with its defaults.

Written out because that package has not been kept since 2017; the test holds it against figures of
python_speech_features 0.6.
"""

import numpy as np
from jaxtyping import Float
from scipy.fft import dct

RATE = 16_000
_WINDOW, _HOP, _FFT = 400, 160, 512
_FILTERS, _COEFFICIENTS, _LIFTER = 26, 13, 22
_EMPHASIS = 0.97


def mfcc(samples: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "steps 13"]:
    """13 coefficients every 10 ms of 16 kHz sound, scaled as 16-bit integers are.

    25 ms windows without taper, 26 mel filters from 0 to 8 kHz, liftered, the first coefficient
    replaced by the log energy. The last window is filled up with zeros.
    """
    signal = np.append(samples[0], samples[1:] - _EMPHASIS * samples[:-1]).astype(np.float64)
    steps = 1 + max(0, -(-(len(signal) - _WINDOW) // _HOP))
    padded = np.zeros((steps - 1) * _HOP + _WINDOW)
    padded[: min(len(signal), len(padded))] = signal[: len(padded)]
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames, _FFT, axis=1)) ** 2 / _FFT
    floor = np.finfo(np.float64).eps
    energy = np.maximum(power.sum(1), floor)
    mel = np.maximum(power @ _bank().T, floor)
    whole = np.asarray(dct(np.log(mel), type=2, axis=1, norm="ortho"))
    cepstrum = whole[:, :_COEFFICIENTS]
    order = np.arange(_COEFFICIENTS)
    cepstrum = cepstrum * (1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER))
    cepstrum[:, 0] = np.log(energy)
    return cepstrum


def _bank() -> Float[np.ndarray, "filters bins"]:
    """Triangles on the mel scale, their corners rounded down to bins."""
    high = 2595 * np.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, high, _FILTERS + 2) / 2595) - 1)
    corners = np.floor((_FFT + 1) * hertz / RATE).astype(int)
    bank = np.zeros((_FILTERS, _FFT // 2 + 1))
    for row, (low, middle, top) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        bank[row, low:middle] = (np.arange(low, middle) - low) / max(middle - low, 1)
        bank[row, middle:top] = (top - np.arange(middle, top)) / max(top - middle, 1)
    return bank
