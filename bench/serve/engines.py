"""Engines that run a packaged model: each maps arrays to arrays, on n threads. Also writes ONNX,
and checks it.

A model in ONNX may hold only our models' arithmetic, and weights in the package's own files.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.export import ExportedProgram

from bench.core.arrays import Ids, Singles
from bench.core.errors import UserError, adding, check_known, listed
from bench.core.plugins import Registry
from bench.core.schema import Schema
from bench.core.system.machine import installed
from bench.serve import bounds
from bench.serve.served_model import ModelSpec, ServedModel

MODEL, ONNX = "model.safetensors", "model.onnx"
Engine = Callable[[Ids, Singles], tuple[Singles, Singles]]
"""ids (B, S), dense (B, D) -> conditional and joint (B, T); B may be 0."""


def eager(folder: Path, spec: ModelSpec, threads: int) -> Engine:
    """The trained modules, with the compiled passes of `bench.models.kernels`."""
    path = folder / MODEL
    weights = _weights(path, spec)  # checked before a model is built
    _check_trees(path, spec, weights)
    _check_bounds(path, spec)
    model = spec.build()
    model.load_state_dict(weights)
    return _torch(model, threads)


def _weights(path: Path, spec: ModelSpec) -> dict[str, torch.Tensor]:
    """The weights in a file; raises UserError if they are not as the configuration makes them."""
    expected = {name: (str(each.dtype), tuple(each.shape)) for name, each in spec.weights().items()}
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: expected weights in a safetensors file: {_last_line(error)}"
        ) from None
    own = {name: (str(each.dtype), tuple(each.shape)) for name, each in weights.items()}
    if own != expected:
        name = next(each for each in (*expected, *own) if own.get(each) != expected.get(each))
        raise UserError(
            f"{path}: expected weights as the configuration makes them, '{name[:100]}' "
            f"{expected.get(name, 'none')}, found {own.get(name, 'none')}"
        )
    return weights


def _check_trees(path: Path, spec: ModelSpec, weights: Mapping[str, torch.Tensor]) -> None:
    if (reason := spec.wrong(weights)) is not None:
        raise UserError(f"{path}: expected {reason}")


def _trees_of(path: Path, spec: ModelSpec) -> dict[str, torch.Tensor]:
    """The arrays of trees in a checked ONNX model; unused ones are not in it, and 0 here."""
    onnx: Any = import_module("onnx")
    of_trees = tuple(prefix for prefix, _ in spec.trees)
    weights = spec.weights().items()
    arrays = {name: torch.zeros(each.shape) for name, each in weights if name.startswith(of_trees)}
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        if tensor.name in arrays:
            own = torch.from_numpy(
                onnx.numpy_helper.to_array(tensor, base_dir=str(path.parent)).copy()
            )
            if own.shape != arrays[tensor.name].shape:
                raise UserError(
                    f"{path}: expected '{tensor.name}' of another shape, found {tuple(own.shape)}"
                )
            arrays[tensor.name] = own
    return arrays


def _check_bounds(path: Path, spec: ModelSpec) -> None:
    with torch.device("meta"):
        ids = torch.zeros(bounds.ROWS, spec.schema.slots, dtype=torch.int32)
        try:
            bounds.check(spec.build(), ids, torch.zeros(bounds.ROWS, len(spec.schema.dense)))
        except UserError as error:
            raise UserError(f"{path}: the model of its configuration: {error}") from None


def onnx(folder: Path, spec: ModelSpec, threads: int) -> Engine:
    """ONNX Runtime; raises UserError if it is not installed, or the package was made without it."""
    for module in ("onnxruntime", "onnx"):
        need(module, "to run a model in ONNX Runtime")
    path = folder / ONNX
    if not path.is_file():
        raise UserError(
            f"expected a {ONNX} in {folder}, found none: it was packaged without the extra 'serve'"
        )
    check_onnx(path)
    if spec.trees:
        _check_trees(path, spec, _trees_of(path, spec))
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # errors are raised as well
    options.add_session_config_entry("session.use_env_allocators", "1")
    _bound_memory(runtime)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where it prints that it tries again
            session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(
            f"{path}: expected a model that ONNX Runtime can read: {_last_line(error)}"
        ) from None
    asked = {each.name for each in session.get_inputs()}  # without unused inputs
    if not asked <= {"ids", "dense"} or len(session.get_outputs()) != 2:
        raise UserError(
            f"{path}: expected ids and dense to give two outputs, found {', '.join(sorted(asked))}"
        )

    def run(ids: Ids, dense: Singles) -> tuple[Singles, Singles]:
        rows = len(ids)
        if rows == 0:  # an empty batch crashes ONNX Runtime
            ids, dense = (
                np.zeros((1, *ids.shape[1:]), np.int32),
                np.zeros((1, *dense.shape[1:]), np.float32),
            )
        given = {"ids": ids, "dense": dense}
        conditional, joint = session.run(None, {name: given[name] for name in asked})
        return conditional[:rows], joint[:rows]

    return _checked(run, path, len(spec.schema.tasks))


@cache
def _bound_memory(runtime: Any) -> None:
    """Makes all sessions of this process share one memory arena of bounded size."""
    arena = runtime.OrtArenaCfg(installed() // 2, -1, -1, -1)
    place = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    runtime.create_and_register_allocator(place, arena)


_OURS: dict[str, Callable[[Path, ModelSpec, int], Engine]] = {"eager": eager, "onnx": onnx}
ENGINES = Registry("engine", _OURS, Callable, "a function (folder, spec, threads)")


def open_engine(name: str, folder: Path, spec: ModelSpec, threads: int = 1) -> Engine:
    """Opens the package in a folder with an engine; raises UserError for an unknown or unavailable
    one.
    """
    check_known("engine", name, ENGINES)
    return ENGINES[name](folder, spec, threads)


def without_onnx() -> str:
    """The reason why no model can be written in ONNX and checked; empty if it can."""
    absent = [
        module for module in ("onnx", "onnxscript", "onnxruntime") if find_spec(module) is None
    ]
    if not absent:
        return ""
    return (
        f"{listed(absent)} {'is' if len(absent) == 1 else 'are'} not installed; {adding('serve')}"
    )


def need(module: str, why: str) -> None:
    """Raises UserError if a package of the extra `serve` is not installed."""
    if find_spec(module) is None:
        raise UserError(f"expected {module} {why}, found none installed; {adding('serve')}")


def _checked(engine: Engine, path: Path, tasks: int) -> Engine:
    """Wraps an engine whose graph was read from a file: raises UserError if it fails or gives
    another shape.
    """

    def run(ids: Ids, dense: Singles) -> tuple[Singles, Singles]:
        try:
            predictions = engine(ids, dense)
        except Exception as error:
            raise UserError(
                f"{path}: expected a graph that can be run: {_last_line(error)}"
            ) from None
        if any(each.shape != (len(ids), tasks) for each in predictions):
            shapes = " and ".join(str(each.shape) for each in predictions)
            raise UserError(
                f"{path}: expected predictions of shape {(len(ids), tasks)}, found {shapes}"
            )
        return predictions

    return run


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:500]


def _torch(model: Callable[..., tuple[torch.Tensor, torch.Tensor]], threads: int) -> Engine:
    def run(ids: Ids, dense: Singles) -> tuple[Singles, Singles]:
        if (
            torch.get_num_threads() != threads
        ):  # a setting of the process, which may hold several engines
            torch.set_num_threads(threads)
        with torch.inference_mode():
            conditional, joint = model(torch.from_numpy(ids), torch.from_numpy(dense))
        return conditional.numpy(), joint.numpy()

    return run


def write_weights(model: ServedModel, path: Path) -> None:
    """Writes a model's weights as plain data."""
    save_file({name: each.contiguous() for name, each in model.state_dict().items()}, path)


