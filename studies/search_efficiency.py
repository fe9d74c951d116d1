"""How good searches are for the training samples that they take, replayed on tables of real
learning curves.

    python studies/search_efficiency.py [--table reports/blackbox/table.parquet]
        [--datasets census-income ..] [--ways pool emulator] [--seeds 20] [--budget 20] [--workers
        2] [--orders] [--write docs/studies/search.md]

The portfolio of a data set is learnt on the others. Every searcher is played `--seeds` times, on
the validation values of one of the table's seeds in turn, in two ways:

* `pool`: what is trained is an entry of the table, each once. A searcher makes 2 proposals at a
  time, and that is trained which has the nearest entry, see `replay.Table`. This blunts every
  sampler, and none can find better than the pool's best. Checkpoints are judged by the mean over
  the table's seeds.
* `emulator`: any configuration can be trained; its curve is what processes that were fitted to the
  table expect, see `emulator.Emulator`. This is as good as the fit, and has no noise.

With `--orders` only searches from the portfolio are played, which have more or fewer of it before
the defaults.

Searchers of full length are favoured: the curve's other points count as their checkpoints too, at
no cost.

Hypervolume is a share of that of all checkpoints in the table, or of many random ones of the
emulator's; a budget is in full-length trainings. Intervals are bootstrapped over replays.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from emulator import Emulator
from learn_portfolio import SUITE, known_of, learnt_without, name_of, tables_of
from replay import Floats, Problem
from searchers import (
    DEFAULTS,
    FULL_LENGTH,
    ORDERS,
    OURS,
    RANDOM,
    SEARCHERS,
    TARGET,
    Searcher,
    Trace,
)
from speed.table import replace as replace_table
from speed.table import writer

from bench.ledger.pareto import Growing

DATASETS = [name_of(dataset.id) for dataset in SUITE.datasets]
BUDGETS = (0.5, 1, 2, 3, 5)
"""Full lengths where hypervolumes are compared; replays of searches by rungs end at the last."""
SHORT = (1, 3)
"""Those of the document's table."""
EARLY = 3.0
"""Full lengths that ours has for what the target needs its whole budget for."""
OPENING = (0.5, 1, EARLY)
"""Full lengths where orders are compared."""
FIRST = 1000
"""Number of the first replay: none of those by which anything was chosen."""
STEPS = 400
RESAMPLES = 2000


def curves_of(trace: Trace, problem: Problem, grid: Floats) -> Floats:
    """Share of hypervolume at each spent part of the budget, as judged: (grid,)."""
    growing = Growing(problem.objectives, problem.reference)
    volumes = [growing.add(point) for point in trace.judged]
    return (
        np.concatenate([[0.0], volumes])[np.searchsorted(trace.spent, grid + 1e-9, side="right")]
        / problem.best[1]
    )


def report(
    data: str, curves: Mapping[str, Floats], grid: Floats, ahead: Mapping[str, Sequence[str]]
) -> list[str]:
    """Rows of a data set: mean hypervolume by budget, and what ours is ahead by, as `leads` has it."""
    lines = []
    for name, curve in curves.items():
        if name == RANDOM:  # TPE's first twelve trials
            continue
        last = f"{curve[:, -1].mean():.4f}" if name in FULL_LENGTH else ""
        lines.append(f"| {data} | {name} | {' | '.join(volumes(curve, grid))} | {last} |")
    for name, gains in ahead.items():
        lines.append(f"| {data} | lead over {name} | {' | '.join(gains)} | |")
    return lines


def volumes(curve: Floats, grid: Floats) -> list[str]:
    """Mean hypervolume after each of `BUDGETS`."""
    columns = [int(np.argmin(np.abs(grid - budget))) for budget in BUDGETS]
    return [f"{curve[:, column].mean():.4f}" for column in columns]


def leads(
    curves: Mapping[str, Floats], grid: Floats, rng: np.random.Generator
) -> dict[str, list[str]]:
    """The lead of ours after each of `BUDGETS`, with 95% intervals, by what it is compared with."""
    columns = [int(np.argmin(np.abs(grid - budget))) for budget in BUDGETS]
    return {
        name: [_interval(curves[OURS][:, i] - curves[name][:, i], rng) for i in columns]
        for name in (DEFAULTS, TARGET)
    }


def short(
    data: str, curves: Mapping[str, Floats], grid: Floats, ahead: Mapping[str, Sequence[str]]
) -> str:
    """The row of a data set in the document: `report` at the budgets of `SHORT`."""
    places = [BUDGETS.index(budget) for budget in SHORT]
    means = [volumes(curves[OURS], grid)[place] for place in places]
    gains = [ahead[name][place] for name in (DEFAULTS, TARGET) for place in places]
    cells = [data, *means, f"{curves[TARGET][:, -1].mean():.4f}", *gains]
    return f"| {' | '.join(cells)} |"


