"""Families on one data set against each other: metric by metric, and front by front.

A verdict about two families has to survive two explanations: noise of seeds and rows in what was measured, and luck in
tuning (`bench.frontier.comparison.tuning`). The p-value of a test is the larger of both. Holm's correction covers all
tests of the data set, of metrics and fronts together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
from scipy import stats

from bench.frontier.comparison.families import Budget, Member, average, budget_of, trials_of
from bench.frontier.comparison.holm import holm
from bench.frontier.comparison.needed import replicates_needed
from bench.frontier.comparison.tuning import Statistic, best, tuning_luck
from bench.frontier.comparison.verdict import SIZE, better
from bench.frontier.comparison.volumes import volumes
from bench.frontier.hypervolume import hypervolume
from bench.frontier.intervals import differences
from bench.frontier.samples import Sample
from bench.objectives import Objective
from bench.seeds import derive

MOST_MEMBERS = 3
"""A family stands for at most so many of its best members."""


@dataclass(frozen=True)
class Contrast:
    """Two families in one measure.

    Attributes:
        objective: what is measured; None for the hypervolume of the fronts.
        value: left less right; None where nothing is known of the noise, as are the interval and `noise` then.
        interval: at `bench.frontier.intervals.LEVEL`.
        noise: p-value that noise of seeds and rows explains the difference.
        tuning: p-value that luck in tuning does; None where noise does already.
        adjusted: the larger of both, by Holm over all tests of the comparison.
        shared: seeds that both sides share; fewer than two are not paired.
        needed: replicates of each point with which noise would be ruled out, were the difference as it looks.
    """

    left: str
    right: str
    objective: Objective | None
    value: float | None
    interval: tuple[float, float] | None
    noise: float | None
    tuning: float | None = None
    adjusted: float | None = None
    shared: int = 0
    needed: int | None = None

    @property
    def merit(self) -> float:
        """The value, larger where left is better."""
        return (self.value or 0.0) * (1.0 if self.objective is None else self.objective.sign)

    @property
    def p(self) -> float | None:
        """The larger of both p-values."""
        return self.noise if self.noise is None or self.tuning is None else max(self.noise, self.tuning)

    @property
    def verdict(self) -> str:
        """Which family is better, or why it cannot be told."""
        if self.noise is None:
            doubt = "no point has two replicates"
        elif self.tuning is not None and self.tuning > self.noise:
            doubt = f"luck in tuning explains it (p = {self.tuning:.2g})"
        else:
            doubt = f"about {self.needed} replicates would" if self.needed else ""
        return better(self.left, self.right, self.merit, self.adjusted, doubt)


@dataclass(frozen=True)
class Comparison:
    """What a comparison came to.

    Attributes:
        families: confirmed members by name.
        budgets: what the search spent on each family.
        volumes: hypervolume of all confirmed members of each family.
        tested: families of which two trials or more are confirmed: only those are tested.
        members: for how many of its best members a family stands in a test of a metric.
        gain: how many times fewer seeds pairing needs; 1 where no seeds are shared.
        tests: the smallest p first.
    """

    families: dict[str, list[Member]]
    budgets: dict[str, Budget]
    volumes: dict[str, float]
    tested: tuple[str, ...]
    members: int
    gain: float
    tests: tuple[Contrast, ...]


def compare(
    families: Mapping[str, Sequence[Member]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
    metrics: Sequence[Objective] | None = None,
) -> Comparison:
    """Compares families by their confirmed trials.

    In a metric a family stands for the average of its best members by the search's own value, which shares no seed with
    the replicates; as many of each family, at most `MOST_MEMBERS`.

    Args:
        families: all members, confirmed on `split` or not; each family has at least one that is.
        reference: of the hypervolume, complete.
        seed: of the draws behind the hypervolumes' intervals, and of permutations.
        metrics: other metrics than the objectives to test one by one.
    """
    confirmed = {
        name: [each for each in members if each.sample(objectives, split) is not None]
        for name, members in families.items()
    }
    searched = {
        name: [each for each in members if each.searched(objectives) is not None] for name, members in confirmed.items()
    }
    tested = tuple(name for name, members in searched.items() if len(members) > 1)
    k = min([MOST_MEMBERS, *(len(searched[name]) for name in tested)])
    tests: list[Contrast] = []
    for objective in metrics or objectives:
        tests += _by_metric({name: searched[name] for name in tested}, objective, split, k)
    if len({each.dataset for members in confirmed.values() for each in members}) == 1:
        tests += _by_front({name: searched[name] for name in tested}, objectives, reference, split, seed)
    permutations = max(999, math.ceil(4 * len(tests) / SIZE))  # Holm leaves the smallest p SIZE / tests
    tests = [_with_luck(test, families, objectives, reference, k, seed, permutations) for test in tests]
    every = differences([_sample(each, objectives, split) for members in confirmed.values() for each in members])
    return Comparison(
        families=confirmed,
        budgets={name: budget_of(members) for name, members in families.items()},
        volumes={name: _volume(members, objectives, reference, split) for name, members in confirmed.items()},
        tested=tested,
        members=k,
        gain=1.0 if every is None else float(every.gain.min()),
        tests=_adjusted(tests),
    )


def _sample(member: Member, objectives: Sequence[Objective], split: str) -> Sample:
    found = member.sample(objectives, split)
    assert found is not None
    return found


def _volume(
    members: Sequence[Member], objectives: Sequence[Objective], reference: Mapping[str, float], split: str
) -> float:
    means = [_sample(each, objectives, split).mean for each in members]
    return hypervolume(np.array(means), objectives, reference)


def _by_metric(families: Mapping[str, Sequence[Member]], objective: Objective, split: str, k: int) -> list[Contrast]:
    """All pairs of families in one metric, as far as noise goes."""
    averages: dict[str, Sample] = {}
    datasets = list(dict.fromkeys(each.dataset for members in families.values() for each in members))
    for name, members in families.items():
        seen = [
            (objective.sign * value[0], at)
            for at, each in enumerate(members)
            if (value := each.searched([objective])) and each.sample([objective], split)
        ]
        chosen = [members[at] for _, at in sorted(seen, reverse=True)[:k]]
        if len(chosen) == k:
            found = average([_sample(each, [objective], split) for each in chosen])
            place = datasets.index(chosen[0].dataset)  # resample b is other rows on other data: unpaired by a shift
            averages[name] = replace(found, deviations=np.roll(found.deviations, place, axis=1))
    pairs = list(combinations(range(len(averages)), 2))
    names, between = list(averages), differences(list(averages.values())) if averages else None
    if between is None:
        return [Contrast(names[i], names[j], objective, None, None, None) for i, j in pairs]
    tests = []
    for i, j in pairs:
        of, shared = between.intervals(i, j)[0], int(between.shared[i, j])
        error = math.hypot(of.seed, of.data)
        p = 2 * float(stats.t.sf(abs(of.value) / error, of.freedom)) if error > 0 else float(of.value == 0)
        now = min(len(averages[names[at]]) for at in (i, j))
        needed = replicates_needed(of.value, of.seed**2, of.data**2, of.freedom, now, max(1, len(pairs)))
        tests.append(
            Contrast(names[i], names[j], objective, of.value, (of.low, of.high), p, shared=shared, needed=needed)
        )
    return tests


def _by_front(
    families: Mapping[str, Sequence[Member]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
) -> list[Contrast]:
    """All pairs of families by the hypervolume of their fronts, as far as noise goes."""
    samples = {name: [_sample(each, objectives, split) for each in members] for name, members in families.items()}
    found, tests = volumes(samples, objectives, reference, seed), []
    for left, right in combinations(families, 2):
        gap = found.difference(left, right)
        known = (None, None, None) if gap is None else (gap.value, gap.interval, gap.p)
        tests.append(Contrast(left, right, None, *known))
    return tests


def _with_luck(
    test: Contrast,
    families: Mapping[str, Sequence[Member]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    k: int,
    seed: int,
    permutations: int,
) -> Contrast:
    """The test with its p-value of luck in tuning, where noise does not explain it already."""
    if test.noise is None or test.noise >= SIZE:
        return test
    of = objectives if test.objective is None else [test.objective]
    left, right = (
        np.array([value for each in trials_of(families[name]) if (value := each.searched(of)) is not None])
        for name in (test.left, test.right)
    )
    purpose = derive(seed, "tuning", test.left, test.right, "front" if test.objective is None else test.objective.name)
    if test.objective is None:
        statistic: Statistic = partial(hypervolume, objectives=objectives, reference=reference)
    else:
        statistic, left, right = best(k), test.objective.sign * left, test.objective.sign * right
    sign = math.copysign(1.0, test.merit)
    return replace(test, tuning=tuning_luck(left, right, statistic, sign, purpose, permutations))


def _adjusted(tests: Sequence[Contrast]) -> tuple[Contrast, ...]:
    known = [test.p for test in tests if test.p is not None]
    adjusted = iter(holm(np.array(known)).tolist())
    made = [test if test.p is None else replace(test, adjusted=next(adjusted)) for test in tests]
    return tuple(sorted(made, key=lambda test: math.inf if test.p is None else test.p))
