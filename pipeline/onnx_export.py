"""A convolutional PyTorch network as an ONNX file: its traced graph, node by node."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from pipeline.errors import WeightError
from pipeline.onnx_bytes import Graph
from pipeline.quantise import Range, activation_steps, weight_steps


def onnx_of(
    network: nn.Module,
    input_shape: Sequence[int],
    output_shape: Sequence[int],
    ranges: Mapping[str, Range] | None = None,
) -> bytes:
    """The file of a network in evaluation mode, with a free batch size.

    Args:
        network: made of the layers below, one tensor in and one out.
        input_shape: of one item: (channels, height, width).
        output_shape: of one item.
        ranges: of the values that become bytes (`pipeline.quantise`), for a network that is
            `folded`; convolutions that read one of them become integer ones.

    Raises:
        WeightError: a layer that is not among those below.
    """
    traced = network if isinstance(network, fx.GraphModule) else fx.symbolic_trace(network.eval())
    ranges = ranges or {}
    modules = dict(traced.named_modules())
    graph, names, result = Graph(), {}, ""
    for node in traced.graph.nodes:
        given = [names[a] for a in node.all_input_nodes]
        if node.op == "placeholder":
            names[node] = "input"
        elif node.op == "call_module":
            layer = modules[str(node.target)]
            read = ranges.get(node.all_input_nodes[0].name)
            if isinstance(layer, nn.Conv2d) and read is not None:
                names[node] = _integer_convolution(graph, layer, given[0], read)
            else:
                names[node] = _layer(graph, layer, given[0])
        elif node.op == "output":
            result = graph.node("Identity", given[0])
        else:
            names[node] = _function(graph, node, given)
        if node.name in ranges:
            names[node] = _as_bytes(graph, names[node], ranges[node.name])
    return graph.to_bytes(
        [("input", "float32", ("batch", *input_shape))],
        [(result, "float32", ("batch", *output_shape))],
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(np.float32)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _convolution(graph: Graph, layer: nn.Conv2d, x: str, *held: str) -> str:
    down, across = _pair(layer.padding)
    return graph.node(
        "Conv",
        x,
        *held,
        kernel_shape=_pair(layer.kernel_size),
        strides=_pair(layer.stride),
        pads=(down, across, down, across),
        group=layer.groups,
    )


def _as_bytes(graph: Graph, x: str, span: Range) -> str:
    """A value rounded to the steps of an unsigned byte."""
    scale, zero = activation_steps(span)
    steps = graph.constant(np.array(scale, np.float32)), graph.constant(np.array(zero, np.uint8))
    return graph.node("DequantizeLinear", graph.node("QuantizeLinear", x, *steps), *steps)


def _integer_convolution(graph: Graph, layer: nn.Conv2d, x: str, span: Range) -> str:
    """A convolution of bytes: weights as integers, the bias in steps of their products."""
    integers, scale = weight_steps(_array(layer.weight))
    steps = graph.constant(scale), graph.constant(np.zeros(len(scale), np.int8))
    held = [graph.node("DequantizeLinear", graph.constant(integers), *steps, axis=0)]
    if layer.bias is not None:
        product = (scale * activation_steps(span)[0]).astype(np.float32)
        bias = np.round(_array(layer.bias) / product).astype(np.int32)
        parts = graph.constant(product), graph.constant(np.zeros(len(scale), np.int32))
        held.append(graph.node("DequantizeLinear", graph.constant(bias), *parts, axis=0))
    return _convolution(graph, layer, x, *held)


def _layer(graph: Graph, layer: nn.Module, x: str) -> str:
    if isinstance(layer, nn.Conv2d):
        extra = [] if layer.bias is None else [graph.constant(_array(layer.bias))]
        return _convolution(graph, layer, x, graph.constant(_array(layer.weight)), *extra)
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
