"""How many training samples searchers take, replayed on a table of real learning curves.

    python tests/benchmarks/search_efficiency.py [--table reports/blackbox/table.parquet]
        [--datasets census-income kuairand-pure@late-window] [--ways pool emulator]
        [--seeds 20] [--budget 40] [--workers 2] [--ratio] [--write docs/search.md]

With `--ratio` the target and ours alone are played, ours to `EARLY` of the budget, for the last column alone: of many
replays, and for each whole budget of `WHOLE` full lengths that the replays reach.

Every searcher is played `--seeds` times on the validation values of one of the table's seeds in turn, in two ways:

Variants of ours stop at `EARLY` of the budget, and stand from there on where they stopped.

* `pool`: what is trained is an entry of the table, each once. A searcher makes 8 proposals at a time, and that is
  trained which has the nearest entry, see `replay.Table`. This blunts every sampler: of what it knows, only so much
  shows as the pool has near what it proposes, and none can find better than the pool's best.
* `emulator`: any configuration can be trained; its curve is what processes that were fitted to the table expect, see
  `emulator.Emulator`. This is as good as the fit, whose quality is given, and has no noise.

In a pool checkpoints are judged twice: as measured on the one seed that the searcher saw, and by the mean over the
table's seeds. By the first, of two searchers that train equally good models the one that trains more of them to the end
is ahead: the best of more noise is better. The second has half the variance of noise, and less that was selected.

Searchers of full length are favoured: the curve's other points count as their checkpoints too, at no cost.

Hypervolume is a share of that of all checkpoints in the table, or of many random ones of the emulator's; a budget is in
full-length trainings. Intervals are bootstrapped over replays. The last column is the question of the matter: which
part of the target's whole budget a searcher takes for the mean hypervolume that the target ends with.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from emulator import RANDOM, Emulator
from replay import Floats, Problem, Table, read_tables
from searchers import OURS, SEARCHERS, TARGET, Trace
from speed.table import replace

from bench.data import load_card
from bench.frontier.hypervolume import Growing, resolve_reference
from bench.search.space import load_space
from bench.suite import load_suite, resolve_objectives

SUITES = {"census-income": "quick", "kuairand-pure@late-window": "kuairand"}
SHARES = (0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1.0)
"""Of the whole budget, where hypervolumes are compared."""
FIRST = 1000
"""Number of the first replay: none of those by which anything was chosen."""
STEPS = 400
RESAMPLES = 2000
JUDGEMENTS = ("as measured", "by the mean over seeds")
WHOLE = (20, 40, 60, 80, 100)
"""Full lengths that may be the target's whole budget."""
EARLY = 0.4
"""Of the whole budget, where replays end of searchers that are not compared beyond."""
VARIANTS = tuple(name for name in SEARCHERS if name.startswith(f"{OURS}, "))


def curves_of(trace: Trace, problem: Problem, grid: Floats) -> Floats:
    """Share of hypervolume when so much of the budget was spent, as measured and as judged: (2, grid)."""
    at = np.searchsorted(trace.spent, grid + 1e-9, side="right")
    volumes = []
    for values in (trace.measured, trace.judged):
        growing = Growing(problem.objectives, problem.reference)
        volumes.append([growing.add(point) for point in values])
    return np.array([np.concatenate([[0.0], of])[at] / best for of, best in zip(volumes, problem.best, strict=True)])


def reached(mean: Floats, grid: Floats, target: float) -> float:
    """The first budget at which a mean curve is at the target; infinite where it never is."""
    there = mean >= target - 1e-12
    return float(grid[int(np.argmax(there))]) if there.any() else np.inf


def ratios(
    curves: Mapping[str, Floats], grid: Floats, rng: np.random.Generator, whole: float | None = None
) -> dict[str, tuple[float, float, float]]:
    """Searcher -> part of the target's whole budget at which it is where the target ends; 2.5, 50, 97.5 percentiles.

    Args:
        curves: searcher -> (replays, grid). Replays of one number are resampled together.
        whole: full lengths of the whole budget; by itself all that were played.
    """
    whole = whole or float(grid[-1])
    end = int(np.argmin(np.abs(grid - whole)))
    replays = len(curves[TARGET])
    draws = rng.integers(replays, size=(RESAMPLES, replays))
    found = {}
    for name, each in curves.items():
        sample = [reached(each[draw].mean(axis=0), grid, curves[TARGET][draw, end].mean()) for draw in draws]
        low, middle, high = np.quantile(sample, [0.025, 0.5, 0.975], method="nearest") / whole
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


