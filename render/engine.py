"""Which engine trains a head here: compiled for the CPU, or PyTorch on any device."""

import numpy as np
from jaxtyping import Bool

from render.cameras import Box
from render.engine_fused import FusedEngine
from render.engine_torch import TorchEngine
from render.engine_types import Engine
from render.errors import BackendError
from render.head_config import HeadConfig
from render.head_data import HeadData
from render.torch_field import device_of


def make_engine(
    config: HeadConfig, data: HeadData, box: Box, hull: Bool[np.ndarray, "z y x"]
) -> Engine:
    """The engine that the config names, or the one that fits this machine.

    Raises:
        BackendError: it cannot run here.
    """
    device = device_of(config.device)
    name = config.engine
    if name == "auto":
        name = "numba" if device.type == "cpu" else "torch"
    if name == "numba":
        if device.type != "cpu":
            raise BackendError(
                f"engine numba runs on the CPU, not on {device}; use engine=torch or device=cpu"
            )
        return FusedEngine(config, data, box, hull)
    return TorchEngine(config, data, box, hull, device)
