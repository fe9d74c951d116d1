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


def repeated(data: str, rows: list[Row], home: Path, raw: Path, count: int) -> list[float]:
    """The distances of `count` rows of a data set, by objective; prints them."""
    suite, distances = load_suite("reference"), []
    runner = CellRunner(home, suite.dataset(data), raw, 1, KnownRows(home, home / "none"), Silent())
    try:
        for row in random.Random(count).sample(rows, count):
            same_cell = np.array(
                [peer.test for peer in rows if (peer.cell, peer.config) == (row.cell, row.config)]
            )
            (result,) = runner.trained(row.cell, [(row.config, row.seed)])
            deviations = (np.array(result.test) - np.array(row.test)) / same_cell.std(
                axis=0, ddof=1
            )
            print(
                row.cell.part,
                f"seed {row.seed}:",
                np.round(deviations, 2),
                result.failure,
                flush=True,
            )
            distances += deviations.tolist()
    finally:
        runner.close()
    return distances


def main() -> None:
    """Prints a line for each row, and one for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--data", nargs="*", default=list(DATA))
    parser.add_argument("--rows", type=int, default=14)
    options = parser.parse_args()
    rows = [row for row in read(published("reference")) if row.seed and not row.failure]
    for data in options.data:
        data_rows = [
            row
            for row in rows
            if row.data == data and row.sharing in SHARING and row.balancing in BALANCING
        ]
        distances = np.array(
            repeated(data, data_rows, options.home, options.raw / data.split("@")[0], options.rows)
        )
        print(
            f"{data}: mean {distances.mean():+.2f}, root mean square {np.sqrt((distances**2).mean()):.2f}"
        )


if __name__ == "__main__":
    main()