def export(model: ServedModel, schema: Schema) -> ExportedProgram:
    """Exports the graph of a model, for batches of any size, none included."""
    rows = 3  # more than one: a batch of one would become a constant
    ids = torch.zeros(rows, schema.slots, dtype=torch.int32)
    dense = torch.zeros(rows, len(schema.dense))
    batch = torch.export.Dim("batch")
    return torch.export.export(model, (ids, dense), dynamic_shapes=({0: batch}, {0: batch}))


def write_onnx(model: ServedModel, schema: Schema, path: Path) -> None:
    """Writes `path` and, with the weights, `path` + `.data`; raises UserError without the extra
    `serve`.
    """
    for module in ("onnx", "onnxscript"):
        need(module, "to write a model in ONNX")
    program = export(model, schema)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch warns about its own exporter
        noise = logging.getLogger("torch.onnx")
        level = noise.level
        noise.setLevel(logging.ERROR)
        try:
            made = torch.onnx.export(
                program,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=["ids", "dense"],
                output_names=["conditional", "joint"],
            )
        finally:
            noise.setLevel(level)
    assert made is not None
    for node in (
        made.model.graph.all_nodes()
    ):  # lines of source code with their paths, nine tenths of the file
        node.metadata_props.clear()
    made.save(path, external_data=True)


