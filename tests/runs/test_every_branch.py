"""Every branch of a search space trains on the shapes of the built-in cards, or is left out there with a reason."""

from functools import cache
from itertools import cycle

import numpy as np
import pytest
from card_shapes import ShapedStore, cards, distinct

from bench.core.errors import UserError
from bench.core.objectives import parse, primary
from bench.search import tree as trees
from bench.search.nodes import Switch
from bench.search.space import NO_BINARY, NO_GROUP, NO_NUMBER, NO_PARENT, NO_REGRESSION, fitting, load_space
from bench.system import content
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

SHAPES = distinct(cards())
SPACES = content.names("search_spaces")
SHORT = {"optim.epochs": 1, "optim.batch_size": 32}


stored = cache(ShapedStore)  # what a training makes beside a store is made once for each shape


def branches(space):
    """Every branch of every switch, with one way that leads to it."""
    found: dict[tuple[str, str], trees.Path] = {}
    for name, node, path in trees.walk(space.tree):
        for branch in node.branches if isinstance(node, Switch) else ():
            found.setdefault((name, branch), (*path, (name, branch)))
    return found


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
    kept = branches(fitted.space)
    if branch not in kept and " = ".join(branch) in fitted.left_out:
        reason = fitted.left_out[" = ".join(branch)]
        config = TrialConfig.parse(space.defaults(tasks, dict(branches(space)[branch])))
        if reason not in (
            NO_PARENT,
            NO_NUMBER,
            NO_BINARY,
            NO_REGRESSION,
            NO_GROUP,
        ):  # all branches are one, or not searched
            with pytest.raises(UserError, match="does not fit this data"):
                config.check_fit(schema)
        return
    config = TrialConfig.parse(drawn(fitted.space, kept.get(branch, ()), tasks, rng) | SHORT)
    assert branch in kept or config.dotted()[branch[0]] == branch[1]  # the only one left is no branch any more
    objectives = [parse(primary(task, in_groups=False), schema.tasks, "shape") for task in schema.tasks]
    trainer = Trainer(stored(schema), config, objectives, seed=0)
    trainer.run_to()
    metrics = trainer.metrics("valid")
    # After so few steps all predictions may be equal, which leaves a rank correlation undefined, and so left out.
    wanted = {f"valid/{objective.name}" for objective in objectives}
    assert all(name in metrics or name.endswith(".spearman") for name in wanted)
    assert all(np.isfinite(metrics[name]) for name in wanted & metrics.keys())


TAUGHT = ("joint", "losses")
"""Their trainings have boosted trees first, where the loss asks for them."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in TAUGHT else ()) for name in SPACES if name != "wide"]
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
    assert set().union(*(branches(load_space(name)) for name in SPACES)) == set(branches(load_space("wide")))