def play(arguments: tuple[str, Problem, int, float, float]) -> Floats:
    """One replay's curves (2, STEPS), flat from where it ends; a fresh pool for each."""
    name, problem, seed, budget, played = arguments
    return curves_of(SEARCHERS[name](problem.fresh(), seed, played), problem, grid_of(budget))


def grid_of(budget: float) -> Floats:
    """Where curves are known: (STEPS,)."""
    return np.linspace(budget / STEPS, budget, STEPS)


def compare(
    problems: Sequence[Problem],
    seeds: int,
    budget: float,
    names: Sequence[str],
    workers: int,
    early: Sequence[str] = VARIANTS,
) -> dict[str, Floats]:
    """Searcher -> curves (seeds, 2, STEPS); replay i is on problem i modulo their number.

    Args:
        early: searchers whose replays end at `EARLY` of the budget.
    """
    for problem in problems:
        _ = problem.best  # once, here: kept with the problem, it goes to the workers
    games = []
    for name in names:
        played = budget * EARLY if name in early else budget
        games += [(name, problems[n % len(problems)], n, budget, played) for n in range(FIRST, FIRST + seeds)]
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


def described(way: str, tables: Sequence[Table]) -> tuple[list[Problem], str]:
    """What is searched in one of the two ways, and its title."""
    if way == "pool":
        return list(tables), f"pool of {len(tables[0].configs)} configurations on {len(tables)} seeds"
    emulator = Emulator(tables[0])
    fit = ", ".join(f"{quality:.2f}" for quality in emulator.quality())
    return [emulator], f"emulator (rank correlation {fit}; shares of {RANDOM:,} random configurations)"


def main() -> None:
    """Replays and prints the tables of every data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--datasets", nargs="+", default=list(SUITES), choices=list(SUITES))
    parser.add_argument("--ways", nargs="+", default=["pool", "emulator"], choices=["pool", "emulator"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budget", type=float, default=40, help="full-length trainings")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ratio", action="store_true", help="the target and ours alone, ours to a part of the budget")
    parser.add_argument("--write", type=Path, help="put the tables into this document")
    options = parser.parse_args()
    within = [whole for whole in WHOLE if whole <= options.budget]
    if options.ratio and not within:
        parser.error(f"--ratio: expected a --budget of {WHOLE[0]} or more, found {options.budget:g}")
    parts = []
    for dataset in options.datasets:
        tables = tables_of(dataset, options.table)
        for way in options.ways:
            problems, title = described(way, tables)
            names, early = ([TARGET, OURS], [OURS]) if options.ratio else (list(SEARCHERS), VARIANTS)
            curves = compare(problems, options.seeds, options.budget, names, options.workers, early)
            for number, judgement in enumerate(JUDGEMENTS if way == "pool" else JUDGEMENTS[1:], start=way != "pool"):
                of = {name: each[:, number] for name, each in curves.items()}
                grid, rng = grid_of(options.budget), np.random.default_rng(0)
                by = judgement if way == "pool" else "without noise"
                if options.ratio:
                    cells = " | ".join(_ratio(ratios(of, grid, rng, whole)[OURS]) for whole in within)
                    parts.append(f"| {dataset} | {by} | {cells} |")
                else:
                    head = f"## {dataset}, {title}, {options.seeds} replays, {by}"
                    parts.append(f"{head}\n\n{report(of, grid, rng)}\n")
                print(parts[-1], flush=True)
    if options.write:
        if options.ratio:
            head = " | ".join(map(str, within))
            parts = [f"| data | judged | {head} |", "|---" * (2 + len(within)) + "|", *parts]
        replace(options.write, "ratio" if options.ratio else "replays", "\n".join(parts))


if __name__ == "__main__":
    main()
