"""How often identical families get a verdict, and how often a better one is found.

    python studies/families.py [--runs 200] [--write docs/studies/statistics.md]

Each family has trials on a concave front, tuned more or less well. The search sees each once; its
best are confirmed. `--write` puts the table between the marks in that file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from speed.table import simulation

from bench.core.objectives import Objective
from bench.core.records import Point, Replicate
from bench.ledger.comparison.comparison import Comparison, compare
from bench.ledger.comparison.families import FamilyPoint, families

Floats = NDArray[np.float64]
OBJECTIVES = (Objective("a.auc", "maximize"), Objective("b.auc", "maximize"))
KEYS = ("a.auc", "b.auc")
REFERENCE = {"a.auc": 0.5, "b.auc": 0.5}
RESAMPLES = 30


@dataclass(frozen=True)
class Setting:
    """How families come about; sizes in thousandths.

    Attributes:
        families: how many there are.
        trials: of each family, in turn; `confirmed` of them, with `replicates` each.
        same: whether all families have the same true values, or draw theirs from one distribution.
        tuning: standard deviation of a trial's distance from the front.
        seeds, rows: standard deviations of one replicate, of which the seed does four fifths to all
            alike, and of what the split does to one configuration.
        ahead: by how much every trial of the first family is better.
    """

    name: str
    families: int = 2
    trials: tuple[int, ...] = (20,)
    confirmed: int = 3
    replicates: int = 5
    same: bool = False
    tuning: float = 1.0
    seeds: float = 0.4
    rows: float = 0.2
    ahead: float = 0.0


SETTINGS = (
    *(Setting(f"{n} families, same true values", n, same=True) for n in (2, 4, 8)),
    *(Setting(f"{n} families, trials of one distribution", n) for n in (2, 4, 8)),
    Setting("8 families, little noise", 8, seeds=0.1, rows=0.05),
    Setting("8 families, 2 confirmed, 3 replicates", 8, confirmed=2, replicates=3),
    Setting("2 families, 8 and 60 trials", trials=(8, 60)),
    Setting("4 families, 8 and 60 trials", 4, trials=(8, 60), seeds=0.1),
    Setting("2 families, one better by 1e-3", ahead=1.0),
    Setting("2 families, one better by 2e-3", ahead=2.0),
    Setting("8 families, one better by 2e-3", 8, ahead=2.0),
)


def members_of(setting: Setting, rng: np.random.Generator) -> list[FamilyPoint]:
    """All trials of all families."""
    split = {
        split_name: rng.normal(0, 10 * setting.rows, (1 + RESAMPLES, 2))
        for split_name in ("valid", "test")
    }
    common = rng.normal(0, 1, (1 + setting.replicates, 2))
    common[0] = 0  # of the search, whose seeds differ by trial
    points: list[FamilyPoint] = []
    truth = np.empty((0, 2))
    for family in range(setting.families):
        n = setting.trials[family % len(setting.trials)]
        if family == 0 or not setting.same:
            angle = rng.uniform(0, np.pi / 2, n)
            off = np.abs(rng.normal(0, setting.tuning, (n, 1)))
            truth = 2 * np.column_stack([np.cos(angle), np.sin(angle)]) - off
        true = truth + (setting.ahead if family == 0 else 0)
        shares = np.sqrt(0.8) * common + np.sqrt(0.2) * rng.normal(
            0, 1, (n, 1 + setting.replicates, 2)
        )
        shares[:, 0] = rng.normal(0, 1, (n, 2))
        runs = true[:, None] + setting.seeds * shares  # (n, 1 + replicates, 2)
        rows = {
            split_name: split[split_name] + rng.normal(0, setting.rows, (n, 1 + RESAMPLES, 2))
            for split_name in split
        }
        observed = runs[:, 0] + rows["valid"][:, 0]
        best = set(np.argsort(-observed.sum(axis=1))[: setting.confirmed].tolist())
        for trial in range(n):
            values = 0.75 + 1e-3 * (runs[trial, 1:] + rows["test"][trial, 0])
            moved = {
                f"test/{key}": (1e-3 * rows["test"][trial, 1:, m]).tolist()
                for m, key in enumerate(KEYS)
            }
            replicates = tuple(
                Replicate(
                    r,
                    r,
                    {f"test/{key}": float(v) for key, v in zip(KEYS, value, strict=True)},
                    resampled=moved,
                )
                for r, value in enumerate(values, start=1)
            )
            metrics = {
                f"valid/{key}": float(0.75 + 1e-3 * v)
                for key, v in zip(KEYS, observed[trial], strict=True)
            }
            kept_replicates = replicates if trial in best else ()
            point = Point(
                "trial", {}, "mmoe", len(points), metrics=metrics, replicates=kept_replicates
            )
            points.append(FamilyPoint("run", "data", "tpe", point, f"method {family}"))
    return points


def comparison_of(setting: Setting, seed: int) -> Comparison:
    """The comparison of one run."""
    by_family = families(members_of(setting, np.random.default_rng(seed)), "balancing")
    return compare(by_family, OBJECTIVES, REFERENCE, "test", seed)


def shares_of(setting: Setting, runs: int) -> tuple[float, float]:
    """In how many runs any test gives a false verdict, and, where the first family is better, in
    how many tests of it with others it is found to be."""
    false, detected = [], []
    for seed in range(runs):
        tests = comparison_of(setting, seed).tests
        wins = [
            test["verdict"].removesuffix(" is better")
            for test in tests
            if test["verdict"].endswith(" is better")
        ]
        false.append(any(not setting.ahead or winner != "method 0" for winner in wins))
        first = [test for test in tests if "method 0" in (test["left"], test["right"])]
        detected += [test["verdict"] == "method 0 is better" for test in first]
    return float(np.mean(false)), float(np.mean(detected)) if setting.ahead else 0.0


def family_table(settings: tuple[Setting, ...], runs: int) -> str:
    """A row for each setting with a better family, and one for all others: their largest share."""
    lines = ["| runs | any false verdict | better family found, of its tests |", "|---|---|---|"]
    largest: dict[str, float] = {}
    for setting in settings:
        false, detected = shares_of(setting, runs)
        print(f"{setting.name}: {false:.1%}, {detected:.1%}", file=sys.stderr, flush=True)
        if setting.ahead:
            lines.append(f"| {setting.name} | {false:.1%} | {detected:.1%} |")
        else:
            largest[setting.name] = false
    worst = max(largest, key=lambda name: largest[name])
    lines.append(f"| {len(largest)} without | at most {largest[worst]:.1%}: {worst} | - |")
    return "\n".join(lines)


if __name__ == "__main__":
    simulation(__doc__, "families", 200, lambda runs: family_table(SETTINGS, runs))
