"""Margins that the rows of each data set of the reference can resolve.

    python studies/margins.py

A margin is the smallest step at which a lead of two margins would be found with a chance of 80%,
the median over ways of sharing; the largest step where no step is enough. Steps are .5, 1, 2, 3 and
5 thousandths of heads, and 1, 2, 3, 5 and 10% of what is served.

Where the table has rows, chances are those of its own noise. Elsewhere `EXPECTED` has the positives
of test, and an AUC and a recall from one training outside the design. They give the standard error
of one model (Hanley and McNeil 1982; binomial). The table tells how large errors of paired
differences are beside it, and margins beside these: medians over its data sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from publish import objectives_of
from reference.answers import Measured, measured
from reference.members import Data, gather

from bench.app.reference.design_runs import published
from bench.app.reference.table import read
from bench.app.runs.suite import load_suite
from bench.ledger.comparison.beyond import Beyond
from bench.ledger.comparison.significance import POWER_WANTED

STEPS = {"heads": (0.5, 1.0, 2.0, 3.0, 5.0), "served": (1.0, 2.0, 3.0, 5.0, 10.0)}
EXPECTED = {
    "flights-2001": (182_828, {"late": (37_052, 0.643, 0.224), "early": (43_431, 0.660, 0.183)}),
    "flights-2013": (101_004, {"late": (25_423, 0.687, 0.194), "makes_up": (44_827, 0.642, 0.137)}),
}
"""Rows of test, and by task positives, AUC and recall@10%."""


def area_error(positives: int, negatives: int, area: float) -> float:
    """Standard error of an AUC, in thousandths."""
    one, other = area / (2 - area), 2 * area**2 / (1 + area)
    spread = (
        area * (1 - area) + (positives - 1) * (one - area**2) + (negatives - 1) * (other - area**2)
    )
    return 1e3 * math.sqrt(spread / (positives * negatives))


def recall_error(positives: int, recall: float) -> float:
    """Standard error of a recall, in per cent of it."""
    return 100 * math.sqrt((1 - recall) / (recall * positives))


def smallest(enough: Callable[[float], bool], steps: tuple[float, ...]) -> float:
    """The first step that is enough, or the last."""
    return next((step for step in steps if enough(step)), steps[-1])


def chance(found: Beyond, margin: float) -> float:
    """Of "yes", were gradient methods two margins beyond."""
    return replace(found, margin=margin).chances[0]


def paired_error(found: Beyond) -> float:
    """Standard error of a difference between two configurations, the median over pairs and
    objectives.
    """
    return float(np.median(np.sqrt(found.ahead.seed + found.ahead.rows)[..., found.directions :]))


def single_error(data: Data, what: str) -> float:
    """Standard error of one model by its rows alone, the median over configurations and
    objectives.
    """
    if what == "heads":
        return 1e3 * float(
            np.median([each.heads.moves.std(axis=(0, 1), ddof=1) for each in data.members])
        )
    points = [point for each in data.members for point in each.served]
    top = np.max([each.mean for each in points], axis=0)
    return 100 * float(np.median([each.moves.std(axis=(0, 1), ddof=1) / top for each in points]))


def main() -> None:
    """Prints a line for each data set."""
    suite = load_suite("reference")
    assert suite.design is not None
    given = {each.id: each.reference for each in suite.datasets}
    every = gather(read(published("reference")), objectives_of(suite), given)
    every = [each for each in every if each.name not in EXPECTED]
    asked: dict[tuple[str, str], list[Measured]] = {}
    for each in measured(every, suite.design.sharing, {}):
        asked.setdefault((each.front.data, each.front.what), []).append(each)
    ratios: dict[str, list[tuple[float, float]]] = {what: [] for what in STEPS}
    fine = tuple(np.geomspace(0.05, 40, 80).tolist())
    for (name, what), of in asked.items():

        def likely(margin: float, own: list[Measured] = of) -> bool:
            return float(np.median([chance(each.found, margin) for each in own])) >= POWER_WANTED

        error = float(np.median([paired_error(each.found) for each in of]))
        single = single_error(next(each for each in every if each.name == name), what)
        needed, step = smallest(likely, fine), smallest(likely, STEPS[what])
        print(
            f"{name}, {what}: {step:g}; 80% from {needed:.2f} on; error of a pair {error:.2f}, of "
            f"one {single:.2f}"
        )
        ratios[what].append((error / single, needed / error))
    for name, (rows, tasks) in EXPECTED.items():
        of_one = {
            "heads": [area_error(n, rows - n, area) for n, area, _ in tasks.values()],
            "served": [recall_error(n, recall) for n, _, recall in tasks.values()],
        }
        for what, errors in of_one.items():
            paired, reach = np.median(ratios[what], axis=0)
            needed, single = float(np.median(errors) * paired * reach), float(np.median(errors))
            step = smallest(lambda margin, least=needed: margin >= least, STEPS[what])  # type: ignore[misc]
            said = f"{single:.2f} of one x {paired:.2f} a pair x {reach:.2f}"
            print(f"{name}, {what}: {step:g}; expected 80% from {needed:.2f} on ({said})")


if __name__ == "__main__":
    main()
