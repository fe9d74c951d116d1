"""Configurations of the baselines that the search does not train by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bench.frontier.points import BASELINE, searched_points
from bench.frontier.shortlist import largest_first
from bench.objectives import Objective
from bench.records import TRAINED, Kind, Point, Scalar, TrialRecord

BALANCING: dict[Kind, str] = {"equal_weights": "static", "random_weights": "rlw"}
"""What takes the place of the best sharing configuration's balancing, by baseline; static weights are then equal."""


def baselines_of(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    wanted: Collection[str],
) -> list[Point]:
    """The wanted ones that there can be, as points without a result; in the order of `TRAINED`.

    Equal and random weights take the place of the balancing in the best point that shares. Without sharing, or with one
    task, there is nothing to weigh. The ensemble has the configuration of the best single-task point, as
    `ensemble.<name>`; its training halves it. These are trained as long as that point was. Trees have neither size nor
    latency that could be compared with a network's, so they are left out where a cost is an objective.
    """
    sharing, single = (best_point(records, objectives, reference, alone) for alone in (False, True))
    weighed = len({objective.name.split(".")[0] for objective in objectives if objective.is_metric}) > 1
    found = []
    for kind in TRAINED:
        if kind not in wanted:
            continue
        if kind == "trees":
            if all(objective.is_metric for objective in objectives):
                found.append(Point(kind, {}, kind))
        elif kind == "ensemble":
            if single is not None:
                config = {f"{kind}.{key}": value for key, value in single.config.items()}
                found.append(Point(kind, config, kind, until=single.until))
        elif kind in BALANCING and sharing is not None and weighed:
            config = unbalanced(sharing.config) | {"balancing.kind": BALANCING[kind]}
            found.append(Point(kind, config, kind, until=sharing.until))
    return found


def best_point(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float], single: bool
) -> Point | None:
    """The point that alone has the largest hypervolume by what the search saw, of equals the first.

    Args:
        single: whether it is one of single-task models, or one that shares.
    """
    every = searched_points(records, objectives)
    own = [point for point in every if (point.sharing == BASELINE or point.baseline) == single]
    return next(iter(largest_first(own, objectives, reference)), None)


def unbalanced(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A configuration without its balancing."""
    return {key: value for key, value in config.items() if not key.startswith("balancing.")}
