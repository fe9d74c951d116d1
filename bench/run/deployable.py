"""Finds the points that can be packaged: those that are one network's configuration."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import UserError
from bench.frontier.points import BASELINE, source_ids
from bench.records import Point

INSTEAD = "pick a network with --policy FILE"


def network_of(point: Point, points: Sequence[Point]) -> Point:
    """The point whose configuration is trained for good where `point` is deployed.

    That is the point itself. The best single-task models are one point where one trial has the best of every task.

    Args:
        points: all of the run.

    Raises:
        UserError: there is no such network: boosted trees, an ensemble, single-task models of several trials, or a
            column of the log.
    """
    if point.kind == BASELINE:
        ids = source_ids(point)
        if len(ids) > 1:
            raise UserError(
                "the pick is the best single-task model of each task, and these have several configurations "
                f"(trials {', '.join(ids)}); a package holds one: {INSTEAD}"
            )
        return next(each for each in points if each.id == ids[0])
    if point.kind == "ensemble":
        raise UserError(f"the pick is an ensemble of half-size models, which cannot be packaged; {INSTEAD}")
    if "sharing.kind" not in point.config:
        raise UserError(f"the pick is {point.name}, which is no network and cannot be packaged; {INSTEAD}")
    return point
