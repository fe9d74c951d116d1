"""Checks a model in ONNX: it may hold only our models' arithmetic, and weights in the package's own files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.errors import UserError

_OPERATORS = """
Add Cast CastLike Clip Concat Constant ConstantOfShape Cos Div Einsum Equal Exp Expand EyeLike Gather Gelu Identity
LayerNormalization Log MatMul Max Min Mul Neg Not Pow Reciprocal ReduceLogSumExp ReduceMean ReduceSum Relu Reshape
ScatterElements SequenceAt Shape Sigmoid Sin Slice Softmax SplitToSequence Sqrt Squeeze Sub Tanh TopK Transpose
Unsqueeze Where
"""
OPERATORS = frozenset(_OPERATORS.split())
"""What a node may be, in ONNX's own domain: those that exports of our models hold."""
_DATA = ".data"


def check_onnx(path: Path) -> None:
    """Raises UserError where a model is none, or holds more than exports of our models do; the extra `serve` is needed.

    ONNX Runtime would read any file that a tensor names, and run operators of any domain.
    """
    onnx: Any = import_module("onnx")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # protobuf has its own
        raise UserError(f"{path}: expected a model in ONNX, found something else") from None
    graph = model.graph
    domains = {each.domain for each in model.opset_import} | {node.domain for node in graph.node}
    if domains != {""}:
        raise UserError(
            f"{path}: expected operators of ONNX's own domain alone, found those of {sorted(domains - {''})}"
        )
    if model.functions or model.training_info or graph.sparse_initializer or graph.quantization_annotation:
        raise UserError(f"{path}: expected a graph and its weights, found functions, training or sparse tensors beside")
    kinds = onnx.AttributeProto
    plain = {kinds.FLOAT, kinds.INT, kinds.STRING, kinds.TENSOR, kinds.FLOATS, kinds.INTS, kinds.STRINGS}
    for node in graph.node:
        if node.op_type not in OPERATORS:
            raise UserError(f"{path}: expected an operator that our models use, found '{node.op_type[:100]}'")
        for each in node.attribute:
            if each.type not in plain or each.ref_attr_name:
                raise UserError(
                    f"{path}: expected numbers and texts for '{node.op_type}', found a graph or a reference"
                )
    data = path.with_name(path.name + _DATA)
    there = data.stat().st_size if data.is_file() else 0
    for tensor in _tensors(graph):
        if reason := _wrong(tensor, data.name, there, onnx):
            raise UserError(f"{path}: expected '{tensor.name[:100]}' to {reason}")


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        yield from (each.t for each in node.attribute if each.HasField("t"))


def _wrong(tensor: Any, data: str, there: int, onnx: Any) -> str | None:
    """The expectation that a tensor does not meet, as words; None if it meets all."""
    try:
        item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:
        return "be of numbers, found another type"
    if any(size < 0 for size in tensor.dims):
        return f"have sizes from 0 on, found {list(tensor.dims)}"
    wanted = math.prod(tensor.dims) * item
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        held = len(tensor.raw_data) or item * max(
            map(len, (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data))
        )
        return None if held == wanted else f"hold {wanted:,} bytes as its sizes say, found {held:,}"
    facts = {each.key: each.value for each in tensor.external_data}
    return None if _is_within(facts, wanted, data, there) else f"lie within {data} with {wanted:,} bytes, found {facts}"


def _is_within(facts: dict[str, str], wanted: int, data: str, there: int) -> bool:
    numbers = [facts.get("offset", "0"), facts.get("length", "")]
    if facts.get("location") != data or not set(facts) <= {"location", "offset", "length", "checksum"}:
        return False
    if not all(each.isascii() and each.isdecimal() and len(each) < 16 for each in numbers):
        return False
    offset, length = map(int, numbers)
    return length == wanted and offset + length <= there
