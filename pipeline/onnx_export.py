"""A convolutional PyTorch network as an ONNX file: its traced graph, node by node."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from pipeline.errors import WeightError
from pipeline.onnx_bytes import Graph


def onnx_of(network: nn.Module, input_shape: Sequence[int], output_shape: Sequence[int]) -> bytes:
    """The file of a network in evaluation mode, with a free batch size.

    Args:
        network: made of the layers below, one tensor in and one out.
        input_shape: of one item: (channels, height, width).
        output_shape: of one item.

    Raises:
        WeightError: a layer that is not among those below.
    """
    traced = fx.symbolic_trace(network.eval())
    modules = dict(traced.named_modules())
    graph, names, result = Graph(), {}, ""
    for node in traced.graph.nodes:
        given = [names[a] for a in node.all_input_nodes]
        if node.op == "placeholder":
            names[node] = "input"
        elif node.op == "call_module":
            names[node] = _layer(graph, modules[str(node.target)], given[0])
        elif node.op == "output":
            result = graph.node("Identity", given[0])
        else:
            names[node] = _function(graph, node, given)
    return graph.to_bytes(
        [("input", "float32", ("batch", *input_shape))],
        [(result, "float32", ("batch", *output_shape))],
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(np.float32)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _layer(graph: Graph, layer: nn.Module, x: str) -> str:
    if isinstance(layer, nn.Conv2d):
        down, across = _pair(layer.padding)
        extra = [] if layer.bias is None else [graph.constant(_array(layer.bias))]
        return graph.node(
            "Conv",
            x,
            graph.constant(_array(layer.weight)),
            *extra,
            kernel_shape=_pair(layer.kernel_size),
            strides=_pair(layer.stride),
            pads=(down, across, down, across),
            group=layer.groups,
        )
    if isinstance(layer, nn.BatchNorm2d):
        parts = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        held = [graph.constant(_array(part)) for part in parts if part is not None]
        return graph.node("BatchNormalization", x, *held, epsilon=float(layer.eps))
    if isinstance(layer, nn.Linear):
        held = [graph.constant(_array(layer.weight)), graph.constant(_array(layer.bias))]
        return graph.node("Gemm", x, *held, transB=1)
    if isinstance(layer, nn.MaxPool2d):
        pad = _pair(layer.padding)
        sizes = {"kernel_shape": _pair(layer.kernel_size), "strides": _pair(layer.stride)}
        return graph.node("MaxPool", x, pads=(*pad, *pad), **sizes)
    if isinstance(layer, nn.Upsample) and layer.scale_factor is not None:
        return _resized(graph, layer, x)
    simple = {
        nn.ReLU: "Relu",
        nn.Sigmoid: "Sigmoid",
        nn.AdaptiveAvgPool2d: "GlobalAveragePool",
        nn.Flatten: "Flatten",
    }
    for kind, op in simple.items():
        if isinstance(layer, kind):
            return graph.node(op, x)
    raise WeightError(f"layer {type(layer).__name__} has no place in an ONNX file of emohead")


def _resized(graph: Graph, layer: nn.Upsample, x: str) -> str:
    down, across = (float(f) for f in np.broadcast_to(np.array(layer.scale_factor), (2,)))
    scales = graph.constant(np.array([1, 1, down, across], np.float32))
    if layer.mode == "nearest":
        how = {"mode": "nearest", "nearest_mode": "floor"}
        return graph.node(
            "Resize", x, "", scales, coordinate_transformation_mode="asymmetric", **how
        )
    place = "align_corners" if layer.align_corners else "half_pixel"
    return graph.node("Resize", x, "", scales, mode="linear", coordinate_transformation_mode=place)


def _function(graph: Graph, node: fx.Node, given: list[str]) -> str:
    if node.target is torch.cat:
        return graph.node("Concat", *given, axis=1)
    ops: dict[Any, str] = {operator.add: "Add", operator.mul: "Mul"}
    if node.target in ops and len(node.args) == 2:
        if len(given) == 1:  # x + x, x * x
            given = given * 2
        return graph.node(ops[node.target], *given)
    raise WeightError(f"function {node.target} has no place in an ONNX file of emohead")
