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
    q_positive, q_negative = area / (2 - area), 2 * area**2 / (1 + area)
    spread = (
        area * (1 - area)
        + (positives - 1) * (q_positive - area**2)
        + (negatives - 1) * (q_negative - area**2)
    )
    return 1e3 * math.sqrt(spread / (positives * negatives))


def recall_error(positives: int, recall: float) -> float:
    """Standard error of a recall, in per cent of it."""
    return 100 * math.sqrt((1 - recall) / (recall * positives))


def smallest(enough: Callable[[float], bool], steps: tuple[float, ...]) -> float:
    """The first step that is enough, or the last."""
    return next((step for step in steps if enough(step)), steps[-1])


def chance(comparison: Beyond, margin: float) -> float:
    """Of "yes", were gradient methods two margins beyond."""
    return replace(comparison, margin=margin).chances[0]


def paired_error(comparison: Beyond) -> float:
    """Standard error of a difference between two configurations, the median over pairs and
    objectives.
    """
    return float(
        np.median(
            np.sqrt(comparison.ahead.seed + comparison.ahead.rows)[..., comparison.directions :]
        )
    )


def single_error(data: Data, scope: str) -> float:
    """Standard error of one model by its rows alone, the median over configurations and
    objectives.
    """
    if scope == "heads":
        return 1e3 * float(
            np.median([member.heads.moves.std(axis=(0, 1), ddof=1) for member in data.members])
        )
    points = [point for member in data.members for point in member.served]
    top = np.max([point.mean for point in points], axis=0)
    return 100 * float(np.median([point.moves.std(axis=(0, 1), ddof=1) / top for point in points]))


def main() -> None:
    """Prints a line for each data set."""
    suite = load_suite("reference")
    assert suite.design is not None
    references = {dataset.id: dataset.reference for dataset in suite.datasets}
    datasets = gather(read(published("reference")), objectives_of(suite), references)
    datasets = [data for data in datasets if data.name not in EXPECTED]
    comparisons: dict[tuple[str, str], list[Measured]] = {}
    for comparison in measured(datasets, suite.design.sharing, {}):
        comparisons.setdefault((comparison.front.data, comparison.front.scope), []).append(
            comparison
        )
    ratios: dict[str, list[tuple[float, float]]] = {scope: [] for scope in STEPS}
    fine = tuple(np.geomspace(0.05, 40, 80).tolist())
    for (name, scope), same_question in comparisons.items():

        def likely(margin: float, group: list[Measured] = same_question) -> bool:
            return (
                float(np.median([chance(comparison.comparison, margin) for comparison in group]))
                >= POWER_WANTED
            )

        error = float(
            np.median([paired_error(comparison.comparison) for comparison in same_question])
        )
        single = single_error(next(data for data in datasets if data.name == name), scope)
        needed, step = smallest(likely, fine), smallest(likely, STEPS[scope])
        print(
            f"{name}, {scope}: {step:g}; 80% from {needed:.2f} on; error of a pair {error:.2f}, of "
            f"one {single:.2f}"
        )
        ratios[scope].append((error / single, needed / error))
    for name, (rows, tasks) in EXPECTED.items():
        of_one = {
            "heads": [area_error(n, rows - n, area) for n, area, _ in tasks.values()],
            "served": [recall_error(n, recall) for n, _, recall in tasks.values()],
        }
        for scope, errors in of_one.items():
            paired, reach = np.median(ratios[scope], axis=0)
            needed, single = float(np.median(errors) * paired * reach), float(np.median(errors))
            step = smallest(lambda margin, lowest=needed: margin >= lowest, STEPS[scope])  # type: ignore[misc]
            explanation = f"{single:.2f} of one x {paired:.2f} a pair x {reach:.2f}"
            print(f"{name}, {scope}: {step:g}; expected 80% from {needed:.2f} on ({explanation})")


if __name__ == "__main__":
    main()
