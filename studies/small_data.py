"""How often intervals of the served front and of the verdict hold the truth where few rows or
groups are served.

    python studies/small_data.py [--runs 300] [--write docs/studies/statistics.md]

Four models of two tasks, each on three seeds, rank by the product of their predictions. The pick is
the one with the largest sum of gains on confirmation rows. The truth is what forty other seeds come
to on a very large test.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from speed.table import simulation

from bench.core.rows import CONFIRM, TEST
from bench.deciding.aims import aims_of
from bench.deciding.policy import Policy
from bench.ledger.errors.rankings import draws_of, seeds_of
from bench.ledger.fusion import Fusion
from bench.ledger.ledger import as_cells, fractions_over
from bench.ledger.served.climb import Goal
from bench.ledger.served.joint import moves, posterior
from bench.ledger.served.measuring import Candidate, Meter, Place
from bench.measure.predictions import KeptRows

Floats = NDArray[np.float64]
TASKS = ("click", "like")
INPUTS, SEEDS, RESAMPLES, DRAWS = 4, 3, 200, 2000
NOISE = 0.3
"""By how much a seed moves a model's weights."""
MODELS = ((0.8, 0.0), (1.0, 0.0), (0.8, 0.6), (0.9, 0.3))
"""Of each model the size of the true weights in its own, and of a mistake. The first is the current
one.
"""
MISTAKE = np.array([[0.3, -0.2, 0.1, 0.0], [0.0, 0.2, -0.3, 0.1]])
TRUE = np.random.default_rng(5).normal(size=(2, INPUTS)) * 0.9
TRUE[1] -= 0.8 * TRUE[0]
EQUAL = Fusion.of("power", [1.0, 1.0])