def early(curves: Mapping[str, Floats], grid: Floats, rng: np.random.Generator) -> str:
    """What ours has after `EARLY` full lengths over what the target has at the end: median,
    interval, share ahead.
    """
    column = int(np.argmin(np.abs(grid - EARLY)))
    ahead = curves[OURS][:, column] - curves[TARGET][:, -1]
    low, high = np.quantile(
        np.median(ahead[rng.integers(len(ahead), size=(RESAMPLES, len(ahead)))], axis=1),
        [0.025, 0.975],
    )
    return f"{np.median(ahead):+.4f} [{low:+.4f}, {high:+.4f}] | {(ahead >= 0).mean():.0%}"


def _interval(values: Floats, rng: np.random.Generator) -> str:
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():+.4f} [{low:+.4f}, {high:+.4f}]"


EVERY: dict[str, Searcher] = SEARCHERS | {
    f"{first} before the defaults": searcher for first, searcher in ORDERS.items()
}


def play(arguments: tuple[str, Problem, int, float]) -> Floats:
    """One replay's curve (STEPS,); a fresh pool for each."""
    name, problem, seed, budget = arguments
    played = budget if name in FULL_LENGTH else min(budget, BUDGETS[-1])
    return curves_of(EVERY[name](problem.fresh(), seed, played), problem, grid_of(budget))


def grid_of(budget: float) -> Floats:
    """Where curves are known: (STEPS,)."""
    return np.linspace(budget / STEPS, budget, STEPS)


def compare(
    problems: Sequence[Problem], seeds: int, budget: float, names: Sequence[str], workers: int
) -> dict[str, Floats]:
    """Searcher -> curves (seeds, STEPS); replay i is on problem i modulo their number."""
    for problem in problems:
        _ = problem.best  # once, here: kept with the problem, it goes to the workers
    games = [
        (name, problems[n % len(problems)], n, budget)
        for name in names
        for n in range(FIRST, FIRST + seeds)
    ]
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            curves = pool.map(play, games, chunksize=1)
    else:
        curves = [play(game) for game in games]
    return {name: np.array(curves[i * seeds : (i + 1) * seeds]) for i, name in enumerate(names)}


def orders(dataset: str, curves: Mapping[str, Floats], grid: Floats) -> str:
    """A row: by budget the mean hypervolume of each order."""
    columns = [int(np.argmin(np.abs(grid - budget))) for budget in OPENING]
    cells = [" / ".join(f"{curve[:, i].mean():.3f}" for curve in curves.values()) for i in columns]
    return f"| {dataset} | {' | '.join(cells)} |"


def main() -> None:
    """Replays and prints the tables of every data set."""
    parser = writer(__doc__)
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--datasets", nargs="+", default=DATASETS, choices=DATASETS)
    parser.add_argument(
        "--ways", nargs="+", default=["pool", "emulator"], choices=["pool", "emulator"]
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=float, default=20, help="full-length trainings")
    parser.add_argument(
        "--orders", action="store_true", help="print orders of the first configurations instead"
    )
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.budget < BUDGETS[-1]:
        parser.error(f"--budget: expected at least {BUDGETS[-1]}, found {options.budget:g}")
    known_data, candidates = known_of(DATASETS, options.table)
    summary = [
        "| data left out | replayed on | ahead, median | replays ahead |",
        "|---|---|---|---|",
    ]
    names = [name for name in EVERY if (name in SEARCHERS) != options.orders]
    afters = [f"after {budget}" for budget in SHORT]
    heads = [
        "data left out",
        *(f"{OURS}, {after}" for after in afters),
        f"{TARGET}, after {options.budget:.3g}",
        *(f"lead over {name}, {after}" for name in (DEFAULTS, TARGET) for after in afters),
    ]
    head = f"| {' | '.join(heads)} |"
    if options.orders:
        after = " | ".join(f"after {budget:g}" for budget in OPENING)
        head = f"| data left out, {' / '.join(names)} | {after} |"
    rows = [head, "|---" * (head.count("|") - 1) + "|"]
    for dataset in options.datasets:
        portfolio = learnt_without(dataset, known_data, candidates)
        tables = [
            replace(table, portfolio=portfolio) for table in tables_of(dataset, options.table)
        ]
        for way in options.ways:
            problems = tables if way == "pool" else [Emulator(tables[0])]
            curves = compare(problems, options.seeds, options.budget, names, options.workers)
            grid, rng = grid_of(options.budget), np.random.default_rng(0)
            if options.orders:
                rows.append(orders(dataset, curves, grid))
                print(rows[-1], flush=True)
                continue
            summary.append(f"| {dataset} | {way} | {early(curves, grid, rng)} |")
            name = dataset if way == "pool" else f"{dataset}, {way}"
            ahead = leads(curves, grid, rng)
            rows.append(short(name, curves, grid, ahead))
            print("\n".join((summary[-1], *report(name, curves, grid, ahead))), flush=True)
    if options.write and not options.orders:
        replace_table(options.write, "early", "\n".join(summary))
        replace_table(options.write, "replays", "\n".join(rows))


if __name__ == "__main__":
    main()
