"""What is searched for and served on a data set of a suite: its objectives and its outcomes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from bench.app.runs.suite import SuiteDataset
from bench.core.errors import UserError
from bench.core.objectives import (
    Objective,
    beside_tasks,
    check_counted,
    default_outcomes,
    of_items,
    outcome,
    parse,
    primary,
)
from bench.core.schema import Task

if TYPE_CHECKING:
    from bench.data import Card

MOST_OBJECTIVES = 8


def resolve_objectives(
    dataset: SuiteDataset, tasks: tuple[Task, ...], ranked: Collection[str]
) -> tuple[Objective, ...]:
    """The data set's objectives, checked; where it names none, by whether each task is `ranked`
    within groups.

    Raises:
        UserError: an unknown metric, one without direction, only costs, one named twice, more than
            `MOST_OBJECTIVES`.
    """
    names = dataset.objectives or tuple(primary(task, task.name in ranked) for task in tasks)
    if len(set(names)) < len(names):
        raise UserError(f"{dataset.id}: an objective is named twice in {', '.join(names)}")
    if len(names) > MOST_OBJECTIVES:
        raise UserError(
            f"{dataset.id}: expected at most {MOST_OBJECTIVES} objectives, found {len(names)}; "
            "with more, nearly every trial is on the front: name as objectives those that decide, "
            "and hold the others by a guard"
        )
    objectives = tuple(parse(name, tasks, dataset.id) for name in names)
    if not any(objective.is_metric for objective in objectives):
        raise UserError(
            f"{dataset.id}: expected at least one task's metric among the objectives, found only "
            "costs"
        )
    return objectives


def resolve_outcomes(
    dataset: SuiteDataset,
    tasks: tuple[Task, ...],
    group: NDArray[Any],
    asked: Iterable[str] = (),
    card: Card | None = None,
    valued: bool = False,
) -> tuple[Objective, ...]:
    """The outcomes that the data set is served by, checked against its tasks and columns of items.

    Args:
        group: (N,) of rows, negative where a row has none: decides where the suite does not say.
        asked: outcomes that a policy names; each takes the place of its task's own where it is
            another. Those of items stand beside the others.
        card: of columns of items, and of propensities: where rows count by these, no list has
            places for them.
        valued: whether events have values, which only outcomes of all rows add up to.

    Raises:
        UserError: an unknown task, what is no outcome of a ranking, one named twice, or more than
            `MOST_OBJECTIVES`.
    """
    counted = card is not None and card.propensity is not None
    items = card.item_kinds if card else None
    default = default_outcomes(tasks, group, counted or valued)[:MOST_OBJECTIVES]
    names = []
    for name in beside_tasks(dataset.outcomes, default):
        names.append(outcome(name, tasks, dataset.id, items).name)
    wanted = []
    for name in dict.fromkeys(asked):
        if name not in names:
            wanted.append(outcome(name, tasks, "policy", items).name)
    replaced = {name.partition(".")[0] for name in wanted if not of_items(name)}
    names = [name for name in names if name.partition(".")[0] not in replaced] + wanted
    if counted:
        check_counted(names, dataset.id)
    if len(set(names)) < len(names):
        raise UserError(f"{dataset.id}: an outcome is named twice in {', '.join(names)}")
    if len(names) > MOST_OBJECTIVES:
        raise UserError(
            f"{dataset.id}: expected at most {MOST_OBJECTIVES} outcomes, found {len(names)}"
        )
    return tuple(outcome(name, tasks, dataset.id, items) for name in names)
