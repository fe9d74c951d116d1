"""Compares families on one data set: metric by metric, and front by front, with a test for luck in tuning.

A family is what its search found. Of two families whose trials are drawn from one distribution, one finds the better
points by chance: they truly are better, and yet the family is not. The test is a permutation test: it assigns the
trials of both families to them at random, as many to each as it had, and asks how often the difference is as large.
It is exact for trials drawn from one distribution, whatever noise the search's values have, and however many trials
each family had.

A verdict about two families has to survive two explanations: noise of seeds and rows in what was measured, and luck in
tuning. The p-value of a test is the larger of both. Holm's correction covers all
tests of the data set, of metrics and fronts together.

A front is the best of many noisy means, so it looks better than it is, and a front of more points even more so. The
bias is estimated from posterior draws about the means and subtracted from differences, see `reflected`.

In a metric the average of its k best members stands for a family, on a front the k that span the most. The search's own
values choose both; they share no seed with the replicates. k is the same for all families: more members span more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.frontier.comparison.families import Budget, FamilyPoint, average, budget_of, trials_of
from bench.frontier.comparison.verdict import CANNOT_TELL, SIZE, holm, replicates_needed
from bench.frontier.pareto import hypervolume
from bench.frontier.posterior import posterior_draws
from bench.frontier.samples import Sample, seed_noise
from bench.frontier.statistics import Interval, differences, reflected
from bench.objectives import Objective
from bench.seeds import derive

Floats = NDArray[np.float64]
DRAWS = 1000


def volume_differences(
    families: Mapping[str, Sequence[Sample]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    seed: int,
    draws: int = DRAWS,
) -> tuple[dict[str, float], dict[tuple[str, str], tuple[Interval, float]]]:
    """Of each family the hypervolume, and of each pair left minus right, and p that it is 0.

    Without what is known of the noise, hypervolumes are of the means, bias and all, and there are no pairs.

    Args:
        families: by name at least one configuration each; metrics as `objectives`.
    """
    every = [sample for members in families.values() for sample in members]
    noise = seed_noise(every) if every else None
    seen = {
        name: hypervolume(np.array([each.mean for each in members]), objectives, reference)
        for name, members in families.items()
    }
    if noise is None:
        return seen, {}
    drawn, freedom = posterior_draws(every, noise, seed, draws), float(np.median(noise.freedom))
    moved, first = {}, 0
    for name, members in families.items():
        part = drawn[:, first : first + len(members)]
        moved[name] = np.array([hypervolume(draw, objectives, reference) for draw in part])
        first += len(members)
    found = {}
    for left, right in combinations(families, 2):
        gap = reflected(seen[left] - seen[right], moved[left] - moved[right])
        p = 2 * float(stats.t.sf(abs(gap.value) / gap.seed, freedom)) if gap.seed > 0 else float(gap.value == 0)
        found[left, right] = gap, p
    return {name: reflected(seen[name], moved[name]).value for name in families}, found


@dataclass(frozen=True)
class Contrast:
    """The difference of two families in one measure.

    Attributes:
        objective: what is measured; None for the hypervolume of the fronts.
        value: left less right; None where nothing is known of the noise, as are the interval and `noise` then.
        interval: at `bench.frontier.statistics.LEVEL`.
        noise: p-value that noise of seeds and rows explains the difference.
        tuning: p-value that luck in tuning does; None where noise does already.
        adjusted: the larger of both, by Holm over all tests of the comparison.
        shared: seeds that both sides share; fewer than two are not paired.
        needed: replicates of each point that would rule out noise if the true difference equalled the estimate.
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
        if self.adjusted is not None and self.adjusted < SIZE:
            return f"{self.left if self.merit > 0 else self.right} is better"
        if self.noise is None:
            doubt = "no point has two replicates"
        elif self.tuning is not None and self.tuning > self.noise:
            doubt = f"luck in tuning is not ruled out (p = {self.tuning:.2g} before Holm)"
        else:
            doubt = f"about {self.needed} replicates would" if self.needed else ""
        return f"{CANNOT_TELL}: {doubt}" if doubt else CANNOT_TELL


def sample_of(member: FamilyPoint, objectives: Sequence[Objective], split: str) -> Sample:
    """The sample of a confirmed member."""
    found = member.sample(objectives, split)
    assert found is not None
    return found


def by_metric(
    families: Mapping[str, Sequence[FamilyPoint]], objective: Objective, split: str, k: int
) -> list[Contrast]:
    """All pairs of families in one metric."""
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
            found = average([sample_of(each, [objective], split) for each in chosen])
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


@dataclass(frozen=True)
class _Fronts:
    """How fronts are measured: by objectives, up to a complete reference, on a split; and the seed of the draws."""

    objectives: Sequence[Objective]
    reference: Mapping[str, float]
    split: str
    seed: int

    def samples(self, members: Sequence[FamilyPoint]) -> list[Sample]:
        return [sample_of(each, self.objectives, self.split) for each in members]

    def volume(self, values: Floats) -> float:
        return hypervolume(values, self.objectives, self.reference)


def by_front(families: Mapping[str, Sequence[FamilyPoint]], fronts: _Fronts) -> tuple[dict[str, float], list[Contrast]]:
    """The hypervolume of each family's front, and all pairs of families by it."""
    k = min(map(len, families.values()), default=0)
    samples = {name: fronts.samples(_spanning(members, fronts, k)) for name, members in families.items()}
    volumes, found = volume_differences(samples, fronts.objectives, fronts.reference, fronts.seed)
    if not found:
        return volumes, [Contrast(left, right, None, None, None, None) for left, right in combinations(families, 2)]
    return volumes, [Contrast(*pair, None, gap.value, (gap.low, gap.high), p) for pair, (gap, p) in found.items()]


