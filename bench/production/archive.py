"""A model as a `pt2` archive of torch.export, without a pickle inside, and read only where there is none.

torch.export keeps graph, weights and their shapes as JSON and bytes; only sample inputs, and weights that are no plain
tensors, would be pickled. Whoever reads an archive runs what its graph says, so that what could be more than a graph is
refused before torch sees it: pickles, and symbolic sizes that are more than arithmetic.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from bench.errors import UserError
from bench.production.served_model import ServedModel
from bench.schema import Schema

_PLAIN = re.compile(
    r"[^/]+/(data/weights/weight_\d+|data/constants/tensor_\d+|data/(weights|constants)/\w+_config\.json"
    r"|models/model\.json|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|\.data/\w+"
    r"|\.format_version|\.storage_alignment)"
)
_WORDS = {"Symbol", "Integer", "Mul", "Add", "Pow", "Max", "Min", "Mod", "FloorDiv", "positive", "nonnegative"}
_WORDS |= {"integer", "True", "False"}
_SIZE = re.compile(r"[\w\s(),'=+*/-]*")


def export(model: ServedModel, schema: Schema) -> ExportedProgram:
    """The graph of a model, for batches of any size, none included."""
    rows = 3  # more than one: a batch of one would become a constant
    ids = torch.zeros(rows, schema.slots, dtype=torch.int32)
    dense = torch.zeros(rows, len(schema.dense))
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (ids, dense), dynamic_shapes=({0: batch}, {0: batch}))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of the machine that exported it
    return program


def save(program: ExportedProgram, path: Path) -> None:
    """Writes an archive."""
    program.example_inputs = None  # else they are pickled
    torch.export.save(program, path)
    check(path)


def load(path: Path) -> ExportedProgram:
    """Reads an archive.

    Raises:
        UserError: it is none, or holds more than graph and weights.
    """
    check(path)
    try:
        program: ExportedProgram = torch.export.load(path)
    except (RuntimeError, ValueError, KeyError, AssertionError) as error:
        raise UserError(f"{path}: expected a model that torch {torch.__version__} can read: {error}") from None
    program._guards_code = []  # texts that torch would compile; sizes are checked by who feeds the model
    return program


def check(path: Path) -> None:
    """Raises UserError where an archive holds what is not plain data."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = entry.filename
                pickled = not _PLAIN.fullmatch(name) or ("sample_inputs" in name and entry.file_size)
                if pickled:
                    raise UserError(f"{path}: expected plain weights and a graph, found '{name}', which is neither")
                if name.endswith(".json"):
                    _check_json(json.loads(archive.read(entry)), f"{path}: {name}")
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(f"{path}: expected a pt2 archive of torch.export, found something else") from None


def _check_json(values: Any, where: str) -> None:
    for key, value in _leaves(values):
        if key == "use_pickle" and value:
            raise UserError(f"{where}: expected plain tensors, found a pickled one")
        if key == "expr_str" and not _is_arithmetic(str(value)):
            raise UserError(f"{where}: expected a size as arithmetic, found {value!r}")


def _is_arithmetic(text: str) -> bool:
    words = re.findall(r"[A-Za-z_]\w*", text)
    return bool(_SIZE.fullmatch(text)) and all(word in _WORDS or re.fullmatch(r"[su]\d+", word) for word in words)


def _leaves(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _leaves(value, name)
    elif isinstance(values, list):
        for value in values:
            yield from _leaves(value, key)
    else:
        yield key, values
