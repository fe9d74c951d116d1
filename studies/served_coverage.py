"""How often intervals of the served front hold the truth, where the probabilities behind the labels
are known.

    OMP_NUM_THREADS=1 python studies/served_coverage.py [--runs 200] [--keep DIR] [--write
    docs/studies/statistics.md]

`--keep` leaves each setup's runs in a folder and goes on from there; `--write` puts the table of
all that is in it, or was run, between the marks in that file. 100 resamples stand for the 200 of a
run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from served_worlds import Setup, settings_of, setups
from speed.table import replace, writer

from bench.core.rows import CONFIRM, TEST
from bench.ledger.fusion import Fusion
from bench.ledger.ledger import ALL
from bench.ledger.pareto import nondominated
from bench.ledger.served.measuring import CurrentRanking
from bench.ledger.served.served import Served, served_front

COLUMNS = ("front", "kept", "gain", "gain of the front", "oracle", "front on confirm")


class Tally:
    """Of one setup."""

    def __init__(self) -> None:
        self.held: dict[str, list[bool]] = {name: [] for name in COLUMNS}
        self.off: dict[str, list[float]] = {split: [] for split in (CONFIRM, TEST)}
        self.runs = 0

    def share(self, name: str) -> float:
        """The share of a column that held the truth."""
        return float(np.mean(self.held[name]))


def tally_of(
    setup: Setup, runs: int, tally: Tally | None = None, resamples: int = 100, draws: int = 600
) -> Tally:
    """The results of `runs` runs, of which `tally` may hold some already."""
    tally = tally or Tally()
    for run in range(tally.runs, runs):
        candidates, rows = setup.run(run)
        current = CurrentRanking("wide", Fusion.of("power", [1.0] * len(setup.world.tasks)))
        served = served_front(candidates, rows, setup.outcomes, current, run, resamples, draws)
        _count(tally, served, setup.truth(served.table["point"].tolist(), settings_of(served)))
        tally.runs += 1
    return tally


def _count(tally: Tally, served: Served, truth: np.ndarray) -> None:
    front = served.front
    true_gain = truth / truth[served.current] - 1
    not_current = np.arange(len(served)) != served.current
    oracle = (served.table["point"] == "oracle").to_numpy()
    oracle_front = np.zeros(len(served), dtype=bool)
    oracle_front[
        np.flatnonzero(oracle)[nondominated(served.at(CONFIRM)[oracle], served.measures)]
    ] = True
    for column in range(len(served.names)):
        for split in (CONFIRM, TEST):
            value, low, high, _, gain_low, gain_high, _ = served.cells[split, ALL][:, column].T
            covered = (low <= truth[:, column]) & (truth[:, column] <= high)
            tally.off[split].append(
                float((value - truth[:, column])[front].mean() / truth[front, column].mean())
            )
            if split == CONFIRM:
                tally.held["front on confirm"] += covered[front].tolist()
        gained = (gain_low <= true_gain[:, column]) & (true_gain[:, column] <= gain_high)
        tally.held["front"] += covered[front].tolist()
        tally.held["kept"] += covered.tolist()
        tally.held["oracle"] += covered[oracle_front].tolist()
        tally.held["gain"] += gained[not_current].tolist()
        tally.held["gain of the front"] += gained[front & not_current].tolist()


def coverage_table(tallies: Sequence[tuple[Setup, Tally]]) -> str:
    """Coverage of nominal 90% intervals, and what the front's points are off by."""
    lines = [
        "| runs | front | all kept | gain | gain, front | best front | front, on confirm "
        "| front is off by, on test | on confirm |",
        "|---" * 9 + "|",
    ]
    for setup, tally in tallies:
        shares = [f"{tally.share(name):.1%}" for name in COLUMNS]
        off = [f"{np.mean(tally.off[split]):+.2%}" for split in (TEST, CONFIRM)]
        lines.append(f"| {setup.name} | {' | '.join([*shares, *off])} |")
    return "\n".join(lines)


def main() -> None:
    """Simulates the runs that are missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--runs", type=int, default=200, help="of each setup")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of setups")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    tallies = []
    for number, setup in enumerate(setups()):
        start, tally = time.perf_counter(), Tally()
        file = options.keep / f"{number}.json" if options.keep else None
        if file is not None and file.is_file():
            vars(tally).update(json.loads(file.read_text()))
        if options.only is None or number in options.only:
            for runs in range(0, options.runs, 20):
                tally_of(setup, runs + 20, tally)
                if file is not None:
                    file.write_text(json.dumps(vars(tally)))
            print(f"{setup.name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        if tally.runs:
            tallies.append((setup, tally))
    table = coverage_table(tallies)
    print(table)
    replace(options.write, "served", table)


if __name__ == "__main__":
    main()
