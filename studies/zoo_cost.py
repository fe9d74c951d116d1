"""What every entry costs: the time of a step with it, as a multiple of one with its axis' plain
entry.

    python studies/zoo_cost.py [--axes sharing ...] [--write docs/studies/costs.md]

Random rows as in `balancing_cost.py`. All entries of an axis, each by its defaults, take the same
batches in turn, a few steps each, for several rounds; a ratio compares steps of one round. Time is
that of the process's one thread.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator

import numpy as np
from balancing_cost import Store, multiples, random_store
from speed.summary import spread
from speed.table import NAMES, replace, writer

from bench.core.schema import Field, Number, Task
from bench.core.system.machine import keep_freed_memory
from bench.data.tasks import scale_of
from bench.models.training.config import AXES, DEFAULTS

PLAIN = {**DEFAULTS, "numeric": "scaled"}
NUMBERS, RANGES, LENGTH = 7, 1000, 20
MODELS = ("shared_bottom", "mmoe")
"""What an entry of another axis than sharing stands on."""


def stores(axis: str) -> list[Store]:
    """Two tasks, along a funnel or beside numbers where that is the axis; three more for what takes
    no fewer.
    """
    if axis == "numeric":
        return [with_numbers(random_store(2))]
    if axis == "sequence":
        return [with_history(random_store(2))]
    if axis == "loss":
        return [with_groups(random_store(2))]
    if axis == "regression_loss":
        return [with_times(random_store(2))]
    if axis == "sharing":
        return [with_scenarios(random_store(2)), with_scenarios(random_store(3))]
    if axis != "funnel":
        return [random_store(2), random_store(3)]
    store = random_store(2)
    labels = store.rows.stored_labels
    labels[:, 1] *= labels[:, 0]
    tasks = (Task("t0"), Task("t1", parent="t0"))
    return [Store(dataclasses.replace(store.schema, tasks=tasks), store.rows)]


def with_numbers(store: Store) -> Store:
    """The same with numbers beside the fields, each with the ranges that a store has at the
    most.
    """
    rng, schema, rows = np.random.default_rng(1), store.schema, len(store.rows)
    of_row = rng.integers(RANGES, size=(rows, NUMBERS))
    counts, edges = (rows // RANGES,) * RANGES, tuple(np.linspace(-2, 2, RANGES + 1).tolist())
    numbers = tuple(Number(f"n{number}", number, None, edges, counts) for number in range(NUMBERS))
    ranges = tuple(Field(f"{number.name}_bucket", RANGES + 2) for number in numbers)
    schema = dataclasses.replace(
        schema,
        fields=(*schema.fields, *ranges),
        dense=tuple(number.name for number in numbers),
        numbers=numbers,
    )
    ids = np.concatenate([store.rows.ids, of_row + 1 + np.array(schema.offsets[-NUMBERS:])], axis=1)
    dense = (np.array(edges)[of_row]).astype(np.float32)
    return Store(
        schema, dataclasses.replace(store.rows, stored_ids=ids.astype(np.int32), dense=dense)
    )


def with_scenarios(store: Store) -> Store:
    """The same with its smallest field, of 9 values, as the scenario."""
    schema = dataclasses.replace(store.schema, scenario=store.schema.fields[0].name)
    return Store(schema, store.rows)


def with_history(store: Store) -> Store:
    """The same with a list of values of its first field: a full one in half of the rows, else one
    of any length.
    """
    rng, schema, rows = np.random.default_rng(2), store.schema, len(store.rows)
    first = schema.fields[0]
    values = schema.offsets[0] + rng.integers(first.cardinality, size=(rows, LENGTH))
    lengths = np.where(rng.random(rows) < 0.5, LENGTH, rng.integers(LENGTH + 1, size=rows))
    ids = np.concatenate([store.rows.ids, values * (np.arange(LENGTH) < lengths[:, None])], axis=1)
    past = Field(f"past_{first.name}", first.cardinality, LENGTH, of=first.name)
    schema = dataclasses.replace(schema, fields=(*schema.fields, past))
    return Store(schema, dataclasses.replace(store.rows, stored_ids=ids.astype(np.int32)))


def with_groups(store: Store) -> Store:
    """The same in groups of 1 to 32 rows."""
    rng, rows = np.random.default_rng(3), len(store.rows)
    group = np.repeat(np.arange(rows), rng.integers(1, 33, rows))[:rows].astype(np.int32)
    schema = dataclasses.replace(store.schema, grouped=True)
    return Store(schema, dataclasses.replace(store.rows, group=group))


def with_times(store: Store) -> Store:
    """The same with a second task of seconds, on the scale log1p."""
    times = np.random.default_rng(4).gamma(0.5, 60, len(store.rows))
    store.rows.stored_labels[:, 1] = times
    tasks = (store.schema.tasks[0], Task("t1", "regression", scale=scale_of(times, log=True)))
    return Store(dataclasses.replace(store.schema, tasks=tasks), store.rows)


def rows(axis: str) -> Iterator[str]:
    """The lines of an axis' table, without the plain entry."""
    remaining = [kind for kind in AXES[axis] if kind != PLAIN[axis]]
    for store in stores(axis):
        kinds = [kind for kind in remaining if AXES[axis][kind].unfit(store.schema) is None]
        remaining = [kind for kind in remaining if kind not in kinds]
        if not kinds:
            continue
        measured = {}
        for model in MODELS if axis != "sharing" else [""]:
            fixed = {"sharing.kind": model} if model else {}
            configs = {kind: fixed | {f"{axis}.kind": kind} for kind in (PLAIN[axis], *kinds)}
            measured[model] = multiples(store, configs, PLAIN[axis])
        for kind in kinds:
            cells = [_cell(of_model[kind]) for of_model in measured.values()]
            yield f"| `{kind}` | {len(store.schema.tasks)} | {' | '.join(cells)} |"


def _cell(values: list[float]) -> str:
    value = spread(values)
    return f"{value['median']:.2f} ({value['least']:.2f} to {value['most']:.2f})"


def main() -> None:
    """Measures, and prints or writes the tables."""
    keep_freed_memory()  # as every job does
    parser = writer(__doc__)
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=list(AXES))
    options = parser.parse_args()
    for axis in options.axes:
        columns = [NAMES[model] for model in MODELS] if axis != "sharing" else ["step"]
        lines = [f"| {axis} | tasks | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
        for line in rows(axis):
            lines.append(line)
            print(line, file=sys.stderr, flush=True)
        if options.write:
            replace(options.write, axis, "\n".join(lines))
        else:
            print("\n".join(lines))


if __name__ == "__main__":
    main()