@dataclass(frozen=True)
class Case:
    """A small test.

    Attributes:
        count: of groups, of users, or of rows where there are neither.
        sizes: of groups: 10 rows each, 3 to 400 by Pareto's law, or none; of users: 50 rows each.
        rate: of both labels.
        units: whether the card names the users, whose rows are all ranked together. Four fifths of
            an input's variance are the user's, and users have tastes of their own. Seeds matter a
            tenth as much as elsewhere.
    """

    metric: str
    count: int
    sizes: str
    rate: float
    units: bool = True

    def rows(self, count: int, rng: np.random.Generator) -> tuple[Floats, KeptRows]:
        """Inputs (N, INPUTS), and what else is known of the rows. A group has effects of its
        own.
        """
        sizes = {
            "10 rows each": np.full(count, 10),
            "3 to 400 rows": np.minimum(3 + (rng.pareto(1.1, count) * 5).astype(int), 400),
            "50 rows each": np.full(count, 50),
            "no groups": np.ones(count, int),
        }[self.sizes]
        group_of_row = np.repeat(np.arange(count), sizes)
        x = rng.normal(size=(len(group_of_row), INPUTS))
        if self.users:
            x = np.sqrt(0.2) * x + np.sqrt(0.8) * rng.normal(size=(count, INPUTS))[group_of_row]
        logit = self.base + (x @ TRUE.T) * np.exp(rng.normal(0, 0.6, count))[group_of_row, None]
        if self.users:
            logit += (x[:, :, None] * rng.normal(size=(count, INPUTS, 2))[group_of_row]).sum(axis=1)
        if self.sizes != "no groups":
            logit += rng.normal(size=(count, 2))[group_of_row]
        labels = (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(np.float32)
        group = np.full(len(group_of_row), -1) if self.sizes == "no groups" else group_of_row
        units = group_of_row
        if self.users:
            group, units = (
                np.full(len(group_of_row), -1),
                group_of_row if self.units else np.arange(len(group_of_row)),
            )
        return x, KeptRows(
            labels,
            group.astype(np.int32),
            tasks=TASKS,
            kinds=("binary", "binary"),
            rates=(self.rate, self.rate),
            units=units.astype(np.uint64),
            segments={},
            codes=np.empty((len(group_of_row), 0), np.int16),
            logged={},
            of=len(group_of_row),
        )

    @property
    def users(self) -> bool:
        """Whether rows are of users, who are not what is ranked."""
        return self.sizes == "50 rows each"

    @property
    def base(self) -> float:
        """The logit of the rate."""
        return float(np.log(self.rate / (1 - self.rate)))

    @property
    def outcomes(self) -> list[str]:
        """One of each task."""
        return [f"{task}.{self.metric}" for task in TASKS]

    def predict(self, x: Floats, model: int, seed: int) -> NDArray[np.float32]:
        """Predictions (N, 2) of a model that was trained on a seed."""
        size, mistaken = MODELS[model]
        noise = NOISE / 10 if self.users else NOISE
        moved = noise * np.random.default_rng([seed, model]).normal(size=TRUE.shape)
        return (
            1 / (1 + np.exp(-(self.base + x @ (size * TRUE + moved + mistaken * MISTAKE).T)))
        ).astype(np.float32)

    def truth(self) -> Floats:
        """(models, outcomes)."""
        rng = np.random.default_rng(99)
        x, rows = self.rows(60_000 if self.sizes == "no groups" else 5000, rng)
        candidates = self.candidates(tuple(range(10**6, 10**6 + 40)), {TEST: x})
        swept = Meter(candidates, rows, TEST, self.outcomes, 0).sweep([EQUAL])
        return np.array([values[:, 0].mean(axis=0) for values in swept])

    def candidates(self, seeds: tuple[int, ...], inputs: dict[str, Floats]) -> list[Candidate]:
        """All models, on these seeds."""

        def made(model: int) -> Candidate:
            def of(split: str, replicate: int) -> NDArray[np.float32]:
                return self.predict(inputs[split], model, seeds[replicate])

            return Candidate(str(model), "", "", "trial", seeds, of)

        return [made(model) for model in range(len(MODELS))]


CASES = [
    Case("ndcg@5", 10, "10 rows each", 0.1),
    Case("ndcg@5", 20, "3 to 400 rows", 0.1),
    Case("ndcg@5", 50, "3 to 400 rows", 0.1),
    Case("ndcg@5", 300, "3 to 400 rows", 0.1),
    Case("ndcg@5", 50, "10 rows each", 0.02),
    Case("recall@10%", 10, "3 to 400 rows", 0.1),
    Case("recall@10%", 50, "3 to 400 rows", 0.1),
    Case("recall@10%", 400, "no groups", 0.1),
    Case("recall@10%", 400, "no groups", 0.02),
    *(
        Case("recall@10%", count, "50 rows each", 0.1, units)
        for count in (40, 12)
        for units in (False, True)
    ),
]


def coverage(case: Case, runs: int) -> list[float]:
    """Shares: of values and of gains within their intervals, of picks whose gains all are, of picks
    with a wrong gain.

    Runs in which an outcome is not defined have no verdict, and do not count.
    """
    truth = case.truth()
    true_gains, shares = fractions_over(truth, 0), []
    for run in range(runs):
        rng, inputs, rows = np.random.default_rng([run, 3]), {}, {}
        for split in (CONFIRM, TEST):
            inputs[split], rows[split] = case.rows(case.count, rng)
        candidates = case.candidates(
            tuple(range(1000 * (run + 1), 1000 * (run + 1) + SEEDS)), inputs
        )
        confirm, test = (
            Meter(candidates, rows[split], split, case.outcomes, RESAMPLES)
            for split in (CONFIRM, TEST)
        )
        swept = confirm.sweep([EQUAL])
        places = [Place(model, 0) for model in range(len(MODELS))]
        (points,) = test.rankings(places, [EQUAL], test.measure)
        means = np.array([values[:, 0].mean(axis=0) for values in swept])
        if not (np.isfinite(means).all() and means[0].all() and np.isfinite(points.means).all()):
            continue
        drawn = draws_of(
            points, seeds_of(swept, [candidate.seeds for candidate in candidates]), run, DRAWS
        )
        gained, gain_draws = fractions_over(points.means, 0), fractions_over(drawn, 0)
        cells = as_cells(points.means, drawn, np.full_like(gained, np.nan), gained, gain_draws)
        _, lowest, highest, _, gain_low, gain_high, _ = np.moveaxis(cells, -1, 0)
        row = 1 + int((means[1:] / means[0]).sum(axis=1).argmax())
        aim = aims_of(Policy(), case.outcomes, {}, today=False)[0]
        utility = Goal(aim, means[0], np.zeros(len(TASKS))).utility
        joint = posterior(points.means, drawn, range(len(MODELS)), 0, utility, run)
        effects = moves(
            points.means, joint, row, 0, utility, aim.fraction, case.outcomes
        ).outcomes.values()
        low, high = (
            np.array([getattr(effect, end) for effect in effects]) for end in ("low", "high")
        )
        covered_gains = (gain_low <= true_gains) & (true_gains <= gain_high)
        shares.append(
            (
                ((lowest <= truth) & (truth <= highest)).mean(),
                covered_gains[1:].mean(),
                ((low <= true_gains[row]) & (true_gains[row] <= high)).all(),
                ((low > 0) & (true_gains[row] <= 0)).any(),
            )
        )
    return np.mean(shares, axis=0).tolist()


def table(cases: Sequence[Case], runs: int) -> str:
    """A row for each case of users, and for each metric the range of all other cases."""
    lines = ["| test | value | gain | gains of the pick | wrong gain |", "|---" * 5 + "|"]
    by_metric: dict[str, list[list[float]]] = {}
    users = []
    for case in cases:
        shares = coverage(case, runs)
        print(case, shares, file=sys.stderr, flush=True)
        if not case.users:
            by_metric.setdefault(case.metric, []).append(shares)
            continue
        texts = " | ".join(f"{share:.1%}" for share in shares)
        named = "named" if case.units else "not named"
        users.append(f"| {case.metric}, {case.count} users, {named} as units | {texts} |")
    for metric, found in by_metric.items():
        texts = " | ".join(
            f"{min(column):.1%} to {max(column):.1%}" for column in zip(*found, strict=True)
        )
        lines.append(f"| {metric}, {len(found)} cases | {texts} |")
    lines += users
    return "\n".join(lines)


if __name__ == "__main__":
    simulation(__doc__, "small", 300, lambda runs: table(CASES, runs))
