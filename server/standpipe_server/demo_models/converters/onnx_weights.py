"""Reads the weights back out of an ONNX file, dequantized where the export quantized them.

Knows how torch and onnxruntime name things: parameters keep their dotted names; where torch folded a linear
layer's transposed weight into an unnamed constant, the node that multiplies with it has the layer's path for
a name; onnxruntime stores a quantized tensor ``x`` as ``x_quantized``, ``x_scale`` and ``x_zero_point``.

Not aware of convolutions, of buffers, of layers that share one weight, or of quantized activations: a model
that was quantized with them answers differently without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

_LINEAR = {"Gemm", "MatMul", "MatMulInteger"}
_PARAMETER = (".weight", ".bias")
# What quantizing appends to the name of a tensor, as a node that reads it sees it.
_QUANTIZED = re.compile("_(quantized|DequantizeLinear_Output)$")


def read_onnx(path: Path) -> dict[str, NDArray[np.float32]]:
    """State dict of the model that was exported, as float32."""
    graph = onnx.load(path).graph
    tensors = _tensors(graph)
    weights = {name: tensor for name, tensor in tensors.items() if name.endswith(_PARAMETER)}
    for node in graph.node:
        factor = _QUANTIZED.sub("", node.input[1]) if node.op_type in _LINEAR else ""
        # Attention multiplies too, but what it computed, which no tensor of the file holds.
        if factor in tensors:
            name = factor if factor in weights else f"{_module(node.name)}.weight"
            # torch keeps a linear layer's weight as outputs by inputs; a multiplication needs inputs first.
            weights[name] = tensors[factor] if _attribute(node, "transB", 0) else tensors[factor].T
    # Copied: what lies in the file's own bytes can't be written to, and torch wants it writable.
    return {name: np.array(tensor, np.float32, order="C") for name, tensor in weights.items()}


def _tensors(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    """Every stored tensor under the name that it had before it was quantized."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    axes = {
        node.input[0]: _attribute(node, "axis", 1)
        for node in graph.node
        if node.op_type == "DequantizeLinear"
    }
    return {
        name.removesuffix("_quantized"): _dequantized(name, stored, axes.get(name, -1))
        if name.endswith("_quantized")
        else tensor
        for name, tensor in stored.items()
    }


def _dequantized(name: str, stored: Mapping[str, NDArray[Any]], axis: int) -> NDArray[np.float32]:
    """A tensor's values, of one scale for all or of one each along an axis."""
    tensor, base = stored[name], name.removesuffix("_quantized")
    scale = stored[f"{base}_scale"]
    zero = stored.get(f"{base}_zero_point", np.zeros_like(scale))
    along = [1] * tensor.ndim
    along[axis] = scale.size
    steps = tensor.astype(np.float32) - zero.astype(np.float32).reshape(along)
    values: NDArray[np.float32] = steps * scale.reshape(along)
    return values


def _module(node: str) -> str:
    """Dotted path of the module that a node was traced in: "/encoder/dense/MatMul" is of encoder.dense."""
    return node.strip("/").rpartition("/")[0].replace("/", ".")


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)
