"""Every branch of a search space trains on the shapes of the built-in cards, or is left out there
with a reason.
"""

from functools import cache
from itertools import cycle, groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.objectives import parse, primary
from bench.core.schema import Field, Schema
from bench.core.system import content
from bench.data import StoredSplit, load_card
from bench.data.card_summary import shape_of
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.search import tree as trees
from bench.search.nodes import Switch
from bench.search.space import (
    NO_BINARY,
    NO_GROUP,
    NO_NUMBER,
    NO_PARENT,
    NO_REGRESSION,
    fitting,
    load_space,
)

ROWS, CARDINALITY, INPUTS = 96, 7, 2


class ShapedStore:
    """All that a trainer needs of a store: every split has the same random rows, half of each
    label's positive.
    """

    key, fingerprint, weights = "shape", "0", None

    def __init__(self, schema):
        self.schema, self._folder = schema, TemporaryDirectory()
        self.path = Path(self._folder.name)
        rng = np.random.default_rng(0)
        ids = [
            offset + rng.integers(0, field.cardinality, ROWS)
            for field, offset in zip(schema.fields, schema.offsets, strict=True)
            for _ in range(field.slots)
        ]
        labels = np.empty((ROWS, len(schema.tasks)), np.float32)
        for number, task in enumerate(schema.tasks):
            drawn = rng.normal(size=ROWS) if task.kind == "regression" else rng.random(ROWS) < 0.5
            parent = schema.parents[number]
            labels[:, number] = drawn if parent is None else drawn * labels[:, parent]
        self.rows = StoredSplit(
            np.stack(ids, 1).astype(np.int32) if ids else np.empty((ROWS, 0), np.int32),
            rng.normal(size=(ROWS, len(schema.dense))).astype(np.float32),
            labels,
            rng.integers(0, 8, ROWS).astype(np.int32),
        )

    def split(self, name):
        return self.rows


def small(schema):
    """At most two inputs of each kind; names are the card's."""
    plain = schema.without_ranges
    kinds = groupby(
        sorted(plain.fields, key=lambda field: field.slots > 1), lambda field: field.slots > 1
    )
    fields = tuple(
        Field(field.name, CARDINALITY, min(field.slots, 3))
        for _, few in kinds
        for field in list(few)[:INPUTS]
    )
    ranges = schema.fields[len(plain.fields) :][:INPUTS]
    numbers = schema.numbers[:INPUTS]
    return Schema(
        (*fields, *ranges),
        schema.dense[:INPUTS],
        schema.tasks,
        None,
        numbers,
        grouped=schema.grouped,
    )


def cards():
    """Every built-in card by what it trains by default, and by all its tasks where it has more."""
    schemas = {}
    for name in content.names("datasets"):
        card = load_card(name)
        schemas[name] = small(shape_of(card))
        if len(card.tasks) > len(card.default_tasks):
            schemas[f"{name}, all tasks"] = small(
                shape_of(card, [task.name for task in card.tasks])
            )
    return schemas


def distinct(schemas):
    """One of each shape: names of tasks and inputs make no difference."""
    return dict(
        {_shape(schema): (name, schema) for name, schema in reversed(schemas.items())}.values()
    )


def _shape(schema):
    return (
        tuple(field.slots > 1 for field in schema.fields),
        bool(schema.dense),
        tuple(task.kind for task in schema.tasks),
        schema.parents,
        schema.grouped,
    )


SHAPES = distinct(cards())
SPACES = content.names("search_spaces")
SHORT = {"optim.epochs": 1, "optim.batch_size": 32}


stored = cache(ShapedStore)  # what a training makes beside a store is made once for each shape


def branches(space):
    """Every branch of every switch, with one way that leads to it."""
    paths: dict[tuple[str, str], trees.Path] = {}
    for name, node, path in trees.walk(space.tree):
        for branch in node.branches if isinstance(node, Switch) else ():
            paths.setdefault((name, branch), (*path, (name, branch)))
    return paths


def drawn(space, path, tasks, rng):
    """A random configuration with these branches."""
    switches = dict(path)

    def choose(name, node):
        return switches[name] if name in switches else node.draw(rng)

    return trees.resolve(space.tree, tasks, choose)


def check(space, schema, branch, rng):
    """A branch that is left out could not be trained; any other is."""
    tasks = [task.name for task in schema.tasks]
    fitted = fitting(space, schema)
    remaining = branches(fitted.space)
    if branch not in remaining and " = ".join(branch) in fitted.left_out:
        reason = fitted.left_out[" = ".join(branch)]
        config = TrialConfig.parse(space.defaults(tasks, dict(branches(space)[branch])))
        # all branches are one, or not searched
        if reason not in (NO_PARENT, NO_NUMBER, NO_BINARY, NO_REGRESSION, NO_GROUP):
            with pytest.raises(UserError, match="does not fit this data"):
                config.check_fit(schema)
        return
    config = TrialConfig.parse(drawn(fitted.space, remaining.get(branch, ()), tasks, rng) | SHORT)
    # the only one left is no branch any more
    assert branch in remaining or config.dotted()[branch[0]] == branch[1]
    objectives = [
        parse(primary(task, in_groups=False), schema.tasks, "shape") for task in schema.tasks
    ]
    trainer = Trainer(stored(schema), config, objectives, seed=0)
    trainer.run_to()
    metrics = trainer.metrics("valid")
    # After so few steps all predictions may be equal, which leaves a rank correlation undefined,
    # and so left out.
    wanted = {f"valid/{objective.name}" for objective in objectives}
    assert all(name in metrics or name.endswith(".spearman") for name in wanted)
    assert all(np.isfinite(metrics[name]) for name in wanted & metrics.keys())


TAUGHT = ("joint", "losses")
"""Their trainings have boosted trees first, where the loss asks for them."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in TAUGHT else ())
        for name in SPACES
        if name != "wide"
    ],
)
def test_every_branch_trains_on_some_shape_or_is_left_out(name):
    space, rng = load_space(name), np.random.default_rng(0)
    for branch, schema in zip(branches(space), cycle(SHAPES.values()), strict=False):
        check(space, schema, branch, rng)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_every_branch_of_wide_trains_on_every_shape_or_is_left_out(shape):
    """It has the branches of all others."""
    space, rng = load_space("wide"), np.random.default_rng(1)
    for branch in branches(space):
        check(space, SHAPES[shape], branch, rng)


def test_wide_has_every_branch_of_the_other_spaces():
    assert set().union(*(branches(load_space(name)) for name in SPACES)) == set(
        branches(load_space("wide"))
    )
