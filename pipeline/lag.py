"""How far the sound lags behind the lips: mouth opening against speech energy.

Lips open a little before they are heard, so a synchronous clip reads a small positive lag (about 0
to 80 ms: bilabials are shut before the burst). The estimate is for finding clips that are off by
more than a frame or two, not for correcting them.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64

from pipeline import clock


@dataclass(frozen=True)
class LagConfig:
    """Where a lag is looked for and when it is believed."""

    reach: int = 15
    """Frames (1/25 s) to either side."""
    drifts: tuple[int, ...] = (7, 13, 25)
    """Frames over which slow changes are taken out of both curves; agreements are averaged."""
    least_lead: float = 0.15
    """How far the best agreement stands above any other more than `apart` frames away."""
    apart: int = 3
    """Frames round the best lag that count as the same answer."""
    least_frames: int = 200
    """Frames with a face that an answer needs: in windows of 4 s one in three was wrong, in windows
    of 10 s none that was believed (real clips, see docs/benchmarks.md)."""


@dataclass(frozen=True)
class Lag:
    """The best lag and how good it is."""

    seconds: float
    """Positive: the sound comes after the lips."""
    agreement: float
    """Correlation at the best lag."""
    lead: float
    """Its distance to the next best elsewhere."""
    believed: bool


def loudness(sound: Float32[np.ndarray, " samples"]) -> Float64[np.ndarray, " frames"]:
    """Level of each frame in decibels, floored 50 dB below the clip's 95th percentile."""
    frames = sound.reshape(-1, clock.SAMPLES_PER_FRAME).astype(np.float64)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-12)
    return np.maximum(level, np.percentile(level, 95) - 50)


def lag_of(
    mouth: Float[np.ndarray, " frames"],
    sound: Float32[np.ndarray, " samples"],
    config: LagConfig | None = None,
) -> Lag | None:
    """The shift at which mouth and loudness agree best; None where there is too little to see.

    Args:
        mouth: opening a frame, NaN without a face.
        sound: 640 samples a frame.
        config: where to look.
    """
    config = config or LagConfig()
    seen = np.isfinite(mouth)
    if seen.sum() < config.least_frames or len(mouth) <= 2 * config.reach:
        return None
    at = np.arange(len(mouth))
    lips = np.interp(at, at[seen], mouth[seen].astype(np.float64))
    voice = loudness(sound)
    if lips.std() < 1e-6 or voice.std() < 1e-6:
        return None
    shifts = np.arange(-config.reach, config.reach + 1)
    scores = np.mean(
        [
            [_agreement(_quick(lips, drift), _quick(voice, drift), int(s)) for s in shifts]
            for drift in config.drifts
        ],
        axis=0,
    )
    best = int(scores.argmax())
    elsewhere = scores[np.abs(shifts - shifts[best]) > config.apart]
    lead = float(scores[best] - elsewhere.max())
    inside = 0 < best < len(scores) - 1
    offset = 0.0
    if inside:  # vertex of the parabola through three points
        before, top, after = scores[best - 1 : best + 2]
        bend = before - 2 * top + after
        offset = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return Lag(
        seconds=float(shifts[best] + offset) / clock.FPS,
        agreement=float(scores[best]),
        lead=lead,
        believed=inside and lead >= config.least_lead,
    )


def _quick(curve: Float64[np.ndarray, " frames"], drift: int) -> Float64[np.ndarray, " frames"]:
    """The curve less its running mean: syllables stay, sentences and head size go."""
    window = np.ones(drift)
    weight = np.convolve(np.ones(len(curve)), window, "same")
    return curve - np.convolve(curve, window, "same") / weight


def _agreement(lips: np.ndarray, voice: np.ndarray, shift: int) -> float:
    """Correlation of the lips with the voice `shift` frames later."""
    a = lips[max(0, -shift) : len(lips) - max(0, shift)]
    b = voice[max(0, shift) : len(voice) - max(0, -shift)]
    spread = a.std() * b.std()
    return 0.0 if spread == 0 else float(((a - a.mean()) * (b - b.mean())).mean() / spread)
