"""A model as a `pt2` archive of torch.export, without pickles; read only if its graph is plain.

torch looks up and calls any operator that a graph names, parses sizes with sympy, writes names into Python source that
it runs, and imports modules that a pytree names. So a graph may hold only what the graphs of our own models do: a text
is an identifier, a name on one of the lists below, or a size in one form; otherwise the archive is refused before torch
reads it. An archive that would take too much memory or time (`bench.production.bounds`) is refused before it runs.

torch.export keeps graph, weights and their shapes as JSON and bytes; it would pickle only sample inputs, and weights
that are no plain tensors.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram

from bench.core.errors import UserError
from bench.core.schema import Schema
from bench.production import bounds
from bench.production.served_model import ServedModel

_ATEN = """
_assert_tensor_metadata.default add.Tensor alias.default arange.default clamp.default cos.default detach.default
div.Tensor dropout.default erf.default exp.default gelu.default gt.Scalar gt.Tensor log.default log_sigmoid.default
logical_or.default logsumexp.default
masked_fill.Scalar maximum.default minimum.default mul.Tensor ne.Scalar ne.Tensor neg.default relu.default rsqrt.default
sigmoid.default silu.default sin.default square.default sub.Tensor tanh.default to.dtype where.self

bmm.default einsum.default layer_norm.default mean.dim softmax.int sum.dim_IntList

cat.default contiguous.default diagonal.default embedding.default expand.default flatten.using_ints full_like.default
index_select.default new_zeros.default permute.default repeat_interleave.self_int reshape.default scatter.value
select.int slice.Tensor split_with_sizes.default stack.default t.default topk.default transpose.int
unbind.int unsqueeze.default view.default

promote_types.default sym_size.int
"""  # element by element; sums and products; other shapes and choices of rows or columns; of shapes and types
OF_PLUGINS = frozenset(["torch.ops.aten.linear.default", "torch.ops.aten.matmul.default"])
"""`nn.Linear` and `@`, which plug-ins use; our models do not."""
OPERATORS = OF_PLUGINS | {*(f"torch.ops.aten.{name}" for name in _ATEN.split()), "_operator.mul"}
"""Allowed targets of a node: the operators in exports of our models. `_operator.mul` multiplies sizes: the rows of an
ensemble are members times samples."""

_ARGUMENTS = {"as_tensor", "as_tensors", "as_int", "as_ints", "as_float", "as_bool", "as_none", "as_string"}
_ARGUMENTS |= {"as_sym_int", "as_sym_ints", "as_scalar_type", "as_layout", "as_memory_format", "as_device"}
_ARGUMENTS |= {"as_expr", "as_name"}
_EMPTY = {"metadata", "treespec_namedtuple_fields", "guards_code"}
_EMPTY |= {"custom_obj_values", "sym_bool_values", "sym_float_values"}
_IDENTIFIERS = ("name", "as_name", "forward_arg_names")
_NAME = re.compile(r"[A-Za-z_]\w{0,999}", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z0-9]\w*(?:\.[A-Za-z0-9]\w*)*)?", re.ASCII)
_EQUATION = re.compile(r"[a-z]{0,8}(?:,[a-z]{0,8}){0,3}->[a-z]{0,8}|none|tanh")  # of einsum; gelu's form
_VERSION = re.compile(r"[\w.+]{1,64}", re.ASCII)
_INTEGER, _SYMBOL = r"Integer\(\d{1,15}\)", r"Symbol\('s\d{1,4}'(?:, (?:positive|nonnegative|integer)=True)*\)"
_FACTOR = rf"(?:{_INTEGER}|{_SYMBOL})"
_PRODUCT = rf"(?:{_FACTOR}|Mul\({_FACTOR}(?:, {_FACTOR}){{1,3}}\))"
_PLAIN_PRODUCT = r"(?:\d{1,15}\*)?s\d{1,4}|\d{1,15}"
_SIZE = re.compile(rf"{_PRODUCT}|Add\({_PRODUCT}(?:, {_PRODUCT}){{1,3}}\)|{_PLAIN_PRODUCT}")
_LARGEST = 2**63 - 1
_TREE = {"builtins.tuple": (None, "null"), "builtins.dict": ("[]",), None: (None,)}


def check_graph(document: Any, where: str) -> None:
    """Raises UserError if the JSON of a graph holds more than our own graphs do."""
    for key, value in _parts(document):
        if reason := _wrong(key, value):
            raise UserError(f"{where}: {reason}")
    if not isinstance(document, dict) or not isinstance(document.get("graph_module"), dict):
        raise UserError(f"{where}: expected a graph, found none")


def check_weights(document: Any, bytes_of: dict[str, int], where: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors that a configuration of weights or constants lists.

    `bytes_of` has the size of each file of tensors. Raises UserError for a tensor that is pickled, not plain, or does
    not fit its file.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        for name, facts in document["config"].items():
            if facts["use_pickle"]:
                raise UserError(f"{where}: expected plain tensors, found a pickled one, '{name[:100]}'")
            meta = facts["tensor_meta"]
            sizes, strides = ([_whole(each["as_int"]) for each in meta[key]] for key in ("sizes", "strides"))
            offset, item = _whole(meta["storage_offset"]["as_int"]), _ITEM[meta["dtype"]]
            there = bytes_of[facts["path_name"]]
            plain = meta["device"]["type"] == "cpu" and meta["layout"] == _STRIDED and _PATH.fullmatch(name)
            if not plain or len(sizes) != len(strides) or len(sizes) > 8:
                raise UserError(f"{where}: expected a plain tensor, found '{name[:100]}', which is none")
            wanted = math.prod(sizes)
            last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
            if wanted * item > there or (wanted and (last + 1) * item > there):
                raise UserError(f"{where}: expected '{name}' to be within its {there:,} bytes, found {sizes}")
            shapes[name] = tuple(sizes)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{where}: expected a list of tensors with their files, found something else") from None
    return shapes


_STRIDED = 7
_ITEM = {1: 1, 4: 4, 5: 8, 7: 4, 8: 8, 12: 1}
"""torch's number of a type (byte, int32, int64, float32, float64, bool) -> bytes of an element."""


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 2**48:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """Yields every value of a document with its key, in order; items of a list have the list's key."""
    todo: list[tuple[str, Any]] = [("", document)]
    while todo:
        key, value = todo.pop()
        yield key, value
        if isinstance(value, dict):
            todo += reversed(value.items())
        elif isinstance(value, list):
            todo += [(key, each) for each in reversed(value)]


