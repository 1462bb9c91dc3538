"""What can be said of one video without another: sync, emotion, trembling."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from pipeline.face.mar import mouth_aspect
from pipeline.lag import LagConfig, lag_of
from render.errors import MetricError
from render.metrics.catalogue import ONE
from render.metrics.judges import Judges
from render.metrics.landmark_error import eye_distance, ibug
from render.metrics.measured import Measured, not_measured
from render.metrics.motion import jitter
from render.metrics.watching import Watched

Margins = Callable[[Watched, str], Float[np.ndarray, " frames"]]
"""Signed distance of each frame from a tag's hyperplane; NaN without a face. May raise
MetricError."""

LEAST_EYES = 50
"""Pixels between the outer eye corners, as drawn, from which on hyperplanes can be read.

`benchmarks/ruler.py`: true frames on their own emotion's side, drawn smaller. With the corners 55
px apart no class loses more than 6 points, with 46 the thinnest loses 16, with 36 34, with 18 all.
"""


def measure_one(
    video: Watched, judges: Judges, emotion: str | None, margins: Margins | None
) -> dict[str, Measured]:
    """Every metric of a single video, or why it has none."""
    cells = _sync(video, judges) | _lag(video)
    for key, measure in (
        ("er", lambda: _recognised(video, judges, emotion)),
        ("hyperplane", lambda: _side(video, emotion, margins)),
        ("jitter", lambda: _jitter(video)),
    ):
        try:
            cells[key] = measure()
        except MetricError as error:
            cells[key] = not_measured(key, str(error))
    return {key: cells[key] for key in ONE}


def _sync(video: Watched, judges: Judges) -> dict[str, Measured]:
    keys = ("lse_c", "lse_d", "sync_offset")
    try:
        network, told = judges.syncnet()
        if video.sound is None:
            raise MetricError(f"no sound: {video.no_sound}")
        from render.metrics.syncnet import measure_sync, mouth_crops

        found = measure_sync(network, mouth_crops(video.frames, video.landmarks), video.sound)
    except MetricError as error:
        return {key: not_measured(key, str(error)) for key in keys}
    values = (found.confidence, found.distance, float(found.offset))
    return {
        key: Measured(key, value, note=told, count=found.windows)
        for key, value in zip(keys, values, strict=True)
    }


def _lag(video: Watched) -> dict[str, Measured]:
    """Lag and correlation of mouth opening and loudness (pipeline.lag)."""
    least = LagConfig().least_frames
    keys = ("av_lag", "av_correlation")
    seen = int(video.seen.sum())
    if video.sound is None:
        return {key: not_measured(key, f"no sound: {video.no_sound}") for key in keys}
    if seen < least:
        why = (
            f"{seen} frames with a face; {least} are needed, in fewer one answer in three is wrong"
        )
        return {key: not_measured(key, why) for key in keys}
    found = lag_of(mouth_aspect(video.landmarks), video.sound)
    if found is None:
        return {key: not_measured(key, "lips or sound never change") for key in keys}
    cells = {"av_correlation": Measured("av_correlation", found.agreement, count=seen)}
    if found.believed:
        cells["av_lag"] = Measured("av_lag", 1000 * found.seconds, count=seen)
    else:
        cells["av_lag"] = not_measured(
            "av_lag", f"no clear best shift (lead {found.lead:.2f} over the next)"
        )
    return cells


def _recognised(video: Watched, judges: Judges, emotion: str | None) -> Measured:
    if not emotion:
        raise MetricError("no emotion was named that the video should show (--emotion)")
    from render.metrics.expression_net import CLASSES, face_squares, recognised

    network, told = judges.expressions()
    if emotion not in CLASSES:
        raise MetricError(f"the judge knows {', '.join(CLASSES)}; not {emotion!r}")
    faces = face_squares(video.frames, video.landmarks)
    return Measured("er", recognised(network, faces, emotion), note=told, count=len(faces))


def _side(video: Watched, emotion: str | None, margins: Margins | None) -> Measured:
    if not emotion:
        raise MetricError("no emotion was named that the video should show (--emotion)")
    if margins is None:
        raise MetricError("no hyperplanes were given (--store with --identity)")
    found = margins(video, emotion)
    seen = np.isfinite(found)
    if not seen.any():
        raise MetricError(f"no face in any of {len(found)} frames")
    value, count = float(100 * (found[seen] > 0).mean()), int(seen.sum())
    return Measured("hyperplane", value, note=_too_small(video), count=count)


def _too_small(video: Watched) -> str:
    """What must be known of a side that was read from few pixels; nothing where there are enough.

    The same words for every such video, so that a table says them once.
    """
    eyes = float(np.nanmedian(eye_distance(ibug(video.landmarks))))
    if eyes * video.drawn[0] / video.size[0] >= LEAST_EYES:
        return ""
    return (
        f"face too small to be sure: outer eye corners less than {LEAST_EYES} px apart as drawn; "
        "true videos leave their side, too (docs/metrics.md)"
    )


def _jitter(video: Watched) -> Measured:
    value, count = jitter(ibug(video.landmarks))
    return Measured("jitter", value, count=count)
