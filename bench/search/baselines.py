"""Configurations of the baselines that the search does not train by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from bench.frontier.estimates import estimates
from bench.frontier.gains import BASELINE
from bench.frontier.hypervolume import hypervolume, resolve_reference
from bench.frontier.points import as_seen, points
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

    Equal and random weights take the place of the balancing in the best point that shares: the one that alone has the
    largest hypervolume by what the search saw; they are trained as long as it was. Without sharing, or with one task,
    there is nothing to weigh. Trees have neither size nor latency that could be compared with a network's, so they are
    left out where a cost is an objective.
    """
    at = resolve_reference(objectives, reference)
    sharing = [
        point for point in points(as_seen(records), objectives) if point.sharing != BASELINE and not point.baseline
    ]
    values = estimates(sharing, objectives)
    volumes = [hypervolume(values[i : i + 1], objectives, at) for i in range(len(sharing))]
    found = []
    for place, name in enumerate(BASELINES):
        if name not in wanted:
            continue
        if name == "trees":
            if all(objective.is_metric for objective in objectives):
                found.append(TrialRecord(-1 - place, "completed", {}, {}, name))
        elif volumes and len({objective.name.split(".")[0] for objective in objectives if objective.is_metric}) > 1:
            best = sharing[int(np.argmax(volumes))]
            config = {key: value for key, value in best.config.items() if not key.startswith("balancing.")}
            made: dict[str, Scalar] = config | {"balancing.kind": BALANCING[name]}
            found.append(_like(best, -1 - place, made, name))
    return found


def _like(point: TrialRecord, number: int, config: dict[str, Scalar], name: str) -> TrialRecord:
    """A record whose `until` is the point's."""
    return TrialRecord(number, point.state, {}, config, name, rungs=point.rungs)