def _wrong(key: str, value: Any) -> str | None:
    """Explains what is wrong with a value, as a sentence; None if nothing is."""
    if key.startswith("as_") and key not in _ARGUMENTS:
        return f"expected tensors and numbers in the graph, found '{key[:40]}'"
    if not (_PATH.fullmatch(key) or _NAME.fullmatch(key)):
        return f"expected plain names, found {key[:100]!r}"
    if isinstance(value, str):
        return _wrong_text(key, value)
    if isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
        return f"{key}: expected a whole number of 64 bits, found a larger one"
    if key in _EMPTY and value:
        return f"expected no {key} in the graph, found some"
    if key == "hint" and value is not None and (not isinstance(value, dict) or set(value) != {"as_int"}):
        return "hint: expected a whole number, found something else"
    return None


def _wrong_text(key: str, value: str) -> str | None:
    if key == "target":
        return None if value in OPERATORS else f"expected an operator that our models use, found {value[:100]!r}"
    if key == "expr_str":
        fits = _SIZE.fullmatch(value)
        return None if fits else f"expected a size as a product of numbers and symbols, found {value[:100]!r}"
    if key == "type":
        return None if value == "cpu" else f"expected the device cpu, found {value[:100]!r}"
    if key in ("in_spec", "out_spec"):
        return None if _is_plain_tree(value) else f"{key}: expected tuples of tensors, found {value[:100]!r}"
    forms = {"as_string": _EQUATION, "torch_version": _VERSION} | dict.fromkeys(_IDENTIFIERS, _NAME)
    form = forms.get(key, _PATH)
    return None if form.fullmatch(value) else f"{key}: expected a plain name, found {value[:100]!r}"


def _is_plain_tree(text: str) -> bool:
    """Whether a pytree consists of tuples and of dictionaries without keys: others would import modules."""
    try:
        version, tree = json.loads(text)
        todo = [tree]
        while todo:
            node = todo.pop()
            if set(node) != {"type", "context", "children_spec"} or node["context"] not in _TREE[node["type"]]:
                return False
            todo += node["children_spec"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return bool(version == 1)


_MAX_JSON = 2**26
"""Largest size of a graph as JSON, in bytes."""
_PLAIN = re.compile(
    r"[^/]+/(?P<name>data/weights/weight_\d+|data/constants/tensor_\d+"
    r"|data/(weights|constants)/model_(weights|constants)_config\.json"
    r"|models/model\.json|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|\.data/\w+"
    r"|\.format_version|\.storage_alignment)"
)
_GRAPH, _TENSORS = "models/model.json", ("weights", "constants")


def export(model: ServedModel, schema: Schema) -> ExportedProgram:
    """Exports the graph of a model, for batches of any size, none included."""
    rows = 3  # more than one: a batch of one would become a constant
    ids = torch.zeros(rows, schema.slots, dtype=torch.int32)
    dense = torch.zeros(rows, len(schema.dense))
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (ids, dense), dynamic_shapes=({0: batch}, {0: batch}))
    for node in program.graph.nodes:
        node.meta = {key: value for key, value in node.meta.items() if key == "val"}  # the rest is about the exporter
    program._guards_code = []  # texts that torch would compile; the scorer checks sizes
    return program


