"""Families on one data set against each other: metric by metric, and front by front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bench.frontier.comparison.differences import Difference, Estimate, by_resamples, difference, seeds_needed
from bench.frontier.comparison.families import Member
from bench.frontier.comparison.holm import holm
from bench.frontier.comparison.indicators import Beyond, beyond
from bench.frontier.comparison.units import common_units
from bench.frontier.comparison.volumes import Volumes, volumes
from bench.frontier.intervals import difference as paired_by_resamples
from bench.frontier.samples import Sample
from bench.objectives import Objective
from bench.rows import SEARCH


@dataclass(frozen=True)
class MetricTest:
    """Two families in one objective, each by its best member.

    Attributes:
        left, right: names of the families.
        members: whose replicates were compared.
        adjusted: p by Holm over all tests of the comparison; None where there is none.
        needed: seeds on each side that it would take to tell such a difference among so many tests.
    """

    left: str
    right: str
    objective: Objective
    members: tuple[Member, Member]
    difference: Difference
    adjusted: float | None
    needed: int | None

    def told(self, size: float) -> bool:
        """Whether they differ, by a test of that size."""
        return self.adjusted is not None and self.adjusted < size

    @property
    def better(self) -> str:
        """The family that looks better."""
        return self.left if self.objective.sign * self.difference.value > 0 else self.right


@dataclass(frozen=True)
class FrontTest:
    """Two families by their fronts: `left` against `right`; `beyond` in the comparison's unit."""

    left: str
    right: str
    difference: Estimate
    ratio: Estimate | None
    beyond: Beyond
    behind: Beyond


@dataclass(frozen=True)
class Comparison:
    """What a comparison came to.

    Attributes:
        objectives: of the fronts.
        families: confirmed members by name.
        unit: of the epsilon indicators.
        metrics: tests of single metrics, the smallest p first.
        fronts: each pair of families once; none where members are on different data, which have no front in common.
    """

    objectives: tuple[Objective, ...]
    families: dict[str, list[Member]]
    volumes: Volumes
    unit: str
    metrics: tuple[MetricTest, ...]
    fronts: tuple[FrontTest, ...]


def compare(
    families: Mapping[str, Sequence[Member]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
    metrics: Sequence[Objective] | None = None,
) -> Comparison:
    """Compares families, each with at least one member, all of them confirmed on `split`.

    A family stands in a metric for its member that the search's own run found best in it: its replicates had no part in
    the choice, so they make it neither better nor worse than it is.

    Args:
        reference: of the hypervolume, complete.
        split: where the members' samples were measured.
        seed: of the draws behind the hypervolumes' intervals.
        metrics: other metrics than the objectives to test one by one.
    """
    samples = {name: samples_of(members, objectives, split) for name, members in families.items()}
    means = np.array([sample.mean for group in samples.values() for sample in group])
    units, unit = common_units(objectives, reference, means)
    sizes = volumes(samples, objectives, reference, seed)
    one = len({member.dataset for members in families.values() for member in members}) == 1
    fronts = [
        FrontTest(
            left,
            right,
            sizes.difference(left, right),
            sizes.ratio(left, right),
            beyond(samples[left], samples[right], objectives, units),
            beyond(samples[right], samples[left], objectives, units),
        )
        for left, right in combinations(families if one else (), 2)
    ]
    tests = _metric_tests(families, metrics or objectives, split)
    kept = {name: list(members) for name, members in families.items()}
    return Comparison(tuple(objectives), kept, sizes, unit, tests, tuple(fronts))


def samples_of(members: Sequence[Member], objectives: Sequence[Objective], split: str) -> list[Sample]:
    """The samples of those members that are confirmed on a split."""
    return [found for member in members if (found := member.sample(objectives, split)) is not None]


def by_seed(member: Member, key: str) -> dict[int, float]:
    """A metric's finite values by seed, over the replicates that did not fail."""
    runs = [run for run in member.point.replicates if run.failure is None]
    return {run.seed: run.metrics[key] for run in runs if math.isfinite(run.metrics.get(key, math.nan))}


def best_seen(members: Sequence[Member], objective: Objective, key: str) -> Member | None:
    """The member that the search's own run found best on validation, of those with a value of `key`; the first of
    equals."""

    def merit(member: Member) -> float:
        return objective.sign * member.point.metrics[objective.key(SEARCH)]

    seen = [each for each in members if by_seed(each, key) and objective.key(SEARCH) in each.point.metrics]
    return max(seen, key=merit, default=None)


def _metric_tests(
    families: Mapping[str, Sequence[Member]], metrics: Sequence[Objective], split: str
) -> tuple[MetricTest, ...]:
    found = []
    for objective in metrics:
        best = {name: best_seen(members, objective, objective.key(split)) for name, members in families.items()}
        every = [sample for members in families.values() for sample in samples_of(members, [objective], split)]
        for left, right in combinations(families, 2):
            a, b = best[left], best[right]
            if a is not None and b is not None:
                found.append((left, right, objective, (a, b), _difference(a, b, objective, split, every)))
    known = [test[4].p for test in found if test[4].p is not None]
    adjusted = iter(holm(np.array(known)).tolist())
    tests = [
        MetricTest(*test, None if test[4].p is None else next(adjusted), seeds_needed(test[4], len(known)))
        for test in found
    ]
    return tuple(sorted(tests, key=lambda test: math.inf if test.difference.p is None else test.difference.p))


def _difference(left: Member, right: Member, objective: Objective, split: str, every: Sequence[Sample]) -> Difference:
    """Paired by seed where seeds are shared, else by resample where there are any, else unpaired.

    Args:
        every: samples from which what seeds do is learnt.
    """
    a, b = (by_seed(member, objective.key(split)) for member in (left, right))
    [first], [second] = (samples_of([member], [objective], split) for member in (left, right))
    if left.dataset != right.dataset:  # resample b is other rows there: nothing is shared
        return difference(a, b, _spread(first) + _spread(second))
    alike = len(first.deviation) == len(second.deviation) > 1
    if len(a.keys() & b.keys()) < 2 and alike:
        paired = paired_by_resamples(first, second, every)
        return difference(a, b) if paired is None else by_resamples(paired[0], (len(a), len(b)))
    return difference(a, b, float((first.deviation - second.deviation).var(ddof=1)) if alike else 0.0)


def _spread(sample: Sample) -> float:
    """Variance of one metric's mean over resamples of the split; 0 where there are none."""
    return float(sample.deviation.var(ddof=1)) if len(sample.deviation) > 1 else 0.0
