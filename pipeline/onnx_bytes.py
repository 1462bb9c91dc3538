"""ONNX files written directly: the part of the format that small convolutional networks need.

The message numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/v1.16.0/onnx/onnx.proto),
the encoding is protobuf's (https://protobuf.dev/programming-guides/encoding). PyTorch's exporters
need packages that emohead does not install; this needs none.
"""

import struct
from collections.abc import Iterable, Sequence

import numpy as np

OPSET = 17
IR_VERSION = 8
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_VARINT, _BYTES, _FLOAT = 0, 2, 5

Attribute = int | float | str | Sequence[int]


class Graph:
    """Nodes and constants under way; every node has one output, whose name is returned."""

    def __init__(self) -> None:
        """Empty."""
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, array: np.ndarray) -> str:
        """Name of a tensor that is part of the file."""
        name = f"c{len(self._constants)}"
        # dims = 1, data_type = 2, name = 8, raw_data = 9
        body = b"".join(_number(1, size) for size in array.shape)
        body += _number(2, _TYPES[str(array.dtype)]) + _block(8, name.encode())
        self._constants.append(body + _block(9, np.ascontiguousarray(array).tobytes()))
        return name

    def node(self, op: str, *inputs: str, **attributes: Attribute) -> str:
        """Name of the output of an operator; an empty input name leaves an optional input out."""
        name = f"n{len(self._nodes)}"
        # input = 1, output = 2, op_type = 4, attribute = 5
        body = b"".join(_block(1, i.encode()) for i in inputs)
        body += _block(2, name.encode()) + _block(4, op.encode())
        body += b"".join(_block(5, _attribute(k, v)) for k, v in attributes.items())
        self._nodes.append(body)
        return name

    def to_bytes(
        self,
        inputs: Iterable[tuple[str, str, Sequence[int | str]]],
        outputs: Iterable[tuple[str, str, Sequence[int | str]]],
    ) -> bytes:
        """The file; inputs and outputs as (name, dtype, shape), a named size may vary."""
        # node = 1, name = 2, initializer = 5, input = 11, output = 12
        graph = b"".join(_block(1, node) for node in self._nodes) + _block(2, b"emohead")
        graph += b"".join(_block(5, constant) for constant in self._constants)
        graph += b"".join(_block(11, _value(*i)) for i in inputs)
        graph += b"".join(_block(12, _value(*o)) for o in outputs)
        # ir_version = 1, graph = 7, opset_import = 8 (its version = 2)
        return _number(1, IR_VERSION) + _block(7, graph) + _block(8, _number(2, OPSET))


def _value(name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    # TensorShapeProto.dim = 1 of dim_value = 1 | dim_param = 2
    sizes = [_block(2, s.encode()) if isinstance(s, str) else _number(1, s) for s in shape]
    dims = b"".join(_block(1, size) for size in sizes)
    # TypeProto.tensor_type = 1 of elem_type = 1, shape = 2
    tensor = _number(1, _TYPES[dtype]) + _block(2, dims)
    return _block(1, name.encode()) + _block(2, _block(1, tensor))


def _attribute(name: str, value: Attribute) -> bytes:
    # name = 1, f = 2, i = 3, s = 4, ints = 8, type = 20
    body = _block(1, name.encode())
    if isinstance(value, str):
        return body + _block(4, value.encode()) + _number(20, 3)
    if isinstance(value, float):
        return body + _key(2, _FLOAT) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return body + _number(3, value) + _number(20, 2)
    return body + b"".join(_number(8, int(item)) for item in value) + _number(20, 7)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _block(field: int, body: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(body)) + body


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # negative numbers are ten bytes of two's complement
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
