"""How often the verdict about a served front is wrong, on simulated fronts whose truth is known.

    OMP_NUM_THREADS=1 python studies/served_verdicts.py [--runs 1000] [--write docs/statistics.md]

Eleven networks, the current one among them, and a baseline have true fronts of two outcomes over 15 weights; some are
better by 3%. Seeds and rows move each front as a whole, along it, and at each weight; a part of it moves all alike.
Replicates share seeds. The real code draws the served front of these outcomes; no model is measured.

The pick is a serving point of another network: the one with the largest gain on confirmation rows over the current
point. By turns the gain is that of the worse outcome, and the sum of both if it loses at most 5% of each. So the choice
favours luck as much as possible. Columns are shares of runs. "Held": all intervals of the pick hold the truth. "Wrong
gain", "wrong cost": an outcome is said to be gained or lost that is not. "Wrong win": a win that loses more than half a
per cent of an outcome. "Wrong worth": by the rule `knee` the pick is said to gain, or to be worth its cost or not, and
it is not so; "worth held": the interval of that score holds the truth. "Unnamed": a switch is advised, and a baseline
that is as good as the best not named. "Trees": trees are said to be ahead.
`--write` puts the table between the marks in that file.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from speed.table import simulation

from bench.frontier.policy import Policy
from bench.frontier.verdict import verdict
from bench.objectives import Objective
from bench.results.effect import MARGIN, Effect
from bench.results.ledger import ALL, as_cells
from bench.results.served.distance import rows_of
from bench.results.served.errors import Points, draws_of, seeds_of
from bench.results.served.front import gains, kept, on_front, reach
from bench.results.served.served import Served
from bench.rows import CONFIRM, TEST

Floats = NDArray[np.float64]

KNEE = Policy(rule="knee")
OUTCOMES = (Objective("click.recall@10%", "maximize"), Objective("like.recall@10%", "maximize"))
WEIGHTS = np.linspace(0, 1, 15)
NETWORKS, RESAMPLES, DRAWS = 11, 100, 600
COLUMNS = (
    "win", "trade", "tie", "baseline", "unknown", "held", "wrong gain", "wrong cost", "wrong win", "wrong worth",
    "worth held", "unnamed",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Networks and a baseline, all equal except where an attribute says otherwise.

    Attributes:
        seed, rows: standard errors of one replicate's outcomes, as shares of them.
        best: by how much network 1 is better than all others, in each outcome.
        baseline, better: its name, and by how much it is better than the other networks.
    """

    name: str
    seed: float
    rows: float
    replicates: int = 3
    best: tuple[float, float] = (0.0, 0.0)
    baseline: str = "random_weights"
    better: tuple[float, float] = (0.0, 0.0)

    @property
    def factors(self) -> Floats:
        """(C, M) of true outcomes."""
        found = np.ones((NETWORKS + 1, 2))
        found[1] += self.best
        found[-1] += self.better
        return found


CASES = (
    Case("all equal, rows matter more", 0.002, 0.01),
    Case("all equal, seeds matter more", 0.02, 0.004),
    Case("the same, 2 replicates", 0.02, 0.004, 2),
    Case("3% more of one, 2 replicates", 0.004, 0.004, 2, (0.0, 0.03)),
    Case("3% more of one", 0.004, 0.004, best=(0.0, 0.03)),
    Case("3% more of one, seeds matter more", 0.02, 0.004, best=(0.0, 0.03)),
    Case("3% more of one, a baseline as good", 0.004, 0.004, best=(0.0, 0.03), better=(0.0, 0.03)),
    Case("the same, seeds matter more", 0.01, 0.004, best=(0.0, 0.03), better=(0.0, 0.03)),
    Case("3% more of both, a baseline as good, seeds", 0.01, 0.004, best=(0.03, 0.03), better=(0.03, 0.03)),
    Case("trees equal to all", 0.004, 0.004, baseline="trees"),
    Case("trees equal to all, seeds matter more", 0.02, 0.004, baseline="trees"),
    Case("trees 3% ahead of all", 0.004, 0.004, baseline="trees", better=(0.03, 0.03)),
)


def front() -> Floats:
    """(K, M) true outcomes at each weight."""
    at = 0.2 + 1.1 * WEIGHTS
    return np.stack([0.5 * np.cos(at), 0.5 * np.sin(at)], axis=1)


def errors(rng: np.random.Generator, *shape: int) -> Floats:
    """(shape, K, M) of standard deviation about 1: a front as a whole, along it, and each weight by itself."""
    level, tilt = rng.normal(size=(2, *shape, 1, 2))
    rough = rng.normal(size=(*shape, len(WEIGHTS), 2))
    return np.asarray(0.8 * level + 0.8 * tilt * (2 * WEIGHTS[:, None] - 1) + 0.3 * rough)


