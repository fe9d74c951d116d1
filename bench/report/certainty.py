"""How sure a front is, as a page shows it: attainment surfaces, baselines, shrinkage, the hypervolume's interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.frontier.frontier import Frontier
from bench.report.findings import Shrinkage, Standard, Surface, identified
from bench.report.geometry import corners, worst
from bench.report.view import Axis, Trial


def surfaces(front: Frontier, axes: Sequence[Axis], trials: Sequence[Trial]) -> tuple[Surface, ...]:
    """Attainment surfaces of two objectives, by percent; none of any other number."""
    if len(axes) != 2 or not front.statistics.attainment:
        return ()
    end = worst(axes, trials)
    found = []
    for percent, points in sorted(front.statistics.attainment.items()):
        rows = sorted(((float(x), float(y)) for x, y in points), key=lambda row: -axes[0].sign * row[0])
        found.append(Surface(percent, corners(rows, end)))
    return tuple(surface for surface in found if surface.corners)


def standards(front: Frontier) -> tuple[Standard, ...]:
    """The baselines, on the front's split and on test."""
    keys, test = ([objective.key(split) for objective in front.objectives] for split in (front.split, "test"))
    return tuple(
        Standard(
            str(row["point"]),
            tuple(_finite(row.get(f"{key}.mean")) for key in keys),
            tuple(_interval(row.get(f"{key}.low"), row.get(f"{key}.high")) for key in keys),
            int(row["replicates"]),
            tuple(_finite(row.get(f"{key}.mean")) for key in test),
            tuple(_interval(row.get(f"{key}.low"), row.get(f"{key}.high")) for key in test),
        )
        for row in front.table[front.table["role"] != "trial"].to_dict("records")
    )


def shrinkage(front: Frontier, trials: Sequence[Trial]) -> tuple[Shrinkage, ...]:
    """Of each confirmed point in each metric objective."""
    places = {objective.name: i for i, objective in enumerate(front.objectives)}
    kinds = {trial.number: trial.sharing for trial in trials}
    return tuple(
        Shrinkage(
            identified(int(row["trial"]), _whole(row["until"])),
            kinds[int(row["trial"])],
            places[row["objective"]],
            float(row["search"]),
            _finite(row["valid"]),
            _finite(row["confirm"]),
            _finite(row["test"]),
        )
        for row in front.statistics.shrinkage.to_dict("records")
        if _finite(row["search"]) is not None
    )


def hypervolume_interval(front: Frontier) -> tuple[float, float] | None:
    """At 90%; None where nothing is known of seeds."""
    found = front.statistics.hypervolume
    return None if found is None else (found.low, found.high)


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    return None if value is None or value != value else int(value)


def _interval(low: Any, high: Any) -> tuple[float, float] | None:
    ends = _finite(low), _finite(high)
    return None if ends[0] is None or ends[1] is None else (ends[0], ends[1])
