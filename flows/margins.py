"""On which side of an emotion's hyperplane each frame of any video lies."""

import functools
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from flows.errors import NothingToDo
from flows.fit_hyperplanes import read_planes
from pipeline.encoder import ClipInputs
from pipeline.hyperplanes import POOLED, HyperplaneSet
from pipeline.profiles import Profile, load_profile
from render.errors import MetricError
from render.metrics.alone import Margins
from render.metrics.watching import Watched
from store import Snapshot


def planes_of(snapshot: Snapshot, dataset: str, expression: str) -> dict[str, HyperplaneSet]:
    """The hyperplanes of a store by scope.

    Raises:
        NothingToDo: there are none.
    """
    sets = read_planes(snapshot, dataset, expression)
    if not sets:
        raise NothingToDo(
            f"the store holds no hyperplanes of {expression!r}; run `emohead fit-hyperplanes`"
        )
    return sets


def margins_of(
    sets: Mapping[str, HyperplaneSet],
    identity: str,
    expression: str,
    profile: str = "embedded",
) -> Margins:
    """A function from a video and a tag to signed distances, in the identity's whitened units.

    The identity's own plane is taken; where it has none, the pooled one.

    Raises:
        NothingToDo: the store has no statistics of this identity.
    """
    if identity not in sets:
        known = ", ".join(sorted(scope for scope in sets if scope != POOLED)) or "none"
        raise NothingToDo(f"no hyperplanes of identity {identity!r}; the store has: {known}")
    own = sets[identity]

    def margins(video: Watched, tag: str) -> Float[np.ndarray, " frames"]:
        plane = own.planes.get(tag) or (sets[POOLED].planes.get(tag) if POOLED in sets else None)
        if plane is None:
            why = own.rejected.get(tag, "no clip carries this tag")
            raise MetricError(f"no hyperplane for {tag!r} of {identity!r}: {why}")
        width, height = video.size
        if width != height:
            raise MetricError(
                f"coefficients are measured on square face crops, not {width}x{height} px"
            )
        raw = coefficients_of(video, expression, load_profile(profile, size=width))
        return own.whitening.whiten(raw) @ plane.w + plane.b

    return margins


def coefficients_of(
    video: Watched, expression: str, profile: Profile
) -> Float[np.ndarray, "frames k"]:
    """Raw expression coefficients of a video by the encoders that made the cache.

    Raises:
        MetricError: no frame shows a face.
    """
    if not video.seen.any():
        raise MetricError(f"no face in any of {len(video)} frames")
    features: dict[str, np.ndarray] = {
        "face/landmarks": video.landmarks,
        "face/found": video.seen.astype(np.uint8),
    }
    pictures = functools.cache(lambda: np.stack(list(video.frames)))
    for encoder in profile.needed([expression], features):
        inputs = ClipInputs(len(video), features, video_source=pictures)
        features |= encoder.encode(inputs)
    return np.asarray(features[expression], np.float64)