def save(program: ExportedProgram, path: Path) -> None:
    """Writes an archive."""
    program.example_inputs = None  # else they are pickled
    torch.export.save(program, path)
    check(path)


def load(path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> ExportedProgram:
    """Reads an archive whose weights must have these `shapes`, by name.

    Raises UserError if it is no archive, holds more than graph and weights, or would take too much memory or time.
    """
    own = check(path)
    if shapes is not None and own != shapes:
        name = next(each for each in (*shapes, *own) if own.get(each) != shapes.get(each))
        raise UserError(
            f"{path}: expected weights as the configuration makes them, '{name}' of shape {shapes.get(name, 'none')}, "
            f"found {own.get(name, 'none')}"
        )
    try:
        program: ExportedProgram = torch.export.load(path)
        _check_sizes(program, path)
    except UserError:
        raise
    except Exception as error:  # torch raises many types for an invalid graph
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:500]
        raise UserError(f"{path}: expected a model that torch {torch.__version__} can read: {reason}") from None
    return program


def check(path: Path) -> dict[str, tuple[int, ...]]:
    """Checks an archive before torch reads it; returns name -> shape of its weights, or raises UserError."""
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = _sizes(archive, path)
            entries = zip(sizes, archive.infolist(), strict=True)
            texts = {name: archive.read(entry) for name, entry in entries if name.endswith(".json")}
        _check_same(path, texts)
        check_graph(json.loads(texts[_GRAPH]), f"{path}: {_GRAPH}")
        weights, _ = (_tensors(kind, texts, sizes, path) for kind in _TENSORS)
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, NotImplementedError, EOFError, RuntimeError):
        raise UserError(f"{path}: expected a pt2 archive of torch.export, found something else") from None
    return weights


def _sizes(archive: zipfile.ZipFile, path: Path) -> dict[str, int]:
    """Name -> bytes of each file in an archive, in order; none is compressed, so sizes are bounded by the archive's."""
    sizes: dict[str, int] = {}
    for entry in archive.infolist():
        match = _PLAIN.fullmatch(entry.filename)
        if match is None or ("sample_inputs" in entry.filename and entry.file_size):
            raise UserError(f"{path}: expected plain weights and a graph, found '{entry.filename}', which is neither")
        if (
            entry.compress_type != zipfile.ZIP_STORED
            or entry.file_size != entry.compress_size
            or match["name"] in sizes
        ):
            raise UserError(f"{path}: expected each file once and unpacked, found '{entry.filename}' otherwise")
        sizes[match["name"]] = entry.file_size
    largest = max((size for name, size in sizes.items() if name.endswith(".json")), default=0)
    if sum(sizes.values()) > path.stat().st_size or largest > _MAX_JSON:
        raise UserError(f"{path}: expected a graph of at most {_MAX_JSON:,} bytes, found more than that or the file")
    return sizes


def _check_same(path: Path, texts: Mapping[str, bytes]) -> None:
    """Checks that torch's own reader of archives reads the checked contents."""
    reader = torch._C.PyTorchFileReader(str(path))
    if any(reader.get_record(name) != text for name, text in texts.items()):
        raise UserError(f"{path}: expected an archive that every reader reads alike, found one that is none")


def _tensors(kind: str, texts: Mapping[str, bytes], sizes: Mapping[str, int], path: Path) -> dict[str, tuple[int, ...]]:
    name, folder = f"data/{kind}/model_{kind}_config.json", f"data/{kind}/"
    there = {each.removeprefix(folder): size for each, size in sizes.items() if each.startswith(folder)}
    return check_weights(json.loads(texts[name]), there, f"{path}: {name}")


def _check_sizes(program: ExportedProgram, path: Path) -> None:
    shapes = {node.name: node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder"}
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            ids = torch.zeros(bounds.ROWS, *shapes["ids"][1:], dtype=torch.int32)
            bounds.check(program.module(), ids, torch.zeros(bounds.ROWS, *shapes["dense"][1:]))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
