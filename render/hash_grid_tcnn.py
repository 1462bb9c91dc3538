"""The hash grid by tiny-cuda-nn, where CUDA and its Python binding are there."""

import importlib
import importlib.util
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from render.hash_grid_config import HashGridConfig


def why_not(params: Tensor) -> str | None:
    """The reason tiny-cuda-nn cannot serve these parameters, or None if it can."""
    if not torch.cuda.is_available():
        return "no CUDA device is available; use backend='torch' or 'numba'"
    if params.device.type != "cuda":
        return f"the parameters are on {params.device}; move the field to the CUDA device"
    if importlib.util.find_spec("tinycudann") is None:
        return "the package tinycudann is not installed; see its README for the build"
    return None


def tcnn_config(config: HashGridConfig) -> dict[str, Any]:
    """The encoding's JSON in tiny-cuda-nn's words."""
    return {
        "otype": "Grid",
        "type": "Hash",
        "n_levels": config.levels,
        "n_features_per_level": config.features,
        "log2_hashmap_size": config.log2_entries,
        "base_resolution": config.base_resolution,
        "per_level_scale": config.growth,
        "interpolation": "Linear",
    }


@cache
def _module(config: HashGridConfig) -> Any:
    tinycudann = importlib.import_module("tinycudann")
    return tinycudann.Encoding(config.dimensions, tcnn_config(config))


def encode_tcnn(
    x: Float[Tensor, "points dims"], params: Float[Tensor, " n"], config: HashGridConfig
) -> Float[Tensor, "points width"]:
    """Features of each point in float32 (tiny-cuda-nn computes in half precision)."""
    module = _module(config)
    # The binding keeps its own parameter; ours is put in its place for this call, so that its
    # gradient arrives here.
    return torch.func.functional_call(module, {"params": params}, (x,)).float()
