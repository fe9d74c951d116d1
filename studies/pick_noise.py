"""Where the regret of a pick among heads comes from: search, shortlist, seeds or rows.

    python studies/pick_noise.py --keep FOLDER [--best 20] [--replays 20] [--home .seesaw]
        [--write docs/studies/search.md]

On the generated logs the probabilities behind the labels are known. So the true AUC of a model on
the rows of test is known without the noise of labels: each row counts as positive by its
probability. The truth of a point is the mean over all fresh seeds. Searches are replayed as in
`pick_regret.py`, and what that script trains is trained here, too, with the table's best entries
besides.

The first lines are losses of the search and of the shortlist: the best of all that was trained less
the best that the search tried, and that less the best of the shortlist. The others are losses of
the choice within the shortlist, by the mean AUC over replicates, on different rows and with
different numbers of replicates.

A second table has ways of choosing against the noise of labels, by labels that are drawn again from
the probabilities. All ways have the same number of trainings. `predictions` takes the mean
prediction of all confirmed trainings for the labels. In a race each point has one replicate, and
the likeliest ones have the rest. Intervals of 90% are of the mean difference from the first way,
over searches and draws of labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from blackbox_table import carry_out, finished_frame, plan
from learn_portfolio import SUITE, known_of, learnt_without, name_of, tables_of
from pick_regret import (
    FRESH,
    GENERATED,
    OURS,
    SEARCHERS,
    Place,
    chances,
    labels_drawn,
    listed,
    mean_auc,
    places_of,
)
from replay import Floats
from speed.table import replace as replace_table
from speed.table import writer

from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.seeds import derive

SEEDS = FRESH[:8]
PAIRS = 40
"""Sets of fresh seeds for each search."""
AIM = 0.0005
FEW = 2
"""Replicates of each point; twice as many are tried, too."""
LABELS = 20
"""Draws of labels."""
FIRST = "labels, 2 replicates each"
RACED = 3


class Measured:
    """Mean AUC over the tasks of every place of the entries, by rows: (entries, rungs, seeds)."""

    def __init__(self, dataset: str, folder: Path, entries: list[int], names: list[str]) -> None:
        frame = finished_frame(folder)
        frame = frame[(frame["dataset"] == dataset) & frame["configuration"].isin(entries)]
        frame = frame[frame["seed"].isin(SEEDS)].sort_values(["configuration", "rung", "seed"])
        shape = (len(entries), -1, len(SEEDS))
        self.entries = sorted(entries)
        self.by_rows = {
            split: np.mean(
                [frame[f"{split}/{name}"].to_numpy(float) for name in names], axis=0
            ).reshape(shape)
            for split in (SEARCH, CONFIRM)
        }
        self._folder, chance = folder / dataset, chances(dataset)
        self._labels: dict[str, Floats] = {}
        self._redrawn: dict[Place, Floats] = {}
        truth = np.empty_like(self.by_rows[CONFIRM])
        for e, r, s in np.ndindex(*truth.shape):
            truth[e, r, s] = mean_auc(chance[TEST], self.predicted((self.entries[e], r), s, TEST))
        self.by_rows[TEST] = truth
        rng = np.random.default_rng(derive(0, "labels", dataset))
        for split in (SEARCH, CONFIRM):
            self._labels[split] = labels_drawn(chance[split], rng, LABELS)

    def at(self, places: list[Place], split: str) -> Floats:
        """(places, seeds)."""
        return np.array(
            [self.by_rows[split][self.entries.index(entry), rung] for entry, rung in places]
        )

    def predicted(self, place: Place, seed: int, split: str) -> Floats:
        """(rows, tasks), by the place of a seed."""
        return np.load(self._folder / f"{place[0]}-{SEEDS[seed]}-{place[1]}.{split}.npy").astype(
            float
        )

    def redrawn(self, places: list[Place]) -> Floats:
        """(places, seeds, LABELS) by labels drawn again, on both halves of validation."""
        for place in (key for key in places if key not in self._redrawn):
            halves = [
                [
                    mean_auc(self._labels[split], self.predicted(place, s, split))
                    for s in range(len(SEEDS))
                ]
                for split in (SEARCH, CONFIRM)
            ]
            self._redrawn[place] = np.mean(halves, axis=0)
        return np.array([self._redrawn[place] for place in places])

    def by_predictions(self, places: list[Place], seeds: Sequence[int]) -> Floats:
        """(places,) by the mean prediction of all these trainings in place of labels, on both
        halves of validation.
        """
        values = []
        for split in (SEARCH, CONFIRM):
            predicted = np.array(
                [[self.predicted(place, s, split) for s in seeds] for place in places]
            )
            values.append(
                [[mean_auc(predicted.mean(axis=(0, 1)), run) for run in runs] for runs in predicted]
            )
        return np.mean(values, axis=(0, 2))


def losses(
    measured: Measured, tried: list[Place], shortlist: list[Place], seed: int
) -> dict[str, list[float]]:
    """Of one search, by where they come from."""
    true = measured.at(shortlist, TEST).mean(axis=1)
    inside = [p for p in tried if p[0] in measured.entries]
    best = max(true.max(), measured.at(inside, TEST).mean(axis=1).max())
    by_source = {
        "search: best trained less best tried": [measured.by_rows[TEST].mean(axis=2).max() - best],
        "shortlist: best tried less best confirmed": [best - true.max()],
    }
    confirm, search, test = (measured.at(shortlist, split) for split in (CONFIRM, SEARCH, TEST))
    rows = {
        "confirmation rows": confirm,
        "confirmation rows and validation": confirm + search,
        "truth": test,
    }
    rng = np.random.default_rng(derive(seed, "pairs"))
    for count in (FEW, 2 * FEW):
        seeds = [rng.permutation(len(SEEDS))[:count] for _ in range(PAIRS)]
        for name, values in rows.items():
            picks = [int(values[:, chosen_seeds].mean(axis=1).argmax()) for chosen_seeds in seeds]
            by_source[f"choice: {count} replicates, {name}"] = [
                float(true.max() - true[pick]) for pick in picks
            ]
    return by_source


def ways(measured: Measured, shortlist: list[Place], seed: int) -> dict[str, Floats]:
    """Of one search the losses of the choice within the shortlist, by each way: (pairs of seeds,
    LABELS).
    """
    true, values = measured.at(shortlist, TEST).mean(axis=1), measured.redrawn(shortlist)
    lost: dict[str, list[Floats]] = defaultdict(list)
    rng = np.random.default_rng(derive(seed, "ways"))
    for pair in combinations(range(len(SEEDS)), FEW):
        labels = values[:, pair].mean(axis=1)
        expected = measured.by_predictions(shortlist, pair)[:, None]
        # The first seed is of all points; the likeliest go on with the same further seeds.
        first, *later_seeds = rng.permutation(len(SEEDS))
        raced, rest = values[:, first].copy(), len(shortlist) * (FEW - 1)
        for draw in range(LABELS):
            for rank, point in enumerate(np.argsort(-values[:, first, draw])[:RACED]):
                further = later_seeds[: rest // RACED + (rank < rest % RACED)]
                raced[point, draw] = values[point, [first, *further], draw].mean()
        by_way = {
            FIRST: labels,
            "3/4 labels, 1/4 predictions": 0.75 * labels + 0.25 * expected,
            "1/2 labels, 1/2 predictions": 0.5 * labels + 0.5 * expected,
            "predictions": np.repeat(expected, LABELS, axis=1),
            f"labels, race for {RACED}": raced,
        }
        for name, scores in by_way.items():
            lost[name].append(true.max() - true[scores.argmax(axis=0)])
    return {name: np.array(parts) for name, parts in lost.items()}


def _compared(searches: Sequence[dict[str, Floats]]) -> dict[str, str]:
    """By way a cell: mean loss, share up to the aim, and the difference from the first way."""
    rng, cells = np.random.default_rng(0), {}
    first = np.array([search[FIRST].mean(axis=0) for search in searches])
    for name in searches[0]:
        of_way = np.array([search[name] for search in searches])
        differences = of_way.mean(axis=1) - first
        n, draws = differences.shape
        resampled = [
            differences[rng.integers(n, size=n)][:, rng.integers(draws, size=draws)].mean()
            for _ in range(1000)
        ]
        low, high = np.quantile(resampled, (0.05, 0.95))
        cells[name] = f"{of_way.mean():.5f}, {np.mean(of_way <= AIM):.0%}" + (
            "" if name == FIRST else f", {differences.mean():+.5f} ({low:+.5f} to {high:+.5f})"
        )
    return cells


def main() -> None:
    """Replays, trains what is missing, and prints the table."""
    parser = writer(__doc__)
    parser.add_argument(
        "--keep", type=Path, required=True, help="folder for trainings on fresh seeds"
    )
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--datasets", nargs="+", default=list(GENERATED), choices=GENERATED)
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument(
        "--best", type=int, default=20, help="the table's best entries that are trained, too"
    )
    parser.add_argument(
        "--budget", type=float, default=8, help="full-length trainings of the search"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    options.raw = None
    known_data, candidates = known_of(
        [name_of(entry.id) for entry in SUITE.datasets], options.table
    )
    cells: dict[str, list[str]] = defaultdict(list)
    against: dict[str, list[str]] = defaultdict(list)
    for dataset in options.datasets:
        portfolio = learnt_without(dataset, known_data, candidates)
        tables = [
            replace(table, portfolio=portfolio) for table in tables_of(dataset, options.table)
        ]
        searches = []
        for n in range(options.replays):
            table = tables[n % len(tables)]
            trace = SEARCHERS[OURS](table.fresh(), n, options.budget)
            searches.append((list(dict.fromkeys(places_of(trace, table))), listed(trace, table)))
        worth = np.mean([table.curves.mean(axis=2).max(axis=1) for table in tables], axis=0)
        entries = {int(entry) for entry in np.argsort(-worth)[: options.best]}
        entries |= {entry for _, shortlist in searches for entry, _ in shortlist}
        chosen = sorted(entries)
        carry_out(
            plan(dataset, chosen, SEEDS, options, options.keep),
            options.keep,
            options.workers,
            np.inf,
        )
        measured = Measured(
            dataset, options.keep, chosen, [objective.name for objective in tables[0].objectives]
        )
        lost: dict[str, list[float]] = defaultdict(list)
        for n, (tried, shortlist) in enumerate(searches):
            for name, values in losses(measured, tried, shortlist, n).items():
                lost[name] += values
        for name, values in lost.items():
            share = np.mean(np.array(values) <= AIM)
            cells[name].append(
                f"{np.mean(values):.5f}, {np.quantile(values, 0.9):.5f}, {share:.0%}"
            )
        by_search = [ways(measured, shortlist, n) for n, (_, shortlist) in enumerate(searches)]
        for name, cell in _compared(by_search).items():
            against[name].append(cell)
    lines = _table("loss of AUC", f"mean, 9 of 10, share up to {AIM}", options.datasets, cells)
    comparison = _table(
        "chosen by", f"mean loss, share up to {AIM}, difference", options.datasets, against
    )
    print("\n".join([*lines, "", *comparison]))
    if options.write:
        replace_table(options.write, "noise", "\n".join(lines))


def _table(
    corner: str, columns: str, datasets: Sequence[str], cells: dict[str, list[str]]
) -> list[str]:
    head = "".join(f"| {dataset}: {columns} " for dataset in datasets)
    lines = [f"| {corner} {head}|", "|---" * (1 + len(datasets)) + "|"]
    return lines + [f"| {name} | {' | '.join(row)} |" for name, row in cells.items()]


if __name__ == "__main__":
    main()
