"""How near trainings of the reference come to their published rows when they are repeated.

    OMP_NUM_THREADS=1 python studies/repeated.py --raw SHARED --home FOLDER [--data hotel-bookings
    ..] [--rows 14]

Draws published rows of each data set by a seed and trains them once more. Prints how far each is
from its row on test, in standard deviations of what seeds do to that configuration. SHARED has a
folder of raw files for each data set.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from bench.app.reference.design_runs import CellRunner, published
from bench.app.reference.table import KnownRows, Row, read
from bench.app.runs.suite import load_suite
from bench.core.system.progress import Silent
from bench.models.balancing import BALANCING
from bench.models.sharing import SHARING

DATA = ("hotel-bookings", "census-income", "kuairand-pure@late-window")


def repeated(data: str, every: list[Row], home: Path, raw: Path, many: int) -> list[float]:
    """The distances of `many` rows of a data set, by objective; prints them."""
    suite, found = load_suite("reference"), []
    runner = CellRunner(home, suite.dataset(data), raw, 1, KnownRows(home, home / "none"), Silent())
    try:
        for row in random.Random(many).sample(every, many):
            alike = np.array(
                [each.test for each in every if (each.cell, each.config) == (row.cell, row.config)]
            )
            (own,) = runner.trained(row.cell, [(row.config, row.seed)])
            apart = (np.array(own.test) - np.array(row.test)) / alike.std(axis=0, ddof=1)
            print(row.cell.part, f"seed {row.seed}:", np.round(apart, 2), own.failure, flush=True)
            found += apart.tolist()
    finally:
        runner.close()
    return found


def main() -> None:
    """Prints a line for each row, and one for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--data", nargs="*", default=list(DATA))
    parser.add_argument("--rows", type=int, default=14)
    given = parser.parse_args()
    rows = [row for row in read(published("reference")) if row.seed and not row.failure]
    for data in given.data:
        own = [
            row
            for row in rows
            if row.data == data and row.sharing in SHARING and row.balancing in BALANCING
        ]
        found = np.array(
            repeated(data, own, given.home, given.raw / data.split("@")[0], given.rows)
        )
        print(
            f"{data}: mean {found.mean():+.2f}, root mean square {np.sqrt((found**2).mean()):.2f}"
        )


if __name__ == "__main__":
    main()
