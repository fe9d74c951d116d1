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
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
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
from bench.serve.bounds import ROWS, check_bounds
from bench.serve.served_model import ModelSpec, ServedModel, State

MODEL, ONNX = "model.safetensors", "model.onnx"
Predictions = tuple[Singles, Singles]
"""Conditional and joint (B, T)."""
Engine = Callable[[Ids, Singles], Predictions]
"""ids (B, S), dense (B, D) -> conditional and joint (B, T); B may be 0."""


def eager(folder: Path, spec: ModelSpec, threads: int) -> Engine:
    """The trained modules, with the compiled passes of `bench.models.kernels`."""
    path = folder / MODEL
    weights = _weights(path, spec)  # checked before a model is built
    _check_trees(path, spec, weights)
    _check_bounds(path, spec)
    model = spec.build()
    model.load_state_dict(weights)
    return _TorchEngine(model, threads)


@dataclass(frozen=True)
class _TorchEngine:
    model: ServedModel
    threads: int

    def __call__(self, ids: Ids, dense: Singles) -> Predictions:
        # a setting of the process, which may hold several engines
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            conditional, joint = self.model(torch.from_numpy(ids), torch.from_numpy(dense))
        return conditional.numpy(), joint.numpy()


def _weights(path: Path, spec: ModelSpec) -> State:
    """The weights in a file; raises UserError if they are not as the configuration makes them."""
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: expected weights in a safetensors file: {_last_line(error)}"
        ) from None
    expected = _types_and_shapes(spec.weights())
    actual = _types_and_shapes(weights)
    for name in (*expected, *actual):
        if actual.get(name) != expected.get(name):
            raise UserError(
                f"{path}: expected weights as the configuration makes them, '{name[:100]}' "
                f"{expected.get(name, 'none')}, found {actual.get(name, 'none')}"
            )
    return weights


def _types_and_shapes(
    weights: State,
) -> dict[str, tuple[str, tuple[int, ...]]]:
    described = {}
    for name, tensor in weights.items():
        described[name] = str(tensor.dtype), tuple(tensor.shape)
    return described


def _check_trees(path: Path, spec: ModelSpec, weights: State) -> None:
    reason = spec.invalid_trees(weights)
    if reason is not None:
        raise UserError(f"{path}: expected {reason}")


def _check_bounds(path: Path, spec: ModelSpec) -> None:
    schema = spec.schema
    with torch.device("meta"):
        ids = torch.zeros(ROWS, schema.slots, dtype=torch.int32)
        dense = torch.zeros(ROWS, len(schema.dense))
        try:
            check_bounds(spec.build(), ids, dense)
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
        _check_trees(path, spec, _arrays_of_trees(path, spec))

    session = _open_session(path, threads)
    inputs = {node.name for node in session.get_inputs()}  # without unused inputs
    if not inputs <= {"ids", "dense"} or len(session.get_outputs()) != 2:
        raise UserError(
            f"{path}: expected ids and dense to give two outputs, found {', '.join(sorted(inputs))}"
        )
    return _OnnxEngine(session, inputs, path, len(spec.schema.tasks))


@dataclass(frozen=True)
class _OnnxEngine:
    """Runs a graph from a file; raises UserError if it fails or gives another shape."""

    session: Any
    inputs: Set[str]
    path: Path
    tasks: int

    def __call__(self, ids: Ids, dense: Singles) -> Predictions:
        rows = len(ids)
        try:
            conditional, joint = self._run(ids, dense)
        except Exception as error:
            raise UserError(
                f"{self.path}: expected a graph that can be run: {_last_line(error)}"
            ) from None
        expected = rows, self.tasks
        if conditional.shape != expected or joint.shape != expected:
            raise UserError(
                f"{self.path}: expected predictions of shape {expected}, found "
                f"{conditional.shape} and {joint.shape}"
            )
        return conditional, joint

    def _run(self, ids: Ids, dense: Singles) -> Predictions:
        rows = len(ids)
        if rows == 0:  # an empty batch crashes ONNX Runtime
            ids = np.zeros((1, *ids.shape[1:]), np.int32)
            dense = np.zeros((1, *dense.shape[1:]), np.float32)
        arrays = {"ids": ids, "dense": dense}
        inputs = {name: arrays[name] for name in self.inputs}
        conditional, joint = self.session.run(None, inputs)
        return conditional[:rows], joint[:rows]


