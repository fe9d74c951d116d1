"""Configurations of the baselines that the search does not train by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bench.frontier.gains import BASELINE
from bench.frontier.points import as_seen, points
from bench.frontier.shortlist import largest_first
from bench.objectives import Objective
from bench.records import BASELINES, Scalar, TrialRecord

BALANCING = {"equal_weights": "static", "random_weights": "rlw"}
"""What takes the place of the best sharing configuration's balancing, by baseline; static weights are then equal."""


def baselines_of(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    wanted: Collection[str],
) -> list[TrialRecord]:
    """The wanted ones that there can be, as records without a result; in the order of `BASELINES`.

    Equal and random weights take the place of the balancing in the best point that shares. Without sharing, or with one
    task, there is nothing to weigh. The ensemble has the configuration of the best single-task point, as
    `ensemble.<name>`; its training halves it. These are trained as long as that point was. Trees have neither size nor
    latency that could be compared with a network's, so they are left out where a cost is an objective.
    """
    sharing, single = (best_point(records, objectives, reference, alone) for alone in (False, True))
    weighed = len({objective.name.split(".")[0] for objective in objectives if objective.is_metric}) > 1
    found = []
    for place, name in enumerate(BASELINES):
        if name not in wanted:
            continue
        if name == "trees":
            if all(objective.is_metric for objective in objectives):
                found.append(TrialRecord(-1 - place, "completed", {}, {}, name))
        elif name == "ensemble":
            if single is not None:
                config = {f"{name}.{key}": value for key, value in single.config.items()}
                found.append(_like(single, -1 - place, config, name))
        elif name in BALANCING and sharing is not None and weighed:
            config = {key: value for key, value in sharing.config.items() if not key.startswith("balancing.")}
            made: dict[str, Scalar] = config | {"balancing.kind": BALANCING[name]}
            found.append(_like(sharing, -1 - place, made, name))
    return found


def best_point(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float], single: bool
) -> TrialRecord | None:
    """The point that alone has the largest hypervolume by what the search saw, of equals the first.

    Args:
        single: whether it is one of single-task models, or one that shares.
    """
    every = points(as_seen(records), objectives)
    own = [point for point in every if (point.sharing == BASELINE or point.baseline) == single]
    return next(iter(largest_first(own, objectives, reference)), None)


def _like(point: TrialRecord, number: int, config: dict[str, Scalar], name: str) -> TrialRecord:
    """A record whose `until` is the point's."""
    return TrialRecord(number, point.state, {}, config, name, rungs=point.rungs)
