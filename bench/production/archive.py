"""A model as a `pt2` archive of torch.export, without a pickle inside, and read only where there is none.

torch.export keeps graph, weights and their shapes as JSON and bytes; only sample inputs, and weights that are no plain
tensors, would be pickled. Whoever reads an archive runs what its graph says, so that what could be more than a graph of
ours is refused before torch reads it (`plain_graph`), and a graph whose values would be too large before it runs.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves

from bench.errors import UserError
from bench.production.plain_graph import check_graph, check_weights
from bench.production.served_model import ServedModel
from bench.schema import Schema

ROWS = 4096
"""Rows that go through a model at once: what a batch of any size takes of memory is bounded."""
MAX_VALUES = 2**30
"""Numbers that a node of a graph may give for `ROWS` rows."""
_MAX_JSON = 2**28
"""Bytes of a graph as JSON."""
_PLAIN = re.compile(
    r"[^/]+/(?P<name>data/weights/weight_\d+|data/constants/tensor_\d+"
    r"|data/(weights|constants)/model_(weights|constants)_config\.json"
    r"|models/model\.json|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|\.data/\w+"
    r"|\.format_version|\.storage_alignment)"
)
_GRAPH, _TENSORS = "models/model.json", ("weights", "constants")


def export(model: ServedModel, schema: Schema) -> ExportedProgram:
    """The graph of a model, for batches of any size, none included."""
    rows = 3  # more than one: a batch of one would become a constant
    ids = torch.zeros(rows, schema.slots, dtype=torch.int32)
    dense = torch.zeros(rows, len(schema.dense))
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (ids, dense), dynamic_shapes=({0: batch}, {0: batch}))
    for node in program.graph.nodes:
        node.meta = {key: value for key, value in node.meta.items() if key == "val"}  # the rest tells of the exporter
    program._guards_code = []  # texts that torch would compile; sizes are checked by who feeds the model
    return program


def save(program: ExportedProgram, path: Path) -> None:
    """Writes an archive."""
    program.example_inputs = None  # else they are pickled
    torch.export.save(program, path)
    check(path)


def load(path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> ExportedProgram:
    """Reads an archive.

    Args:
        shapes: name -> shape that its weights must have.

    Raises:
        UserError: it is none, holds more than graph and weights, or its values would be too large.
    """
    found = check(path)
    if shapes is not None and found != shapes:
        name = next(each for each in (*shapes, *found) if found.get(each) != shapes.get(each))
        raise UserError(
            f"{path}: expected weights as the configuration makes them, '{name}' of shape {shapes.get(name, 'none')}, "
            f"found {found.get(name, 'none')}"
        )
    try:
        program: ExportedProgram = torch.export.load(path)
        _check_sizes(program, path)
    except UserError:
        raise
    except Exception as error:  # whatever torch says of a graph that is none
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:500]
        raise UserError(f"{path}: expected a model that torch {torch.__version__} can read: {reason}") from None
    return program


def check(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the weights of an archive, of which torch has read nothing yet.

    Raises:
        UserError: it holds what is not plain data.
    """
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
    """Name -> bytes of each file in an archive, in its order; none is packed, so that they are what the file holds."""
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
    """torch has its own reader of archives: what was checked must be what it will read."""
    reader = torch._C.PyTorchFileReader(str(path))
    if any(reader.get_record(name) != text for name, text in texts.items()):
        raise UserError(f"{path}: expected an archive that every reader reads alike, found one that is none")


def _tensors(kind: str, texts: Mapping[str, bytes], sizes: Mapping[str, int], path: Path) -> dict[str, tuple[int, ...]]:
    name, folder = f"data/{kind}/model_{kind}_config.json", f"data/{kind}/"
    there = {each.removeprefix(folder): size for each, size in sizes.items() if each.startswith(folder)}
    return check_weights(json.loads(texts[name]), there, f"{path}: {name}")


class _Sizes(torch.fx.Interpreter):
    """Runs a graph on tensors without values, and refuses values that are too large."""

    def run_node(self, n: torch.fx.Node) -> Any:
        found = super().run_node(n)
        if n.op == "call_function":
            for each in tree_leaves(found):
                many = each.numel() if isinstance(each, torch.Tensor) else each if isinstance(each, int) else 0
                if many > MAX_VALUES:
                    raise UserError(f"'{n.name}' would hold {many:,} numbers for {ROWS:,} rows, {MAX_VALUES:,} at most")
        return found


def _check_sizes(program: ExportedProgram, path: Path) -> None:
    shapes = {node.name: node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder"}
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            ids = torch.zeros(ROWS, *shapes["ids"][1:], dtype=torch.int32)
            dense = torch.zeros(ROWS, *shapes["dense"][1:])
            _Sizes(program.module()).run(ids, dense)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