def served_of(case: Case, number: int) -> tuple[Served, Floats]:
    """A run's served front, and the (S, M) true outcomes of its points."""
    rng, many = np.random.default_rng([number, 1]), NETWORKS + 1
    truth = case.factors[:, None] * front()  # (C, K, M)
    trained = np.sqrt(0.3) * errors(rng, 1, case.replicates) + np.sqrt(0.7) * errors(rng, many, case.replicates)

    def rows(*shape: int) -> Floats:
        return case.rows * (np.sqrt(0.7) * errors(rng, *shape, 1) + np.sqrt(0.3) * errors(rng, *shape, many))

    seeds = [tuple(range(case.replicates))] * many
    values = {split: truth[:, None] * (1 + case.seed * trained + rows()[:, None]) for split in (CONFIRM, TEST)}
    means = values[CONFIRM].mean(axis=1)
    shape = seeds_of(list(values[CONFIRM]), seeds)
    assert shape is not None
    error = np.sqrt(2 * (shape.shape**2).sum(axis=0).mean(axis=0) / case.replicates)
    valid = np.ones(means.shape[:2], dtype=bool)
    now = (0, len(WEIGHTS) // 2)
    places = kept(means, valid, error, OUTCOMES, now)
    of, at = np.array(places).T
    points = {
        split: Points(of, at, tuple(values[split][c, :, k] for c, k in places),
                      (truth * rows(RESAMPLES))[:, of, at], np.zeros((len(of), 2)))
        for split in (CONFIRM, TEST)
    }  # fmt: skip
    drawn = {split: draws_of(each, shape, number, DRAWS) for split, each in points.items()}
    of_rows, row = draws_of(points[TEST], None, number, DRAWS), places.index(now)
    ids = ["now", *(str(each) for each in range(1, NETWORKS)), case.baseline]
    roles = ["current", *["trial"] * (NETWORKS - 1), "baseline"]
    table = pd.DataFrame({
        "point": [ids[c] for c in of], "name": [ids[c] for c in of], "architecture": "mmoe",
        "role": [roles[c] for c in of], "kind": "power", "on_front": on_front(means, valid, OUTCOMES)[of, at],
        "weights": [{"click": float(1 - WEIGHTS[k]), "like": float(WEIGHTS[k])} for k in at],
        "p_nondominated": np.nan,
    })  # fmt: skip
    unknown, cells = np.full((len(of), 2), np.nan), {}
    for split, each in points.items():  # a verdict makes its own intervals, so that those of cells are not needed
        none = drawn[split][:0]
        cells[split, ALL] = as_cells(each.means, none, unknown, gains(each.means, row), none)
    draws = {split: each.astype(np.float32) for split, each in drawn.items()}
    variance, wide = gains(of_rows, row).var(axis=0), reach(drawn[TEST], of_rows, row)
    served = Served(OUTCOMES, table, cells, draws, row, Effect(np.nan), case.replicates, variance, wide)
    return served, truth[of, at]


def found_in(case: Case, number: int) -> list[str]:
    """Which columns a run counts in."""
    served, truth = served_of(case, number)
    seen = served.at(CONFIRM, "gain")
    worst = seen.min(axis=1)
    score = worst if number % 2 else np.where(worst > -0.05, seen.sum(axis=1), -1.0)
    row = int(np.where(rows_of(served, roles=["trial"]), score, -np.inf).argmax())
    told = verdict(served, row, "the current model", worth=KNEE.worth([each.name for each in OUTCOMES]))
    true = truth[row] / truth[served.current] - 1
    changes = list(zip(told.changes.values(), np.round(true, 12).tolist(), strict=True))
    said = told.kind in ("win", "trade")
    all_in_all, worth = float(np.log1p(true).mean()), told.worth
    assert worth
    checks = {
        told.kind: True,
        "held": all(each.low <= is_so <= each.high for each, is_so in changes),
        "wrong gain": said and any(each.gained and is_so <= 0 for each, is_so in changes),
        "wrong cost": told.kind == "trade" and any(each.lost and is_so >= 0 for each, is_so in changes),
        "wrong win": told.kind == "win" and any(is_so < -MARGIN for _, is_so in changes),
        "wrong worth": said and ((worth.gained and all_in_all <= 0) or (worth.lost and all_in_all > 0)),
        "worth held": worth.low <= all_in_all <= worth.high,
        "unnamed": said and max(case.better) > 0 and case.baseline not in told.sentence,
    }
    return [name for name, is_so in checks.items() if is_so]


def table_of(cases: Sequence[Case], runs: int) -> str:
    """Shares of runs, by case."""
    lines = [f"| runs | {' | '.join([*COLUMNS, 'trees'])} |", "|---" * (2 + len(COLUMNS)) + "|"]
    for case in cases:
        counts = Counter(name for number in range(runs) for name in found_in(case, number))
        shares = [f"{counts[name] / runs:.1%}" for name in [*COLUMNS, "trees"]]
        lines.append(f"| {case.name} | {' | '.join(shares)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


if __name__ == "__main__":
    simulation(__doc__, "served verdicts", 1000, lambda runs: table_of(CASES, runs))
