"""From points to the trials of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.behind import References
from bench.frontier.diagnosis import sentences
from bench.frontier.estimates import candidates, estimate, replicated
from bench.frontier.frontier import Frontier
from bench.frontier.regions import regions
from bench.records import Point
from bench.report.detail import detail
from bench.report.findings import Id
from bench.report.view import Spread, Trial
from bench.rows import CONFIRM, REPLICATED, SEARCH, TEST


def trials_of(front: Frontier) -> tuple[Trial, ...]:
    """The trials, in the order of the frontier's points."""
    references = References(front.points, front.objectives)
    compared = {point.id for point in candidates(front.points)}
    rows = zip(front.points, front.table["on_front"], front.table["p_nondominated"], strict=True)
    keys = {split: [objective.key(split) for objective in front.objectives] for split in REPLICATED}
    where = regions(front.statistics, front.objectives, front.split)
    return tuple(
        Trial(
            number=record.number or 0,
            architecture=record.architecture,
            sharing=record.sharing,
            balancing=record.balancing,
            seen=tuple(_finite(record.metrics.get(key)) for key in keys[SEARCH]),
            values=tuple(_finite(estimate(record, each.name)) for each in front.objectives),
            confirm=tuple(_spread(record, key, front) for key in keys[CONFIRM]),
            test=tuple(_spread(record, key, front) for key in keys[TEST]),
            params=tuple(record.params.items()),
            on_front=bool(on_front),
            compared=record.id in compared,
            baseline=record.baseline,
            p_nondominated=_finite(sure),
            samples=record.rungs[-1].samples if record.rungs else None,
            until=record.until,
            diagnosis=tuple(sentences(record.diagnosis, references.gaps(record))) if record.diagnosis else (),
            region=tuple(map(tuple, where[record.id].tolist())) if record.id in where else None,
            detail=detail(record, front.objectives),
        )
        for record, on_front, sure in rows
    )


def ordered(trials: Sequence[Trial], merits: NDArray[np.float64]) -> tuple[Id, ...]:
    """Ids of all points, those on the front first, then the confirmed, each by falling merit."""
    last = np.nan_to_num(merits, nan=-math.inf)
    rows = sorted(range(len(trials)), key=lambda i: (not trials[i].on_front, not trials[i].confirmed, -last[i], i))
    return tuple(trials[i].id for i in rows)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _spread(record: Point, key: str, front: Frontier) -> Spread | None:
    values = [value for value in replicated(record, key) if math.isfinite(value)]
    if not values:
        return None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    known = front.statistics.intervals.get(record.id, {}).get(key)
    return Spread(float(np.mean(values)), sd, len(values), None if known is None else (known.low, known.high))
