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
"""What a later training goes on from."""


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
        known = {task.name: task for task in schema.tasks}
        for name in tasks:
            check_known("task", name, known, str(folder))
        schema = replace(schema, tasks=tuple(known[name] for name in tasks))
        if (folder / FILE).is_file():
            state = checkpoint.read(folder / FILE, IDENTITY)
            return cls(state, schema, state["passes"])
        weights = load_file(folder / PACKAGED)
        network = "members.0.0.models.0."
        model = {
            name.removeprefix(network): each
            for name, each in weights.items()
            if name.startswith(network)
        }
        if TABLE not in model or any(not name.startswith(network) for name in weights):
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
    state = trainer.state_dict()
    model = state["model"]
    if (
        trainer.select
        and len(trainer.selectors) == 1
        and (best := trainer.selectors[0].snapshot) is not None
    ):
        model = dict(model) | best
    with atomic_folder(folder) as made:
        kept = {name: state[name] for name in STATE} | {"model": model, "passes": passes}
        checkpoint.write(made / FILE, kept, IDENTITY)
        for name in ("encoder.json", "manifest.json"):
            shutil.copyfile(trainer.store.path / name, made / name)


def start_from(trainer: Trainer, start: Start) -> None:
    """Sets a new trainer to the state of an earlier one; counts and measurements begin at zero.

    Raises:
        UserError: the earlier model has other inputs or another shape.
    """
    with torch.device("meta"):
        schema = build_model(start.schema, trainer.config).schema
    state = start.state
    now = trainer.model.schema
    if [each.name for each in now.fields] != [
        each.name for each in schema.fields
    ] or now.dense != schema.dense:
        raise UserError("expected the inputs of the model to start from, found others")
    rows = rows_before(schema, now)
    table = state["model"][TABLE]
    model = dict(state["model"]) | {TABLE: with_priors(table, rows, now)}
    own = trainer.state_dict()
    if trainer.model.position is not None:
        weight = "position.weight"
        model |= {
            "position.shares": own["model"]["position.shares"],
            weight: _wider(model[weight], own["model"][weight]),
        }
    for name, tensor in own["model"].items():
        if name not in model or model[name].shape != tensor.shape:
            raise UserError(
                f"expected a model to start from with {name} of shape {tuple(tensor.shape)}, found "
                "another"
            )
    known = torch.from_numpy(np.flatnonzero(rows >= 0))
    of_rows = dict(own["rows"])  # fresh
    for name, before in state.get("rows", {}).items():
        if before.dim() and len(before) == len(table):
            of_rows[name][known] = before[torch.from_numpy(rows)[known]]
        else:
            of_rows[name] = before
    kept = {name: state[name] for name in ("balancer", "random") if name in state}
    for number, moments in state.get("dense", {}).items():
        now_there = own["dense"][number]
        own["dense"][number] = {
            name: _wider(before, now_there[name]) for name, before in moments.items()
        }
    trainer.load_state_dict({**own, **kept, "model": model, "rows": of_rows})
    trainer.passes_before = round(start.passes)


def _wider(before: Tensor, now: Tensor) -> Tensor:
    """A tensor with the columns that another one has, where new positions are: 0 there."""
    return F.pad(before, (0, now.shape[-1] - before.shape[-1])) if before.dim() else before


def rows_before(old: Schema, new: Schema) -> NDArray[np.int64]:
    """(rows,) for each row of the new table that of the old one, -1 for a new value."""
    rows = np.full(new.rows, -1, np.int64)
    rows[0] = 0
    at = {
        field.name: (offset, field.cardinality)
        for field, offset in zip(old.fields, old.offsets, strict=True)
    }
    for field, offset in zip(new.fields, new.offsets, strict=True):
        first, many = at[field.name]
        rows[offset : offset + many] = np.arange(first, first + many)
    return rows


def with_priors(table: Tensor, rows: NDArray[np.int64], schema: Schema) -> Tensor:
    """The table (rows, W) for the new schema: each known value's row, and its field's mean for each
    new value.
    """
    table = table.cpu()
    made = table[torch.from_numpy(np.maximum(rows, 0))]
    for field, offset in zip(schema.fields, schema.offsets, strict=True):
        own = slice(offset, offset + field.cardinality)
        fresh = torch.from_numpy(rows[own] < 0)
        if fresh.any():
            known = made[own][1:][~fresh[1:]]
            made[own][fresh] = known.mean(dim=0) if len(known) else 0.0
    return made
