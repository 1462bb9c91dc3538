"""Convolutional networks in 8 bits: ranges of activations, weights as integers, one ONNX file.

The file holds QuantizeLinear and DequantizeLinear pairs (ONNX "QDQ"), which OpenVINO and ONNX
Runtime turn into integer convolutions. Weights are symmetric, one scale an output channel, and
take 7 bits: a sum of two products of an unsigned and a signed byte then fits into 16 bits, so
processors without VNNI, which add such pairs with saturation, give the same numbers as those that
have it. Activations are unsigned bytes with one scale a tensor.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.errors import WeightError

Range = tuple[float, float]
"""Smallest and largest value; zero lies between them."""

WEIGHT_LEVELS = 63
"""Largest integer of a weight."""


def folded(network: nn.Module) -> fx.GraphModule:
    """The traced network with each normalisation that follows a convolution taken into it."""
    traced = fx.symbolic_trace(network.eval())
    modules: dict[str, Any] = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        if not _is(node, modules, nn.BatchNorm2d):
            continue
        before = node.args[0]
        if not _is(before, modules, nn.Conv2d) or len(before.users) > 1:
            continue
        joined = fuse_conv_bn_eval(modules[before.target], modules[node.target])
        traced.set_submodule(str(before.target), joined)
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.recompile()
    return traced


def activation_ranges(
    network: fx.GraphModule,
    pictures: Iterable[Float32[np.ndarray, "1 channels height width"]],
    keep: tuple[str, ...] = (),
) -> dict[str, Range]:
    """Range of every value that a convolution over a map reads, by the name of its node.

    Extremes are averaged over pictures: one odd pixel of one picture must not coarsen all.

    Args:
        network: as `folded` gives it.
        pictures: what it will see.
        keep: names of convolutions that stay in floating point.

    Raises:
        WeightError: there is no picture.
    """
    watch = _Watch(network, keep)
    with torch.inference_mode():
        for picture in pictures:
            watch.run(torch.from_numpy(picture))
    if not watch.seen:
        raise WeightError("ranges of activations need pictures, none was given")
    return {
        name: (min(float(np.mean(lows)), 0.0), max(float(np.mean(highs)), 1e-6))
        for name, (lows, highs) in watch.seen.items()
    }


def read_by_convolutions(network: fx.GraphModule, keep: tuple[str, ...] = ()) -> set[str]:
    """Names of the nodes whose value some convolution takes; 1x1 maps are not worth it."""
    modules = dict(network.named_modules())
    pooled = (nn.AdaptiveAvgPool2d, nn.ReLU, nn.Sigmoid)
    names = set()
    for node in network.graph.nodes:
        if not _is(node, modules, nn.Conv2d) or node.target in keep:
            continue
        source = node.args[0]
        if _is(source, modules, pooled) and _after_pool(source, modules):
            continue
        names.add(source.name)
    return names


class _Watch(fx.Interpreter):
    """Runs a network and notes what flows into its convolutions."""

    def __init__(self, network: fx.GraphModule, keep: tuple[str, ...]) -> None:
        super().__init__(network)
        self.watched = read_by_convolutions(network, keep)
        self.seen: dict[str, tuple[list[float], list[float]]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self.watched:
            lows, highs = self.seen.setdefault(n.name, ([], []))
            lows.append(float(value.min()))
            highs.append(float(value.max()))
        return value


def _is(node: Any, modules: Mapping[str, nn.Module], kind: Any) -> bool:
    return (
        isinstance(node, fx.Node)
        and node.op == "call_module"
        and isinstance(modules[str(node.target)], kind)
    )


def _after_pool(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether a value is a 1x1 map: it comes from a global mean by way of 1x1 layers only."""
    while _is(node, modules, (nn.ReLU, nn.Sigmoid, nn.Conv2d)):
        node = node.all_input_nodes[0]
    return _is(node, modules, nn.AdaptiveAvgPool2d)


def activation_steps(span: Range) -> tuple[float, int]:
    """Scale and zero point of an unsigned byte that covers a range.

    >>> activation_steps((0.0, 2.55))
    (0.01, 0)
    """
    low, high = span
    scale = (high - low) / 255
    return scale, round(-low / scale)


def weight_steps(
    weight: Float32[np.ndarray, "made taken down across"],
) -> tuple[np.ndarray, Float32[np.ndarray, " made"]]:
    """Integers and one scale an output channel: weight = integer x scale."""
    top = np.abs(weight).max(axis=(1, 2, 3))
    scale = (np.maximum(top, 1e-12) / WEIGHT_LEVELS).astype(np.float32)
    return np.round(weight / scale[:, None, None, None]).astype(np.int8), scale
