"""How often 90% intervals of differences hold where pairs of points differ in what a seed does.

    python studies/pair_correlation.py [--runs 120] [--write docs/studies/statistics.md]

Ten points have replicates on the same seeds, in two metrics. A seed does much the same to most of
them (correlation .9) and nothing in common to the rest, as to trees beside networks. Variances of
differences are learnt by pair (`bench.ledger.errors.seed_noise`), or by the one correlation of
`bench.ledger.errors.rankings`. `--write` puts the table between the marks in that file.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from unittest import mock

import numpy as np
from fronts import RESAMPLES, Floats
from speed.table import simulation

from bench.ledger.errors import intervals
from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.intervals import differences
from bench.ledger.errors.rankings import seeds_of
from bench.ledger.errors.seed_noise import SeedNoise, seed_noise

POINTS, METRICS = 10, 2
CORRELATION = 0.9
SEEDS, ROWS, ALIKE = 2e-3, 4e-4, 3e-3
"""Standard deviations: of a seed, of rows on one point, of rows on all points."""


def run_of(
    points_apart: int, replicates: int, rng: np.random.Generator
) -> tuple[Floats, list[Evidence]]:
    """True values (N, M) and evidence of a run in which seeds have nothing in common on `points_apart`
    points.
    """
    truth = 0.75 + rng.normal(0, 1e-3, (POINTS, METRICS))
    common = rng.normal(0, 1, (replicates, METRICS))
    common_rows = rng.normal(0, ALIKE, (1 + RESAMPLES, METRICS))
    evidence = []
    for point in range(POINTS):
        share = 0.0 if point < points_apart else CORRELATION
        own_effects = rng.normal(0, 1, (replicates, METRICS))
        seeds = SEEDS * (np.sqrt(share) * common + np.sqrt(1 - share) * own_effects)
        of_point = rng.normal(0, ROWS, (1 + RESAMPLES, METRICS))
        of_replicates = rng.normal(0, ROWS / 2, (replicates, 1 + RESAMPLES, METRICS))
        rows = common_rows + of_point + of_replicates
        names = tuple(range(replicates))
        evidence.append(Evidence(truth[point] + seeds + rows[:, 0], rows[:, 1:], names))
    return truth, evidence


def with_one_correlation(evidence: list[Evidence], noise: SeedNoise) -> SeedNoise:
    """The same noise with one correlation for all pairs."""
    effects = seeds_of(
        [sample.values[:, None] for sample in evidence], [sample.seeds for sample in evidence]
    )
    assert effects is not None
    variances = np.diagonal(noise.within, axis1=1, axis2=2)
    seed_variances = np.diagonal(noise.seed_only, axis1=1, axis2=2)
    of_seeds = (
        effects.correlation
        * variances.mean(axis=0)
        / np.maximum(seed_variances.mean(axis=0), 1e-15)
    )
    paired = replace(
        noise.paired,
        within=_differences(variances, effects.correlation),
        seed_only=_differences(seed_variances, of_seeds.clip(0, 0.98)),
        freedom=np.full_like(noise.paired.freedom, noise.total.min()),
        equal=True,
    )
    return replace(noise, paired=paired)


def _differences(variances: Floats, correlation: Floats) -> Floats:
    """(N, N, M), of differences of two with variances (N, M) and a correlation (M,)."""
    products = np.sqrt(variances[:, None] * variances[None])
    return np.asarray(variances[:, None] + variances[None] - 2 * correlation * products)


def coverage(points_apart: int, replicates: int, runs: int) -> list[str]:
    """Of pairs that seeds move alike, and of the others: by pair, and by one correlation."""
    rng = np.random.default_rng([replicates, points_apart])
    covered: dict[tuple[bool, bool], list[bool]] = {}
    for _ in range(runs):
        truth, evidence = run_of(points_apart, replicates, rng)
        by_pair = seed_noise(evidence)
        assert by_pair is not None
        for one_correlation, noise in (
            (False, by_pair),
            (True, with_one_correlation(evidence, by_pair)),
        ):
            with mock.patch.object(intervals, "seed_noise", return_value=noise):
                paired = differences(evidence)
            assert paired is not None
            for first, second in combinations(range(POINTS), 2):
                effects = paired.intervals(first, second)
                true = truth[first] - truth[second]
                inside = covered.setdefault((first < points_apart, one_correlation), [])
                inside += [
                    effect.low <= value <= effect.high
                    for effect, value in zip(effects, true, strict=True)
                ]
    kinds = [(False, False), (False, True), (True, False), (True, True)]
    return [f"{np.mean(covered[kind]):.1%}" if kind in covered else "-" for kind in kinds]


def table(runs: int) -> str:
    """By replicates and how many points stand apart."""
    lines = [
        "| replicates | points apart | alike, by pair | alike, one correlation | other pairs, by "
        "pair | other pairs, one correlation |",
        "|---|---|---|---|---|---|",
    ]
    for replicates in (2, 3, 5):
        for points_apart in (0, 2, 5):
            cells = coverage(points_apart, replicates, runs)
            lines.append(f"| {replicates} | {points_apart} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    simulation(__doc__, "pairs", 120, table)
