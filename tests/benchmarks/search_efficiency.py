"""How many training samples searchers take, replayed on a table of real learning curves.

    python tests/benchmarks/search_efficiency.py [--table reports/blackbox/table.parquet]
        [--datasets census-income kuairand-pure@late-window] [--ways pool surrogate]
        [--seeds 20] [--budget 40] [--workers 2] [--write docs/search.md]

Every searcher is played `--seeds` times on the validation values of one of the table's seeds in turn, in two ways:

Variants of ours stop at `EARLY` of the budget, and stand from there on where they stopped.

* `pool`: what is trained is an entry of the table, each once. A searcher makes 8 proposals at a time, and that is
  trained which has the nearest entry, see `replay.Table`. This blunts every sampler: of what it knows, only so much
  shows as the pool has near what it proposes, and none can find better than the pool's best.
* `surrogate`: any configuration can be trained; its curve is what trees that were fitted to the table predict, see
  `replay.Surrogate`. This is as good as the fit, whose quality is given, and without most of the noise.

Searchers of full length are favoured: the curve's other points count as their checkpoints too, at no cost.

Hypervolume is a share of that of all checkpoints in the table; a budget is in full-length trainings. Intervals are
bootstrapped over replays. The last column is the question of the matter: which part of its budget the target takes for
the mean hypervolume that it ends with.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from replay import Floats, Problem, Surrogate, Table, read_tables
from searchers import OURS, SEARCHERS, TARGET, Trace
from speed.table import replace

from bench.data import load_card
from bench.frontier.hypervolume import resolve_reference, running
from bench.search.space import load_space
from bench.suite import load_suite, resolve_objectives

SUITES = {"census-income": "quick", "kuairand-pure@late-window": "kuairand"}
SHARES = (0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1.0)
"""Of the whole budget, where hypervolumes are compared."""
STEPS = 400
RESAMPLES = 2000
EARLY = 0.4
"""Of the whole budget, where replays of variants of ours end: only ours is compared with others beyond."""


def curve_of(trace: Trace, problem: Problem, grid: Floats) -> Floats:
    """Hypervolume when so much of the budget was spent: (grid,)."""
    times, values = trace
    volumes = np.concatenate([[0.0], running(values, problem.objectives, problem.reference)])
    return np.asarray(volumes[np.searchsorted(times, grid + 1e-9, side="right")])


def reached(mean: Floats, grid: Floats, target: float) -> float:
    """The first budget at which a mean curve is at the target; infinite where it never is."""
    there = mean >= target - 1e-12
    return float(grid[int(np.argmax(there))]) if there.any() else np.inf


def ratios(
    curves: Mapping[str, Floats], grid: Floats, rng: np.random.Generator
) -> dict[str, tuple[float, float, float]]:
    """Searcher -> part of the target's whole budget at which it is where the target ends; 2.5, 50, 97.5 percentiles.

    Args:
        curves: searcher -> (replays, grid). Replays of one number are resampled together.
    """
    replays = len(curves[TARGET])
    draws = rng.integers(replays, size=(RESAMPLES, replays))
    found = {}
    for name, each in curves.items():
        sample = [reached(each[draw].mean(axis=0), grid, curves[TARGET][draw, -1].mean()) for draw in draws]
        low, middle, high = np.quantile(sample, [0.025, 0.5, 0.975], method="nearest") / grid[-1]
        found[name] = (float(low), float(middle), float(high))
    return found


def report(curves: Mapping[str, Floats], grid: Floats, rng: np.random.Generator) -> str:
    """The tables: hypervolume by budget, what ours is ahead by, and the ratios."""
    at = [int(np.argmin(np.abs(grid - share * grid[-1]))) for share in SHARES]
    head = " | ".join(f"{grid[i]:.3g}" for i in at)
    part = ratios(curves, grid, rng)
    lines = [f"| hypervolume after .. full lengths | {head} | part of the budget |", "|---" * (len(at) + 2) + "|"]
    for name, each in curves.items():
        cells = " | ".join(_interval(each[:, i], rng) for i in at)
        lines.append(f"| {name} | {cells} | {_ratio(part[name])} |")
    lines += ["", f"| ours ahead of, paired | {head} |", "|---" * (len(at) + 1) + "|"]
    for name, each in curves.items():
        if name != OURS:
            lines.append(f"| {name} | {' | '.join(_interval(curves[OURS][:, i] - each[:, i], rng) for i in at)} |")
    return "\n".join(lines)


def _interval(values: Floats, rng: np.random.Generator) -> str:
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


def _ratio(part: tuple[float, float, float]) -> str:
    low, middle, high = ("never" if np.isinf(p) else f"{p:.3f}" for p in part)
    return f"{middle} [{low}, {high}]"


def play(arguments: tuple[str, Problem, int, float]) -> Floats:
    """One replay's hypervolume curve; a fresh pool for each."""
    name, problem, seed, budget = arguments
    played = budget * EARLY if name.startswith(f"{OURS}, ") else budget
    return curve_of(SEARCHERS[name](problem.fresh(), seed, played), problem, grid_of(budget))