def _arrays_of_trees(path: Path, spec: ModelSpec) -> State:
    """The arrays of trees in a checked ONNX model; unused ones are not in it, and 0 here."""
    package = import_module("onnx")
    prefixes = tuple(spec.trees)
    arrays = {}
    for name, weight in spec.weights().items():
        if name.startswith(prefixes):
            arrays[name] = torch.zeros(weight.shape)

    for initializer in package.load(path, load_external_data=False).graph.initializer:
        name = initializer.name
        if name not in arrays:
            continue
        array = package.numpy_helper.to_array(initializer, base_dir=str(path.parent))
        if array.shape != arrays[name].shape:
            raise UserError(f"{path}: expected '{name}' of another shape, found {array.shape}")
        arrays[name] = torch.from_numpy(array.copy())
    return arrays


def _open_session(path: Path, threads: int) -> Any:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised as well
    options.add_session_config_entry("session.use_env_allocators", "1")
    _bound_memory(runtime)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where it prints that it tries again
            return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(
            f"{path}: expected a model that ONNX Runtime can read: {_last_line(error)}"
        ) from None


@cache
def _bound_memory(runtime: ModuleType) -> None:
    """Makes all sessions of this process share one memory arena of bounded size."""
    arena = runtime.OrtArenaCfg(installed() // 2, -1, -1, -1)
    cpu = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    runtime.create_and_register_allocator(cpu, arena)


Opener = Callable[[Path, ModelSpec, int], Engine]
_OURS: dict[str, Opener] = {"eager": eager, "onnx": onnx}
ENGINES = Registry("engine", _OURS, Callable, "a function (folder, spec, threads)")


def open_engine(
    name: str,
    folder: Path,
    spec: ModelSpec,
    threads: int = 1,
) -> Engine:
    """Opens the package in a folder with an engine; raises UserError for an unknown or unavailable
    one.
    """
    check_known("engine", name, ENGINES)
    return ENGINES[name](folder, spec, threads)


def without_onnx() -> str:
    """The reason why no model can be written in ONNX and checked; empty if it can."""
    needed = ("onnx", "onnxscript", "onnxruntime")
    absent = [module for module in needed if find_spec(module) is None]
    if not absent:
        return ""
    verb = "is" if len(absent) == 1 else "are"
    return f"{listed(absent)} {verb} not installed; {adding('serve')}"


def need(module: str, why: str) -> None:
    """Raises UserError if a package of the extra `serve` is not installed."""
    if find_spec(module) is None:
        raise UserError(f"expected {module} {why}, found none installed; {adding('serve')}")


def _last_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[-1][:500]


def write_weights(model: ServedModel, path: Path) -> None:
    """Writes a model's weights as plain data."""
    weights = {}
    for name, tensor in model.state_dict().items():
        weights[name] = tensor.contiguous()
    save_file(weights, path)


def export(model: ServedModel, schema: Schema) -> ExportedProgram:
    """Exports the graph of a model, for batches of any size, none included."""
    rows = 3  # more than one: a batch of one would become a constant
    ids = torch.zeros(rows, schema.slots, dtype=torch.int32)
    dense = torch.zeros(rows, len(schema.dense))
    batch = torch.export.Dim("batch")
    any_batch = {0: batch}
    return torch.export.export(model, (ids, dense), dynamic_shapes=(any_batch, any_batch))


def write_onnx(model: ServedModel, schema: Schema, path: Path) -> None:
    """Writes `path` and, with the weights, `path` + `.data`; raises UserError without the extra
    `serve`.
    """
    for module in ("onnx", "onnxscript"):
        need(module, "to write a model in ONNX")
    exported = export(model, schema)
    with _quiet_exporter():
        program = torch.onnx.export(
            exported,
            dynamo=True,
            optimize=False,
            verbose=False,
            input_names=["ids", "dense"],
            output_names=["conditional", "joint"],
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # lines of source code: nine tenths of the file
    program.save(path, external_data=True)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hides what torch prints, and warns, about its own exporter."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


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
_ATTRIBUTES = ("FLOAT", "INT", "STRING", "TENSOR", "FLOATS", "INTS", "STRINGS")
"""Allowed types of a node's attributes."""
_LISTS_OF_VALUES = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
"""Where a tensor holds values by their type."""
_DATA = ".data"


def check_onnx(path: Path) -> None:
    """Raises UserError if a file is no ONNX model, or holds more than exports of our models do;
    needs the extra `serve`.

    ONNX Runtime would read any file that a tensor names, and run operators of any domain.
    """
    package = import_module("onnx")
    try:
        model = package.load(path, load_external_data=False)
    except Exception:  # protobuf raises its own types
        raise UserError(f"{path}: expected a model in ONNX, found something else") from None
    graph = model.graph

    domains = {part.domain for part in (*model.opset_import, *graph.node)}
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
    allowed_types = {getattr(package.AttributeProto, name) for name in _ATTRIBUTES}
    for node in graph.node:
        _check_node(path, node, allowed_types)

    data = path.with_name(path.name + _DATA)
    data_size = data.stat().st_size if data.is_file() else 0
    for tensor in _tensors(graph):
        reason = _reason_against(tensor, data.name, data_size)
        if reason is not None:
            raise UserError(f"{path}: expected '{tensor.name[:100]}' to {reason}")


def _check_node(path: Path, node: Any, allowed_types: Set[int]) -> None:
    if node.op_type not in OPERATORS:
        raise UserError(
            f"{path}: expected an operator that our models use, found '{node.op_type[:100]}'"
        )
    for attribute in node.attribute:
        if attribute.type not in allowed_types or attribute.ref_attr_name:
            raise UserError(
                f"{path}: expected numbers and texts for '{node.op_type}', found a graph or a "
                "reference"
            )


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _reason_against(tensor: Any, data_name: str, data_size: int) -> str | None:
    """The expectation that a tensor violates, as words; None if it meets all.

    `data_name` and `data_size` are of the file of weights beside the graph.
    """
    package = import_module("onnx")
    try:
        item_size = package.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:
        return "be of numbers, found another type"
    if any(size < 0 for size in tensor.dims):
        return f"have sizes from 0 on, found {list(tensor.dims)}"

    expected_size = math.prod(tensor.dims) * item_size
    if tensor.data_location != package.TensorProto.EXTERNAL:
        size = _inner_size(tensor, item_size)
        if size != expected_size:
            return f"hold {expected_size:,} bytes as its sizes say, found {size:,}"
        return None

    facts = {}
    for fact in tensor.external_data:
        facts[fact.key] = fact.value
    if _lies_within(facts, expected_size, data_name, data_size):
        return None
    return f"lie within {data_name} with {expected_size:,} bytes, found {facts}"


def _inner_size(tensor: Any, item_size: int) -> int:
    """Bytes of the values that a tensor holds itself."""
    if tensor.raw_data:
        return len(tensor.raw_data)
    return item_size * max(len(getattr(tensor, name)) for name in _LISTS_OF_VALUES)


def _lies_within(
    facts: dict[str, str],
    expected_size: int,
    data_name: str,
    data_size: int,
) -> bool:
    if facts.get("location") != data_name:
        return False
    if not set(facts) <= {"location", "offset", "length", "checksum"}:
        return False
    numbers = [facts.get("offset", "0"), facts.get("length", "")]
    for text in numbers:
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            return False
    offset, length = map(int, numbers)
    return length == expected_size and offset + length <= data_size