def _spanning(members: Sequence[FamilyPoint], fronts: _Fronts, k: int) -> list[FamilyPoint]:
    """Those k members, one after the other, that add most to the hypervolume of the search's values."""
    values = np.array([member.searched(fronts.objectives) for member in members])
    chosen: list[int] = []
    for _ in range(k):
        rest = [at for at in range(len(members)) if at not in chosen]
        chosen.append(max(rest, key=lambda at: fronts.volume(values[[*chosen, at]])))
    return [members[at] for at in chosen]


Statistic = Callable[[Floats], float]

ENOUGH = 20


def tuning_luck(left: Floats, right: Floats, statistic: Statistic, sign: float, seed: int, most: int) -> float:
    """Two-sided p-value of the difference of a statistic between two families, in the direction that `sign` says.

    It stops at `ENOUGH` differences as large as the one seen (Besag and Clifford, Biometrika 1991), else after
    `most`: no p-value is smaller than 2 / (most + 1).

    Args:
        left, right: values of the search (n, M) of each trial.
        sign: +1 where left is said to be better, -1 where right is, of values for which larger is better.
    """
    rng, pooled, n = np.random.default_rng(seed), np.concatenate([left, right]), len(left)
    seen = sign * (statistic(left) - statistic(right))
    if seen <= 0:
        return 1.0
    hits = 0
    for step in range(1, most + 1):
        order = rng.permutation(len(pooled))
        hits += sign * (statistic(pooled[order[:n]]) - statistic(pooled[order[n:]])) >= seen
        if hits == ENOUGH:
            return min(1.0, 2 * hits / step)
    return 2 * (hits + 1) / (most + 1)


def best(k: int) -> Statistic:
    """The mean of the k largest of values (n, 1), all of them where there are fewer."""
    return lambda values: float(np.sort(values[:, 0])[-k:].mean())


MOST_MEMBERS = 3
"""The most members of a family that stand for it, its best."""


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison on one data set.

    Attributes:
        families: confirmed members by name.
        volumes: hypervolume of each family: of a tested one as the test of fronts has it, else of all confirmed points.
        tested: families of which two trials or more are confirmed: only those are tested.
        members: for how many of its best members a family stands in a test of a metric.
        gain: how many times fewer seeds pairing needs; 1 where no seeds are shared.
        tests: the smallest p first.
    """

    families: dict[str, list[FamilyPoint]]
    budgets: dict[str, Budget]
    volumes: dict[str, float]
    tested: tuple[str, ...]
    members: int
    gain: float
    tests: tuple[Contrast, ...]


def compare(
    families: Mapping[str, Sequence[FamilyPoint]],
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
    compared = {name: searched[name] for name in tested}
    k = min([MOST_MEMBERS, *map(len, compared.values())])
    fronts = _Fronts(objectives, reference, split, seed)
    tests = [test for objective in metrics or objectives for test in by_metric(compared, objective, split, k)]
    samples = {name: fronts.samples(members) for name, members in confirmed.items()}
    volumes = {name: fronts.volume(np.array([each.mean for each in own])) for name, own in samples.items()}
    if len({each.dataset for members in confirmed.values() for each in members}) == 1:
        own, contrasts = by_front(compared, fronts)
        volumes, tests = volumes | own, tests + contrasts
    permutations = max(999, math.ceil(4 * len(tests) / SIZE))  # Holm leaves the smallest p SIZE / tests
    tests = [_with_luck(test, families, fronts, k, permutations) for test in tests]
    every = differences([each for own in samples.values() for each in own])
    return Comparison(
        families=confirmed,
        budgets={name: budget_of(members) for name, members in families.items()},
        volumes=volumes,
        tested=tested,
        members=k,
        gain=1.0 if every is None else float(every.gain.min()),
        tests=_adjusted(tests),
    )


def _with_luck(
    test: Contrast, families: Mapping[str, Sequence[FamilyPoint]], fronts: _Fronts, k: int, permutations: int
) -> Contrast:
    """The test with its p-value of luck in tuning, where noise does not explain it already."""
    if test.noise is None or test.noise >= SIZE:
        return test
    of = fronts.objectives if test.objective is None else [test.objective]
    left, right = (
        np.array([value for each in trials_of(families[name]) if (value := each.searched(of)) is not None])
        for name in (test.left, test.right)
    )
    about = "front" if test.objective is None else test.objective.name
    purpose = derive(fronts.seed, "tuning", test.left, test.right, about)
    if test.objective is None:
        statistic: Statistic = fronts.volume
    else:
        statistic, left, right = best(k), test.objective.sign * left, test.objective.sign * right
    sign = math.copysign(1.0, test.merit)
    return replace(test, tuning=tuning_luck(left, right, statistic, sign, purpose, permutations))


def _adjusted(tests: Sequence[Contrast]) -> tuple[Contrast, ...]:
    known = [test.p for test in tests if test.p is not None]
    adjusted = iter(holm(np.array(known)).tolist())
    made = [test if test.p is None else replace(test, adjusted=next(adjusted)) for test in tests]
    return tuple(sorted(made, key=lambda test: math.inf if test.p is None else test.p))
