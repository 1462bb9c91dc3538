"""The only three ways a weight gets into memory: safetensors, weights-only torch files, ONNX."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import WeightError

if TYPE_CHECKING:
    import torch


def torch_state(path: Path, inner: tuple[str, ...] = ("state_dict", "model")) -> dict[str, Any]:
    """Tensors of a checkpoint by key; `inner` names dicts they may be wrapped in.

    Raises:
        WeightError: a file that holds more than tensors, or none.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different one for every way a file can be broken
        reason = str(error).splitlines()[0]
        raise WeightError(f"{path.name} cannot be read as plain tensors: {reason}") from error
    for key in inner:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not state:
        raise WeightError(f"{path.name} holds no tensors by name")
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    return {key: value for key, value in bare.items() if isinstance(value, torch.Tensor)}


def fill(module: "torch.nn.Module", state: dict[str, Any], where: str) -> None:
    """Load tensors into a network: exactly its own, each with its shape.

    Raises:
        WeightError: missing, surplus or misshapen tensors, named.
    """
    own = module.state_dict()
    lacking = sorted(set(own) - set(state))
    surplus = sorted(set(state) - set(own))
    shapes = [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if lacking or surplus or shapes:
        raise WeightError(
            f"{where} does not fit {type(module).__name__}: lacks {_some(lacking)}; has besides "
            f"{_some(surplus)}; shapes: {_some(shapes)}"
        )
    module.load_state_dict(state)


def onnx_session(model: Path | bytes, threads: int) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises:
        WeightError: ONNX Runtime is not installed, or the file is no model.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise WeightError(
            "onnxruntime is not installed: `pip install 'emohead[paper]'`, or choose the setting "
            "runtime=torch"
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    data = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        name = "the graph" if isinstance(model, bytes) else model.name
        raise WeightError(f"{name} cannot be read as ONNX: {error}") from error


def openvino_model(model: Path | bytes, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """The first output of an ONNX file as OpenVINO computes it on the CPU, one item a call.

    Raises:
        WeightError: OpenVINO is not installed, or the file is no model.
    """
    if importlib.util.find_spec("openvino") is None:
        raise WeightError(
            "openvino is not installed: `pip install 'emohead[paper]'`, or choose the setting "
            "runtime=onnxruntime"
        )
    import openvino

    # float32 is asked for: where a processor has bfloat16, OpenVINO would take it
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    core = openvino.Core()
    try:
        read = core.read_model(model)
        # sizes that are free make it slower
        read.reshape([1, *(size.get_length() for size in list(read.input().partial_shape)[1:])])
        compiled = core.compile_model(read, "CPU", settings)
    except Exception as error:  # its errors are bare RuntimeErrors
        name = "the graph" if isinstance(model, bytes) else model.name
        raise WeightError(f"{name} cannot be read as ONNX: {error}") from error

    def run(item: np.ndarray) -> np.ndarray:
        return compiled(item)[compiled.output(0)]

    return run


def _some(items: list[str]) -> str:
    shown = ", ".join(items[:4]) or "nothing"
    return shown + (f" and {len(items) - 4} more" if len(items) > 4 else "")
