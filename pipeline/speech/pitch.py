"""Fundamental frequency by YIN, all steps at once."""

import numpy as np
from jaxtyping import Float

from pipeline import clock

TINY = 1e-12


def cumulative_difference(
    frames: Float[np.ndarray, "steps width"], lags: int
) -> Float[np.ndarray, "steps lags"]:
    """YIN's d'(lag), lag = 0..lags-1: 0 where a shift repeats the signal, about 1 for noise.

    d(l) = sum_j (x_j - x_{j+l})^2 over width - lags samples, divided by its mean over shorter lags
    (de Cheveigné & Kawahara 2002, eq. 6-8). The sums are expanded so that one FFT serves all lags.
    """
    steps, width = frames.shape
    span = width - lags
    size = 1 << int(np.ceil(np.log2(width + span)))
    head = np.fft.rfft(frames[:, :span], size, axis=1)
    whole = np.fft.rfft(frames, size, axis=1)
    product = np.fft.irfft(np.conj(head) * whole, size, axis=1)[:, :lags]
    energy = np.cumsum(np.pad(np.square(frames), ((0, 0), (1, 0))), axis=1)
    shifted = energy[:, span : span + lags] - energy[:, :lags]
    difference = np.maximum(shifted[:, :1] + shifted - 2 * product, 0.0)
    running = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, lags)
    normal = np.ones((steps, lags))
    # Silence differs from its own shift by nothing; it has no pitch, so it stays at 1.
    np.divide(difference[:, 1:], running, out=normal[:, 1:], where=running > TINY)
    return normal


def pitch(
    frames: Float[np.ndarray, "steps width"], low_hz: float, high_hz: float, threshold: float
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    """Fundamental frequency in Hz and periodicity in [0, 1] of each step.

    The first lag whose d' dips below `threshold` wins (else the deepest), refined by a parabola.
    Periodicity is 1 - d' there; a step is voiced where it exceeds 1 - threshold.
    """
    shortest = int(clock.SAMPLE_RATE / high_hz)
    longest = int(np.ceil(clock.SAMPLE_RATE / low_hz))
    curve = cumulative_difference(frames.astype(np.float64), longest + 2)
    inner = curve[:, shortest : longest + 1]
    before, after = curve[:, shortest - 1 : longest], curve[:, shortest + 1 : longest + 2]
    dip = (inner <= before) & (inner < after)
    good = dip & (inner < threshold)
    deepest = np.where(dip, inner, np.inf).argmin(axis=1)
    lag = shortest + np.where(good.any(axis=1), good.argmax(axis=1), deepest)
    rows = np.arange(len(frames))
    left, here, right = (curve[rows, lag + j] for j in (-1, 0, 1))
    bend = left - 2 * here + right
    shift = np.divide(left - right, 2 * bend, out=np.zeros_like(here), where=bend > TINY)
    return clock.SAMPLE_RATE / (lag + shift.clip(-1, 1)), (1 - here).clip(0, 1)


def bridged(
    values: Float[np.ndarray, " steps"], known: np.ndarray, default: float
) -> Float[np.ndarray, " steps"]:
    """Values with a straight line over the unknown steps; ends held, `default` if none is known."""
    at = np.flatnonzero(known)
    if len(at) == 0:
        return np.full(len(values), default)
    return np.interp(np.arange(len(values)), at, values[at])
