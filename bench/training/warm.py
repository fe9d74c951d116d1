"""Warm starts: a training goes on with new rows, from the state of an earlier one.

Encoders of later data only add values (`bench.data.preparation.Before`), so the rows of a field keep their order within
the field. A value that is new begins from the mean of its field's known values, and with a fresh optimizer state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import UserError
from bench.core.schema import Schema
from bench.training.loop import Trainer

TABLE = "embedding.weight"


def start_from(trainer: Trainer, state: Mapping[str, Any], schema: Schema, passes: float) -> None:
    """Sets a new trainer to an earlier one's state; counts and measurements begin at zero.

    Args:
        state: of `Trainer.state_dict`, of the same configuration.
        schema: of the earlier model (`MultiTaskModel.schema`).
        passes: over the data that the earlier trainings took: the order of samples goes on from there.

    Raises:
        UserError: the earlier model has other inputs or another shape.
    """
    now = trainer.model.schema
    if [each.name for each in now.fields] != [each.name for each in schema.fields] or now.dense != schema.dense:
        raise UserError("expected the inputs of the model to start from, found others")
    rows = rows_before(schema, now)
    table = state["model"][TABLE]
    model = dict(state["model"]) | {TABLE: with_priors(table, rows, now)}
    own = trainer.state_dict()
    for name, tensor in own["model"].items():
        if name not in model or model[name].shape != tensor.shape:
            raise UserError(f"expected a model to start from with {name} of shape {tuple(tensor.shape)}, found another")
    at = torch.from_numpy(np.maximum(rows, 0))
    known = torch.from_numpy(rows >= 0)
    of_rows = {
        name: torch.where(known.view(-1, *[1] * (tensor.dim() - 1)), state["rows"][name][at], tensor)
        if tensor.dim() and len(tensor) == len(rows)
        else state["rows"][name]
        for name, tensor in own["rows"].items()
    }
    kept = {name: state[name] for name in ("balancer", "dense", "random")}
    trainer.load_state_dict({**own, **kept, "model": model, "rows": of_rows})
    trainer.passes_before = round(passes)


def rows_before(old: Schema, new: Schema) -> NDArray[np.int64]:
    """(rows,) for each row of the new table that of the old one, -1 for a new value."""
    rows = np.full(new.rows, -1, np.int64)
    rows[0] = 0
    at = {field.name: (offset, field.cardinality) for field, offset in zip(old.fields, old.offsets, strict=True)}
    for field, offset in zip(new.fields, new.offsets, strict=True):
        first, many = at[field.name]
        rows[offset : offset + many] = np.arange(first, first + many)
    return rows


def with_priors(table: Tensor, rows: NDArray[np.int64], schema: Schema) -> Tensor:
    """The table (rows, W) for the new schema: each known value's row, and its field's mean for each new value."""
    table = table.cpu()
    made = table[torch.from_numpy(np.maximum(rows, 0))]
    for field, offset in zip(schema.fields, schema.offsets, strict=True):
        own = slice(offset, offset + field.cardinality)
        fresh = torch.from_numpy(rows[own] < 0)
        if fresh.any():
            known = made[own][1:][~fresh[1:]]
            made[own][fresh] = known.mean(dim=0) if len(known) else 0.0
    return made
