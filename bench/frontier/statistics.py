"""The frontier's table: measured values of each point, and their uncertainty."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.frontier.intervals import Interval, differences, intervals, reflected
from bench.frontier.pareto import hypervolume
from bench.frontier.points import replicated
from bench.frontier.posterior import p_nondominated, posterior_draws
from bench.frontier.samples import Sample, sample
from bench.frontier.variance import seed_noise
from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM, SEARCH, TEST
from bench.seeds import derive


def tabulate(points: Sequence[Point], objectives: Sequence[Objective]) -> pd.DataFrame:
    """The rows of `Frontier.table`, without its last columns. An empty run has its columns too."""
    unused = Point("trees", {}, "")  # so that there are columns
    table = pd.DataFrame([_row(point, objectives) for point in (*points, unused)]).iloc[:-1]
    if not any(point.rungs for point in points):
        table = table.drop(columns=["rung", "samples"])
    whole = [name for name in ("trial", "rung", "samples") if name in table]
    return table.astype(dict.fromkeys(whole, "Int64"))  # which a baseline may lack


def replicate_keys(objectives: Sequence[Objective]) -> list[str]:
    """Keys whose replicate means and deviations the table holds; a cost has one key for all splits."""
    return list(dict.fromkeys(each.key(split) for split in (CONFIRM, TEST) for each in objectives))


def _row(record: Point, objectives: Sequence[Objective]) -> dict[str, Any]:
    failed = sum(run.failure is not None for run in record.replicates)
    row: dict[str, Any] = {
        "point": record.id,
        "name": record.name,
        "role": record.role,
        "trial": record.number,
        "rung": len(record.rungs) - 1 if record.rungs else None,
        "samples": record.samples,
        "architecture": record.architecture,
        "sharing": record.sharing,
        "funnel": record.funnel,
        "balancing": record.balancing,
        "baseline": record.baseline,
        "config": json.dumps(record.config),
    }
    row |= {each.key(SEARCH): record.metrics.get(each.key(SEARCH), np.nan) for each in objectives}
    row |= {"replicates": len(record.replicates) - failed, "replicates_failed": failed}
    for key in replicate_keys(objectives):
        values = replicated(record, key)
        row[f"{key}.mean"] = np.mean(values) if values else np.nan
        row[f"{key}.sd"] = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return row


Floats = NDArray[np.float64]

VOLUMES = 1000
"""Posterior draws of which the hypervolume is taken."""


@dataclass(frozen=True)
class Statistics:
    """Statistics of a run's confirmed points. All intervals are at `bench.frontier.intervals.LEVEL`, 90%.

    The frontier's table has the intervals as well: columns `<key>.low` and `<key>.high` beside `<key>.mean`.

    Attributes:
        p_nondominated: by id of a point the probability that no other confirmed point dominates it, baselines and the
            current point among them.
        intervals: by id and metric key (confirmation rows, test and costs) the interval of its mean.
        gains: by id and metric key how much better its mean is than that of a reference point, see `gain_table`.
        hypervolume: of the true values of the confirmed points of trials; None where nothing is known of seeds. Its
            value is that of the means less the bias that it has from taking the best of noisy values.
    """

    p_nondominated: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)
    gains: dict[str, dict[str, Interval]] = field(default_factory=dict)
    hypervolume: Interval | None = None


def statistics(
    points: Sequence[Point],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
    against: str | None = None,
) -> Statistics:
    """Of all points of a run, of which only confirmed ones count.

    Args:
        reference: of the hypervolume, complete.
        seed: of the run, for what is simulated.
        against: id of the point that gains are differences from.
    """
    keys = [objective.key(split) for objective in objectives]
    found = {point.id: one for point in points if (one := sample(point, keys))}
    samples = list(found.values())
    noise = seed_noise(samples) if samples else None
    if noise is None:
        return Statistics()
    chances = p_nondominated(samples, objectives, derive(seed, "p_nondominated"))
    assert chances is not None
    about = posterior_draws(samples, noise, derive(seed, "hypervolume"), VOLUMES)
    trials = {point.id for point in points if point.role == "trial"}
    searched = [at for at, key in enumerate(found) if key in trials]
    return Statistics(
        p_nondominated=dict(zip(found, chances.tolist(), strict=True)),
        intervals=interval_table(points, replicate_keys(objectives)),
        gains=gain_table(points, objectives, against),
        hypervolume=volume_interval([samples[at] for at in searched], about[:, searched], objectives, reference),
    )


def interval_table(points: Sequence[Point], keys: Sequence[str]) -> dict[str, dict[str, Interval]]:
    """By id of a point and key the interval of its mean, each key by itself, as some may be missing somewhere."""
    table: dict[str, dict[str, Interval]] = {}
    for key in keys:
        found: dict[str, Sample] = {point.id: drawn for point in points if (drawn := sample(point, [key]))}
        for point, row in zip(found, intervals(list(found.values())) or (), strict=False):
            table.setdefault(point, {})[key] = row[0]
    return table


def gain_table(
    points: Sequence[Point], objectives: Sequence[Objective], against: str | None
) -> dict[str, dict[str, Interval]]:
    """By id of a point and key the paired interval of how much better its mean is than that of the point `against`.

    In the metric's own unit. A key that the point `against` lacks is left out.
    """
    table: dict[str, dict[str, Interval]] = {}
    for objective, key in ((each, key) for each in objectives for key in replicate_keys([each])):
        found: dict[str, Sample] = {point.id: drawn for point in points if (drawn := sample(point, [key]))}
        if against not in found or (apart := differences(list(found.values()))) is None:
            continue
        at = list(found).index(against)
        for row, point in enumerate(found):
            pair = (row, at) if objective.sign > 0 else (at, row)
            table.setdefault(point, {})[key] = apart.intervals(*pair)[0]
    return table


def volume_interval(
    samples: Sequence[Sample], drawn: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]
) -> Interval:
    """Of the hypervolume of true values.

    Args:
        drawn: posterior draws about the means (D, N, M), not shrunken.
    """
    at = hypervolume(np.array([each.mean for each in samples]), objectives, reference)
    return reflected(at, np.array([hypervolume(each, objectives, reference) for each in drawn]))