def grid_of(budget: float) -> Floats:
    """Where curves are known: (STEPS,)."""
    return np.linspace(budget / STEPS, budget, STEPS)


def compare(
    problems: Sequence[Problem], seeds: int, budget: float, names: Sequence[str], workers: int
) -> dict[str, Floats]:
    """Searcher -> hypervolume curves (seeds, STEPS); replay i is on problem i modulo their number."""
    games = [(name, problems[seed % len(problems)], seed, budget) for name in names for seed in range(seeds)]
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            curves = pool.map(play, games, chunksize=1)
    else:
        curves = [play(game) for game in games]
    return {name: np.array(curves[i * seeds : (i + 1) * seeds]) for i, name in enumerate(names)}


def tables_of(dataset: str, path: Path) -> list[Table]:
    """The data set's tables, one a training seed, with space, objectives and reference of its suite."""
    suite = load_suite(SUITES[dataset])
    of, card = suite.dataset(dataset), load_card(dataset)
    names = of.tasks or card.default_tasks
    tasks = tuple(task for task in card.tasks if task.name in names)
    objectives = resolve_objectives(of, tasks)
    reference = resolve_reference(objectives, of.reference)
    space = load_space(suite.space).restricted(suite.set)
    return read_tables(path, dataset, space, tuple(names), objectives, reference)


def main() -> None:
    """Replays and prints the tables of every data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--datasets", nargs="+", default=list(SUITES), choices=list(SUITES))
    parser.add_argument("--ways", nargs="+", default=["pool", "surrogate"], choices=["pool", "surrogate"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=float, default=40, help="full-length trainings")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", type=Path, help="put the tables into this document")
    options = parser.parse_args()
    parts = []
    for dataset in options.datasets:
        tables = tables_of(dataset, options.table)
        best = np.array([table.best() for table in tables])[np.arange(options.seeds) % len(tables)]
        sizes = " and ".join(str(len(table.configs)) for table in tables)
        for way in options.ways:
            problems: list[Problem] = list(tables)
            title = f"{dataset}, {way} of {sizes} configurations, {options.seeds} replays"
            if way == "surrogate":
                surrogates = [Surrogate(table) for table in tables]
                quality = np.mean([surrogate.quality() for surrogate in surrogates], axis=0)
                title += f", rank correlation of the fit {', '.join(f'{q:.2f}' for q in quality)}"
                problems = list(surrogates)
            curves = compare(problems, options.seeds, options.budget, list(SEARCHERS), options.workers)
            shares = {name: each / best[:, None] for name, each in curves.items()}
            text = report(shares, grid_of(options.budget), np.random.default_rng(0))
            parts.append(f"## {title}\n\n{text}\n")
            print(parts[-1], flush=True)
    if options.write:
        replace(options.write, "replays", "\n".join(parts))


if __name__ == "__main__":
    main()
