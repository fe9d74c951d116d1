"""Fits a search space to a data set: leaves out branches that cannot work there, before any trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.errors import UserError
from bench.schema import Schema
from bench.search import tree as trees
from bench.search.nodes import Constant, Switch
from bench.search.space import Space

FUNNEL, UNTIED = "funnel.kind", "independent"
NO_PARENT = "no task has a parent, so that all funnels are one"
NUMERIC, PLAIN = "numeric.kind", "scaled"
NO_NUMBER = "it has no number with ranges"
NO_BINARY, NO_REGRESSION = "no task is binary", "no task is a regression"


@dataclass(frozen=True)
class Fitted:
    """A space without the branches that cannot work on a data set.

    Attributes:
        left_out: the reason for each branch that is gone, by `<switch> = <branch>`.
    """

    space: Space
    left_out: Mapping[str, str]


def fitting(space: Space, schema: Schema) -> Fitted:
    """The space without the branches that do not fit, by the registries' `unfit`.

    An axis that does nothing is held fixed, too: the funnel where no task has a parent, `numeric.kind` without numbers,
    a loss where no task has it. A space of which everything fits stays as it is, with its digest.

    Raises:
        UserError: a kind that is held fixed does not fit, or nothing of a switch does.
    """
    from bench.training.config import AXES  # imports torch: only where it is needed

    unwanted: dict[tuple[str, str], str] = {}
    kinds = {task.kind for task in schema.tasks}
    pinned = {
        axis: (kept, reason)
        for axis, kept, reason, needed in (
            (FUNNEL, UNTIED, NO_PARENT, any(task.parent for task in schema.tasks)),
            (NUMERIC, PLAIN, NO_NUMBER, schema.numbers),
            ("loss.kind", "log", NO_BINARY, "binary" in kinds),
            ("regression_loss.kind", "squared", NO_REGRESSION, "regression" in kinds),
        )
        if not needed and axis in space.tree
    }
    for name, node, _ in trees.walk(space.tree):
        if name in pinned and isinstance(node, Switch):
            continue
        registry = AXES.get(name.removesuffix(".kind"), {}) if name.endswith(".kind") else {}
        for kind in node.branches if isinstance(node, Switch) else [node.value] if isinstance(node, Constant) else []:
            entry = registry.get(str(kind))
            if entry is None or (reason := entry.unfit(schema)) is None:
                continue
            if isinstance(node, Constant):
                raise UserError(f"{name} = '{kind}' does not fit this data: {reason}")
            unwanted[name, str(kind)] = reason
    if unwanted:
        space = replace(space, tree=trees.prune(space.tree, unwanted))
    for axis, (kept, why) in pinned.items():
        unwanted |= {(axis, branch): why for branch in space.branches(axis) if branch != kept}
        space = space.restricted({axis: kept})
    return Fitted(space, {f"{name} = {branch}": reason for (name, branch), reason in unwanted.items()})
