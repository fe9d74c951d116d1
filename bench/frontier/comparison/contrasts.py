"""Contrasts of two families in a metric or in their fronts' hypervolume, with noise of seeds and rows.

A front is the best of many noisy means, so it looks better than it is, and a front of more points even more so. The
bias is estimated from posterior draws about the means and subtracted from differences, see `reflected`.

In a metric the average of its k best members stands for a family, on a front the k that span the most. The search's own
values choose both; they share no seed with the replicates. k is the same for all families: more members span more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from bench.frontier.comparison.families import FamilyPoint, average
from bench.frontier.comparison.verdict import better, replicates_needed
from bench.frontier.intervals import Interval, differences, reflected
from bench.frontier.pareto import hypervolume
from bench.frontier.posterior import posterior_draws
from bench.frontier.samples import Sample
from bench.frontier.variance import seed_noise
from bench.objectives import Objective

DRAWS = 1000


def volume_differences(
    families: Mapping[str, Sequence[Sample]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    seed: int,
    draws: int = DRAWS,
) -> dict[tuple[str, str], tuple[Interval, float]]:
    """Of each pair of families left minus right, and p that it is 0; empty where nothing is known of the noise.

    Args:
        families: by name at least one configuration each; metrics as `objectives`.
        seed: of the draws.
    """
    every = [sample for members in families.values() for sample in members]
    noise = seed_noise(every) if every else None
    if noise is None:
        return {}
    drawn, freedom = posterior_draws(every, noise, seed, draws), float(np.median(noise.freedom))
    seen, moved, first = {}, {}, 0
    for name, members in families.items():
        part = drawn[:, first : first + len(members)]
        seen[name] = hypervolume(np.array([each.mean for each in members]), objectives, reference)
        moved[name] = np.array([hypervolume(draw, objectives, reference) for draw in part])
        first += len(members)
    found = {}
    for left, right in combinations(families, 2):
        gap = reflected(seen[left] - seen[right], moved[left] - moved[right])
        p = 2 * float(stats.t.sf(abs(gap.value) / gap.seed, freedom)) if gap.seed > 0 else float(gap.value == 0)
        found[left, right] = gap, p
    return found


@dataclass(frozen=True)
class Contrast:
    """The difference of two families in one measure.

    Attributes:
        objective: what is measured; None for the hypervolume of the fronts.
        value: left less right; None where nothing is known of the noise, as are the interval and `noise` then.
        interval: at `bench.frontier.intervals.LEVEL`.
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
        if self.noise is None:
            doubt = "no point has two replicates"
        elif self.tuning is not None and self.tuning > self.noise:
            doubt = f"luck in tuning is not ruled out (p = {self.tuning:.2g} before Holm)"
        else:
            doubt = f"about {self.needed} replicates would" if self.needed else ""
        return better(self.left, self.right, self.merit, self.adjusted, doubt)


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


def by_front(
    families: Mapping[str, Sequence[FamilyPoint]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
) -> list[Contrast]:
    """All pairs of families by the hypervolume of their fronts."""
    k = min(map(len, families.values()), default=0)
    samples = {
        name: [sample_of(each, objectives, split) for each in _spanning(members, objectives, reference, k)]
        for name, members in families.items()
    }
    found = volume_differences(samples, objectives, reference, seed)
    if not found:
        return [Contrast(left, right, None, None, None, None) for left, right in combinations(families, 2)]
    return [Contrast(*pair, None, gap.value, (gap.low, gap.high), p) for pair, (gap, p) in found.items()]


def _spanning(
    members: Sequence[FamilyPoint], objectives: Sequence[Objective], reference: Mapping[str, float], k: int
) -> list[FamilyPoint]:
    """Those k members, one after the other, that add most to the hypervolume of the search's values."""
    values = np.array([member.searched(objectives) for member in members])
    chosen: list[int] = []
    for _ in range(k):
        rest = [at for at in range(len(members)) if at not in chosen]
        chosen.append(max(rest, key=lambda at: hypervolume(values[[*chosen, at]], objectives, reference)))
    return [members[at] for at in chosen]
