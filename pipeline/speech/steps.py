"""Sound cut into the 50 Hz steps that every speech encoder shares."""

import numpy as np
from jaxtyping import Float, Float32

from pipeline import clock
from pipeline.errors import ClockError

FIELD_SAMPLES = clock.STEP_SAMPLES + clock.STEP_PADDING
"""400 samples (25 ms) that one step sees: step k covers samples [320 k, 320 k + 400)."""


def step_frames(
    audio: Float[np.ndarray, " samples"], width: int = FIELD_SAMPLES
) -> Float[np.ndarray, "steps width"]:
    """Cut padded sound into steps; a wider window is centred on its step's field.

    Args:
        audio: 640 V + 80 samples at 16 kHz.
        width: samples a step is to see, 400 or more. What lies outside the sound is zero.

    Raises:
        ClockError: the sound is not 640 V + 80 samples long, or the width is below 400.
    """
    steps, rest = divmod(len(audio) - clock.STEP_PADDING, clock.STEP_SAMPLES)
    if rest or steps < 0 or steps % clock.STEPS_PER_FRAME:
        raise ClockError(
            f"sound for 50 Hz steps: {len(audio)} samples is not 640 V + {clock.STEP_PADDING}; "
            "ask for it by ClipInputs.audio(padding=STEP_PADDING)"
        )
    if width < FIELD_SAMPLES:
        raise ClockError(f"a step sees {FIELD_SAMPLES} samples, a window of {width} is too narrow")
    side = width - FIELD_SAMPLES
    padded = np.pad(audio, (side // 2, side - side // 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    return windows[:: clock.STEP_SAMPLES][:steps]


def paired(steps: Float[np.ndarray, "steps channels"]) -> Float32[np.ndarray, "frames 2 channels"]:
    """Two steps to each frame, as the store keeps them."""
    return np.ascontiguousarray(
        steps.reshape(-1, clock.STEPS_PER_FRAME, steps.shape[1]), dtype=np.float32
    )


def delta(
    values: Float[np.ndarray, "steps channels"], reach: int = 2
) -> Float[np.ndarray, "steps channels"]:
    """Slope of each channel by least squares over 2 `reach` + 1 steps; ends are held.

    sum_j j (x[t+j] - x[t-j]) / (2 sum_j j^2), j = 1..reach (HTK book, eq. 5.16): change a step.
    """
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    count = len(values)
    total = np.zeros_like(values)
    for j in range(1, reach + 1):
        total += j * (padded[reach + j : reach + j + count] - padded[reach - j :][:count])
    return total / (2 * sum(j * j for j in range(1, reach + 1)))