_OPERATORS = """
Add Cast CastLike Clip Concat Constant ConstantOfShape Div Einsum Equal Erf Exp Expand EyeLike
Gather Gelu Gemm Greater Identity LayerNormalization Log MatMul Max Min Mul Neg Not Or Pow Range
Reciprocal ReduceLogSumExp ReduceMean ReduceSum Relu Reshape ScatterElements SequenceAt Shape
Sigmoid Slice Softmax SplitToSequence Sqrt Squeeze Sub Tanh TopK Transpose Unsqueeze Where
"""
OPERATORS = frozenset(_OPERATORS.split())
"""Allowed operators of a node, in ONNX's own domain: those in exports of our models, and
`nn.Linear`'s in a plug-in.
"""
_DATA = ".data"


def check_onnx(path: Path) -> None:
    """Raises UserError if a file is no ONNX model, or holds more than exports of our models do;
    needs the extra `serve`.

    ONNX Runtime would read any file that a tensor names, and run operators of any domain.
    """
    onnx: Any = import_module("onnx")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # protobuf raises its own types
        raise UserError(f"{path}: expected a model in ONNX, found something else") from None
    graph = model.graph
    domains = {each.domain for each in model.opset_import} | {node.domain for node in graph.node}
    if domains != {""}:
        raise UserError(
            f"{path}: expected operators of ONNX's own domain alone, found those of "
            f"{sorted(domains - {''})}"
        )
    if (
        model.functions
        or model.training_info
        or graph.sparse_initializer
        or graph.quantization_annotation
    ):
        raise UserError(
            f"{path}: expected a graph and its weights, found functions, training or sparse "
            "tensors beside"
        )
    kinds = onnx.AttributeProto
    plain = {
        kinds.FLOAT,
        kinds.INT,
        kinds.STRING,
        kinds.TENSOR,
        kinds.FLOATS,
        kinds.INTS,
        kinds.STRINGS,
    }
    for node in graph.node:
        if node.op_type not in OPERATORS:
            raise UserError(
                f"{path}: expected an operator that our models use, found '{node.op_type[:100]}'"
            )
        for each in node.attribute:
            if each.type not in plain or each.ref_attr_name:
                raise UserError(
                    f"{path}: expected numbers and texts for '{node.op_type}', found a graph or a "
                    "reference"
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
    """The expectation that a tensor violates, as words; None if it meets all."""
    try:
        item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:
        return "be of numbers, found another type"
    if any(size < 0 for size in tensor.dims):
        return f"have sizes from 0 on, found {list(tensor.dims)}"
    wanted = math.prod(tensor.dims) * item
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        held = len(tensor.raw_data) or item * max(
            map(
                len,
                (
                    tensor.float_data,
                    tensor.int32_data,
                    tensor.int64_data,
                    tensor.double_data,
                    tensor.uint64_data,
                ),
            )
        )
        return None if held == wanted else f"hold {wanted:,} bytes as its sizes say, found {held:,}"
    facts = {each.key: each.value for each in tensor.external_data}
    return (
        None
        if _is_within(facts, wanted, data, there)
        else f"lie within {data} with {wanted:,} bytes, found {facts}"
    )


def _is_within(facts: dict[str, str], wanted: int, data: str, there: int) -> bool:
    numbers = [facts.get("offset", "0"), facts.get("length", "")]
    if facts.get("location") != data or not set(facts) <= {
        "location",
        "offset",
        "length",
        "checksum",
    }:
        return False
    if not all(each.isascii() and each.isdecimal() and len(each) < 16 for each in numbers):
        return False
    offset, length = map(int, numbers)
    return length == wanted and offset + length <= there
