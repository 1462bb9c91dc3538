"""From expression and pose to pictures: the radiance field of one head, and video out.

The face of the folder; what is behind a name is imported when it is first used, so that listing
the commands of emohead loads neither torch nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from render.backdrop import TorsoLayers, background_plate
    from render.compositing import compose
    from render.field import Field, FieldConfig
    from render.hash_grid import HashGrid
    from render.hash_grid_config import HashGridConfig
    from render.head import Head, load_head
    from render.head_config import HeadConfig, RefineConfig
    from render.head_data import HeadData, hold_out
    from render.metrics import HeadScore, score_head
    from render.occupancy import OccupancyConfig
    from render.ray_sampling import SamplingConfig
    from render.trainer import train_head
    from render.video import VideoWriter

_PLACES = {
    "Field": "render.field",
    "FieldConfig": "render.field",
    "HashGrid": "render.hash_grid",
    "HashGridConfig": "render.hash_grid_config",
    "Head": "render.head",
    "HeadConfig": "render.head_config",
    "RefineConfig": "render.head_config",
    "HeadData": "render.head_data",
    "HeadScore": "render.metrics",
    "OccupancyConfig": "render.occupancy",
    "SamplingConfig": "render.ray_sampling",
    "TorsoLayers": "render.backdrop",
    "VideoWriter": "render.video",
    "background_plate": "render.backdrop",
    "compose": "render.compositing",
    "hold_out": "render.head_data",
    "load_head": "render.head",
    "score_head": "render.metrics",
    "train_head": "render.trainer",
}

__all__ = [
    "Field",
    "FieldConfig",
    "HashGrid",
    "HashGridConfig",
    "Head",
    "HeadConfig",
    "HeadData",
    "HeadScore",
    "OccupancyConfig",
    "RefineConfig",
    "SamplingConfig",
    "TorsoLayers",
    "VideoWriter",
    "background_plate",
    "compose",
    "hold_out",
    "load_head",
    "score_head",
    "train_head",
]


def __getattr__(name: str) -> Any:
    """Bring a name of the face."""
    if name not in _PLACES:
        raise AttributeError(f"module 'render' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
