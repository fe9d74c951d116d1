"""Where the regret of a pick among heads comes from: search, shortlist, seeds or rows.

    python tests/benchmarks/pick_noise.py --keep FOLDER [--best 20] [--replays 20] [--home .seesaw]
        [--write docs/search.md]

On the two generated logs the probabilities behind the labels are known. So the true AUC of a model on the rows of test
is known without the noise of labels: each row counts as positive by its probability. The truth of a point is the mean
over all fresh seeds. Searches are replayed as in `pick_regret.py`, and what that script trains is trained here, too,
with the table's best entries besides.

The first lines are losses of the search and of the shortlist: the best of all that was trained less the best that the
search tried, and that less the best of the shortlist. The others are losses of the choice within the shortlist, by the
mean AUC over replicates, on different rows and with different numbers of replicates.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from blackbox_table import carry_out, finished_frame, plan
from learn_portfolio import SUITE, card_of, known_of, learnt_without, name_of, tables_of
from pick_regret import FRESH, OURS, REPLICATES, SEARCHERS, Place, listed, places_of
from replay import Floats
from speed.table import replace as replace_table

from bench.data import load_card
from bench.data.splits import SPLITS, SplitInput
from bench.data.synthetic.funnel import FunnelConfig, generate
from bench.rows import CONFIRM, SEARCH, TEST
from bench.seeds import derive

DATASETS = ("funnel-log", "sparse-log")
PAIRS = 40
"""Sets of fresh seeds for each search."""
AIM = 0.0005


def chances(dataset: str) -> Floats:
    """(rows of test, 2) probabilities of a click, and of a click with a purchase."""
    card = load_card(card_of(dataset))
    table = generate(FunnelConfig(**card.reader.parameters))  # type: ignore[union-attr]
    split = card.split.assign(SplitInput(("",), np.zeros(len(table), np.int16), None, None))
    click, purchase = (table[name].to_numpy()[split == SPLITS.index(TEST)] for name in ("p_click", "p_purchase"))
    return np.stack([click, click * purchase], axis=1)


def expected_auc(chance: Floats, score: Floats) -> float:
    """Of scores (N,), where each row is a positive with a probability (N,)."""
    chance = chance[np.argsort(score, kind="stable")]
    below = np.cumsum(1 - chance) - (1 - chance)
    pairs = chance.sum() * (1 - chance).sum() - (chance * (1 - chance)).sum()
    return float((chance * below).sum() / pairs)


class Measured:
    """Mean AUC over the tasks of every place of the entries, by rows: (entries, rungs, seeds)."""

    def __init__(self, dataset: str, folder: Path, entries: list[int], names: list[str]) -> None:
        frame = finished_frame(folder)
        frame = frame[(frame["dataset"] == dataset) & frame["configuration"].isin(entries)]
        frame = frame[frame["seed"].isin(FRESH)].sort_values(["configuration", "rung", "seed"])
        shape = (len(entries), -1, len(FRESH))
        self.entries = sorted(entries)
        self.by_rows = {
            split: np.mean([frame[f"{split}/{name}"].to_numpy(float) for name in names], axis=0).reshape(shape)
            for split in (SEARCH, CONFIRM)
        }
        truth, chance = np.empty_like(self.by_rows[CONFIRM]), chances(dataset)
        for e, r, s in np.ndindex(*truth.shape):
            found = np.load(folder / dataset / f"{self.entries[e]}-{FRESH[s]}-{r}.{TEST}.npy").astype(float)
            truth[e, r, s] = np.mean([expected_auc(chance[:, t], found[:, t]) for t in range(2)])
        self.by_rows[TEST] = truth

    def at(self, places: list[Place], split: str) -> Floats:
        """(places, seeds)."""
        return np.array([self.by_rows[split][self.entries.index(entry), rung] for entry, rung in places])


def losses(measured: Measured, tried: list[Place], shortlist: list[Place], seed: int) -> dict[str, list[float]]:
    """Of one search, by where they come from."""
    true, inside = measured.at(shortlist, TEST).mean(axis=1), [p for p in tried if p[0] in measured.entries]
    best = max(true.max(), measured.at(inside, TEST).mean(axis=1).max())
    found = {
        "search: best trained less best tried": [measured.by_rows[TEST].mean(axis=2).max() - best],
        "shortlist: best tried less best confirmed": [best - true.max()],
    }
    confirm, search, test = (measured.at(shortlist, split) for split in (CONFIRM, SEARCH, TEST))
    ways = {"confirmation rows": confirm, "confirmation rows and validation": confirm + search, "truth": test}
    rng = np.random.default_rng(derive(seed, "pairs"))
    for many in (REPLICATES, 2 * REPLICATES):
        seeds = [rng.permutation(len(FRESH))[:many] for _ in range(PAIRS)]
        for name, values in ways.items():
            picks = [int(values[:, each].mean(axis=1).argmax()) for each in seeds]
            found[f"choice: {many} replicates, {name}"] = [float(true.max() - true[at]) for at in picks]
    return found


def main() -> None:
    """Replays, trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, required=True, help="folder for trainings on fresh seeds")
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument("--best", type=int, default=20, help="the table's best entries that are trained, too")
    parser.add_argument("--budget", type=float, default=8, help="full-length trainings of the search")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    options.raw = None
    known, candidates = known_of([name_of(each.id) for each in SUITE.datasets], options.table)
    cells: dict[str, list[str]] = defaultdict(list)
    for dataset in options.datasets:
        portfolio = learnt_without(dataset, known, candidates)
        tables = [replace(table, portfolio=portfolio) for table in tables_of(dataset, options.table)]
        searches = []
        for n in range(options.replays):
            table = tables[n % len(tables)]
            trace = SEARCHERS[OURS](table.fresh(), n, options.budget)
            searches.append((list(dict.fromkeys(places_of(trace, table))), listed(trace, table)))
        worth = np.mean([table.curves.mean(axis=2).max(axis=1) for table in tables], axis=0)
        entries = {int(entry) for entry in np.argsort(-worth)[: options.best]}
        entries |= {entry for _, shortlist in searches for entry, _ in shortlist}
        chosen = sorted(entries)
        carry_out(plan(dataset, chosen, FRESH, options, options.keep), options.keep, options.workers, np.inf)
        measured = Measured(dataset, options.keep, chosen, [each.name for each in tables[0].objectives])
        lost: dict[str, list[float]] = defaultdict(list)
        for n, (tried, shortlist) in enumerate(searches):
            for name, values in losses(measured, tried, shortlist, n).items():
                lost[name] += values
        for name, values in lost.items():
            within = np.mean(np.array(values) <= AIM)
            cells[name].append(f"{np.mean(values):.5f}, {np.quantile(values, 0.9):.5f}, {within:.0%}")
    head = "".join(f"| {dataset}: mean, 9 of 10, share up to {AIM} " for dataset in options.datasets)
    lines = [f"| loss of AUC {head}|", "|---" * (1 + len(options.datasets)) + "|"]
    lines += [f"| {name} | {' | '.join(each)} |" for name, each in cells.items()]
    print("\n".join(lines))
    if options.write:
        replace_table(options.write, "noise", "\n".join(lines))


if __name__ == "__main__":
    main()
