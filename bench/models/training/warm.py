"""Warm starts: a training goes on with new rows, from the state of an earlier one.

Encoders of later data only add values (`bench.data.two_passes.Before`), so the rows of a field
keep their order within the field. A value that is new begins from the mean of its field's known
values, and with a fresh optimizer state.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors.torch import load_file
from torch import Tensor

from bench.core.errors import UserError, check_known
from bench.core.plain import read_json
from bench.core.schema import Schema
from bench.core.system.atomic import atomic_folder
from bench.data.encoding.encoder import Encoder
from bench.data.two_passes import Before
from bench.models.training import checkpoint
from bench.models.training.loop import Trainer
from bench.models.training.step import build_model

TABLE = "embedding.weight"
FILE, IDENTITY = "state.safetensors", {"kind": "a start"}
PACKAGED = "model.safetensors"
STATE = ("model", "balancer", "dense", "rows", "random")
"""Parts of a trainer's state that a later training goes on from."""
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Start:
    """What a training leaves for a later one, in a folder of its own.

    Attributes:
        state: the parts `STATE` of `Trainer.state_dict`; of a package the model alone, and
            optimizers begin afresh.
        schema: of the store that it was trained on.
        passes: over the data, of all trainings so far: the order of samples goes on from there.
    """

    state: Mapping[str, Any]
    schema: Schema
    passes: float

    @classmethod
    def open(cls, folder: Path, tasks: Sequence[str]) -> Start:
        """Reads a folder of `keep`, or a package of one network; raises UserError for another, or a
        damaged one.
        """
        schema = before_of(folder).schema
        task_by_name = {task.name: task for task in schema.tasks}
        for name in tasks:
            check_known("task", name, task_by_name, str(folder))
        schema = replace(schema, tasks=tuple(task_by_name[name] for name in tasks))
        if (folder / FILE).is_file():
            state = checkpoint.read(folder / FILE, IDENTITY)
            return cls(state, schema, state["passes"])
        weights = load_file(folder / PACKAGED)
        network = "members.0.0.models.0."
        model = {name.removeprefix(network): tensor for name, tensor in weights.items()}
        if TABLE not in model or not all(name.startswith(network) for name in weights):
            raise UserError(
                f"expected a package of one network to start from, found another at {folder}"
            )
        return cls({"model": model}, schema, 0.0)


def before_of(folder: Path) -> Before:
    """How rows of an earlier training's folder, of a package or of a store are encoded; errors as
    of `Start.open`.
    """
    try:
        manifest = read_json(folder / "manifest.json")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"expected a folder of `seesaw train --save`, or a package, found none at {folder}"
        ) from None
    schema = manifest.get("schema") or manifest.get("data_schema")
    return Before(
        Encoder.load(folder / "encoder.json"), TypeAdapter(Schema).validate_python(schema)
    )


def keep(trainer: Trainer, folder: Path, passes: float) -> None:
    """Leaves a trainer's state, and how its rows are encoded, for a later training; whole or not at
    all.
    """
    trained = trainer.state_dict()
    state = {name: trained[name] for name in STATE}
    best = trainer.selectors[0].snapshot if trainer.select else None
    if best is not None and len(trainer.selectors) == 1:
        state["model"] = dict(state["model"]) | best
    state["passes"] = passes
    with atomic_folder(folder) as new_folder:
        checkpoint.write(new_folder / FILE, state, IDENTITY)
        for name in ("encoder.json", "manifest.json"):
            shutil.copyfile(trainer.store.path / name, new_folder / name)


def start_from(trainer: Trainer, start: Start) -> None:
    """Sets a new trainer to the state of an earlier one; counts and measurements begin at zero.

    Raises:
        UserError: the earlier model has other inputs or another shape.
    """
    new_schema = trainer.model.schema
    with torch.device("meta"):
        old_schema = build_model(start.schema, trainer.config).schema
    old_fields = [field.name for field in old_schema.fields]
    new_fields = [field.name for field in new_schema.fields]
    if new_fields != old_fields or new_schema.dense != old_schema.dense:
        raise UserError("expected the inputs of the model to start from, found others")

    rows = rows_before(old_schema, new_schema)
    state = trainer.state_dict()
    state["model"] = _model_state(start, state["model"], rows, new_schema)
    state["rows"] = _row_state(start, state["rows"], rows)
    for number, moments in start.state.get("dense", {}).items():
        new_moments = state["dense"][number]
        for name, tensor in moments.items():
            new_moments[name] = _widened(tensor, new_moments[name])
    for name in ("balancer", "random"):
        if name in start.state:
            state[name] = start.state[name]
    trainer.load_state_dict(state)
    trainer.passes_before = round(start.passes)


def _model_state(
    start: Start, new_state: State, rows: NDArray[np.int64], schema: Schema
) -> dict[str, Tensor]:
    """The model's state of a start, in the shapes of a new model's state."""
    model: dict[str, Tensor] = dict(start.state["model"])
    model[TABLE] = with_priors(model[TABLE], rows, schema)
    weight, shares = "position.weight", "position.shares"
    if weight in new_state:
        model[shares] = new_state[shares]
        model[weight] = _widened(model[weight], new_state[weight])
    for name, tensor in new_state.items():
        if name not in model or model[name].shape != tensor.shape:
            raise UserError(
                f"expected a model to start from with {name} of shape {tuple(tensor.shape)}, found "
                "another"
            )
    return model


def _row_state(start: Start, new_state: State, rows: NDArray[np.int64]) -> State:
    """The state of the table's optimizer: that of a start for known rows, else fresh."""
    row_state = dict(new_state)
    is_known = torch.from_numpy(np.flatnonzero(rows >= 0))
    old_rows = torch.from_numpy(rows)[is_known]
    for name, tensor in start.state.get("rows", {}).items():
        if tensor.dim() and len(tensor) == len(start.state["model"][TABLE]):
            row_state[name][is_known] = tensor[old_rows]
        else:
            row_state[name] = tensor
    return row_state


def _widened(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor with the columns that another one has, where new positions are: 0 there."""
    if not tensor.dim():
        return tensor
    return F.pad(tensor, (0, like.shape[-1] - tensor.shape[-1]))


def rows_before(old: Schema, new: Schema) -> NDArray[np.int64]:
    """(rows,) for each row of the new table that of the old one, -1 for a new value."""
    rows = np.full(new.rows, -1, np.int64)
    rows[0] = 0
    new_offset = {field.name: offset for field, offset in zip(new.fields, new.offsets, strict=True)}
    for field, offset in zip(old.fields, old.offsets, strict=True):
        old_rows = np.arange(offset, offset + field.cardinality)
        first = new_offset[field.name]
        rows[first : first + len(old_rows)] = old_rows
    return rows


def with_priors(table: Tensor, rows: NDArray[np.int64], schema: Schema) -> Tensor:
    """The table (rows, W) for the new schema: each known value's row, and its field's mean for each
    new value.
    """
    new_table = table.cpu()[torch.from_numpy(np.maximum(rows, 0))]
    for field, offset in zip(schema.fields, schema.offsets, strict=True):
        field_rows = slice(offset, offset + field.cardinality)
        is_new = torch.from_numpy(rows[field_rows] < 0)
        if is_new.any():
            # The first row is that of unknown and rare values.
            known_values = new_table[field_rows][1:][~is_new[1:]]
            prior = known_values.mean(dim=0) if len(known_values) else 0.0
            new_table[field_rows][is_new] = prior
    return new_table
