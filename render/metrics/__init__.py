"""How good a video is: pictures, faces, sound, each number or the reason why there is none.

The face of the folder; what is behind a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from render.metrics.catalogue import CATALOGUE, Metric
    from render.metrics.head_score import HeadScore, nearest_frame, score_head
    from render.metrics.landmark_error import landmark_distance
    from render.metrics.measured import Measured
    from render.metrics.pair import PairScore, score_pair
    from render.metrics.pictures import as_float, head_box_of, psnr, ssim

_PLACES = {
    "CATALOGUE": "render.metrics.catalogue",
    "HeadScore": "render.metrics.head_score",
    "Measured": "render.metrics.measured",
    "Metric": "render.metrics.catalogue",
    "PairScore": "render.metrics.pair",
    "as_float": "render.metrics.pictures",
    "head_box_of": "render.metrics.pictures",
    "landmark_distance": "render.metrics.landmark_error",
    "nearest_frame": "render.metrics.head_score",
    "psnr": "render.metrics.pictures",
    "score_head": "render.metrics.head_score",
    "score_pair": "render.metrics.pair",
    "ssim": "render.metrics.pictures",
}

__all__ = [
    "CATALOGUE",
    "HeadScore",
    "Measured",
    "Metric",
    "PairScore",
    "as_float",
    "head_box_of",
    "landmark_distance",
    "nearest_frame",
    "psnr",
    "score_head",
    "score_pair",
    "ssim",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
