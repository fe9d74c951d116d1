"""Compares families on one data set: metric by metric, and front by front, with a test for luck in tuning.

A family is what its search found. Of two families whose trials are drawn from one distribution, one finds the better
points by chance: they truly are better, and yet the family is not. The test is a permutation test: it assigns the
trials of both families to them at random, as many to each as it had, and asks how often the difference is as large.
It is exact for trials drawn from one distribution, whatever noise the search's values have, and however many trials
each family had.

A verdict about two families has to survive two explanations: noise of seeds and rows in what was measured, and luck in
tuning. The p-value of a test is the larger of both. Holm's correction covers all
tests of the data set, of metrics and fronts together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.frontier.comparison.contrasts import Contrast, by_front, by_metric, sample_of
from bench.frontier.comparison.families import Budget, FamilyPoint, budget_of, trials_of
from bench.frontier.comparison.verdict import SIZE, holm
from bench.frontier.intervals import differences
from bench.frontier.pareto import hypervolume
from bench.objectives import Objective
from bench.seeds import derive

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], float]

ENOUGH = 20


def tuning_luck(left: Floats, right: Floats, statistic: Statistic, sign: float, seed: int, most: int) -> float:
    """Two-sided p-value of the difference of a statistic between two families, in the direction that `sign` says.

    It stops at `ENOUGH` differences as large as the one seen (Besag and Clifford, Biometrika 1991), else after
    `most`: no p-value is smaller than 2 / (most + 1).

    Args:
        left, right: values of the search (n, M) of each trial.
        statistic: of such values.
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
        budgets: what the search spent on each family.
        volumes: hypervolume of all confirmed points of each family, baselines among them.
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
    k = min([MOST_MEMBERS, *(len(searched[name]) for name in tested)])
    tests: list[Contrast] = []
    for objective in metrics or objectives:
        tests += by_metric({name: searched[name] for name in tested}, objective, split, k)
    if len({each.dataset for members in confirmed.values() for each in members}) == 1:
        tests += by_front({name: searched[name] for name in tested}, objectives, reference, split, seed)
    permutations = max(999, math.ceil(4 * len(tests) / SIZE))  # Holm leaves the smallest p SIZE / tests
    tests = [_with_luck(test, families, objectives, reference, k, seed, permutations) for test in tests]
    every = differences([sample_of(each, objectives, split) for members in confirmed.values() for each in members])
    return Comparison(
        families=confirmed,
        budgets={name: budget_of(members) for name, members in families.items()},
        volumes={name: _volume(members, objectives, reference, split) for name, members in confirmed.items()},
        tested=tested,
        members=k,
        gain=1.0 if every is None else float(every.gain.min()),
        tests=_adjusted(tests),
    )


def _volume(
    members: Sequence[FamilyPoint], objectives: Sequence[Objective], reference: Mapping[str, float], split: str
) -> float:
    means = [sample_of(each, objectives, split).mean for each in members]
    return hypervolume(np.array(means), objectives, reference)


def _with_luck(
    test: Contrast,
    families: Mapping[str, Sequence[FamilyPoint]],
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
