"""Learns the configurations that a search begins with, from tables of learning curves.

    python tests/benchmarks/learn_portfolio.py [--table reports/blackbox/table.parquet] [--size 12] [--write]

Every configuration of any table is a candidate, and what it comes to on each data set is what an emulator of that data
set's table expects (`emulator.Emulator`): so noise is smoothed, and configurations of one table are known on all. A
portfolio's worth on a data set is what a search by rungs has of it: all of it at the lowest rung, and at every rung
those that go on from there. Candidates are added one at a time, each time the one that lowers most the mean over data
sets of the logarithm of what is missing to the best. Data sets with another number of objectives count half. A
portfolio for many rows is learnt on those of the table that have as many, one for few rows on all.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from blackbox_table import SUITE, UNSEEN, card_of, name_of
from emulator import Emulator
from replay import KIND, Table, read_tables

from bench import content
from bench.data import load_card
from bench.frontier.pareto import hypervolume, ranks, resolve_reference
from bench.records import Scalar
from bench.search.plan import SINGLE_TASK, fitted
from bench.search.ranking import best_first, reduction_factors
from bench.search.space import load_space
from bench.suite import resolve_objectives

SIZE = 12
AGAIN = ("rare-feed", "long-tail-log", *UNSEEN)
"""Data sets whose configurations are those of others in the table: they add no candidates."""
LARGE, LARGE_ROWS = ("census-income", "kuairand-pure@late-window"), 80_000
"""The large data sets, and from how many rows of train one is large: the geometric mean of the nearest two."""
FLOOR = 0.002
"""Of hypervolume: what is missing less than this is not told from nothing."""
RANKS = 4
"""Candidates are the first non-dominated ranks, this many, at full length on any data set."""
HEAD = """# Made by tests/benchmarks/learn_portfolio.py, best first; a weight's last part is its task's place.
# Of data with at least `rows` rows of train.
"""

Config = dict[str, Scalar]


def tables_of(dataset: str, path: Path) -> list[Table]:
    """The data set's tables, one a training seed."""
    of, card = SUITE.dataset(card_of(dataset)), load_card(card_of(dataset))
    names = of.tasks or card.default_tasks
    tasks = tuple(task for task in card.tasks if task.name in names)
    objectives = resolve_objectives(of, tasks, ranks_groups=False)
    reference = resolve_reference(objectives, of.reference)
    space = load_space(SUITE.space)
    if not any(task.parent for task in tasks):
        space = space.restricted({"funnel.kind": "independent"})
    return read_tables(path, dataset, space, tuple(names), objectives, reference)


class Known:
    """What every candidate comes to on one data set.

    Attributes:
        curves: (candidates, fractions, objectives).
    """

    def __init__(self, emulator: Emulator, candidates: Sequence[Config]) -> None:
        self.objectives, self.reference = emulator.objectives, emulator.reference
        self.curves = emulator.curves([fitted(each, emulator.space, emulator.tasks) for each in candidates])
        self.best = hypervolume(self.curves.reshape(-1, len(self.objectives)), self.objectives, self.reference)
        self.eta = reduction_factors(len(self.objectives))[0]

    def missing(self, chosen: Sequence[int]) -> float:
        """Of the best hypervolume, what a search by rungs lacks that has tried these."""
        curves = self.curves[list(chosen)]
        order = best_first(curves[:, 0], self.objectives, self.reference)
        on = curves[order[: max(1, round(len(chosen) / self.eta))]]
        points = np.concatenate([curves[:, 0], on.reshape(-1, len(self.objectives))])
        played = hypervolume(points, self.objectives, self.reference)
        all_on = hypervolume(curves.reshape(-1, len(self.objectives)), self.objectives, self.reference)
        return 1 - (played + all_on) / 2 / self.best


def learn(known: Sequence[Known], candidates: Sequence[Config], objectives: int, size: int = SIZE) -> list[int]:
    """The chosen candidates for this number of objectives, best first; at least one is a single-task model."""
    near = np.min([ranks(of.curves[:, -1], of.objectives) for of in known], axis=0) < RANKS
    weights = np.array([1.0 if len(each.objectives) == objectives else 0.5 for each in known])
    good = np.flatnonzero(near).tolist()
    single = [i for i in good if candidates[i][KIND] == SINGLE_TASK]
    chosen: list[int] = []
    while len(chosen) < size:
        alone = len(chosen) == size - 1 and not set(chosen) & set(single)
        among = [i for i in (single if alone else good) if i not in chosen]
        losses = [np.log(FLOOR + np.array([max(0.0, of.missing([*chosen, i])) for of in known])) for i in among]
        chosen.append(among[int(np.argmin(np.array(losses) @ weights))])
    return chosen


def main() -> None:
    """Learns from all data sets and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--write", action="store_true", help="to search_spaces/portfolio/learnt.toml")
    options = parser.parse_args()
    names = [name for each in SUITE.datasets if (name := name_of(each.id)) not in UNSEEN]
    known, candidates = known_of(names, options.table)
    text = HEAD
    for rows, objectives in product((0, LARGE_ROWS), (2, 3)):
        of = [each for name, each in known.items() if not rows or name in LARGE]
        lines = "".join(f"  {_inline(candidates[i])},\n" for i in learn(of, candidates, objectives, options.size))
        head = f"objectives = {objectives}\nrows = {rows}"
        text += f"\n[[portfolios]]\n{head}\nconfigurations = [\n{lines}]\n"
    print(text)
    if options.write:
        (content.root("search_spaces") / "portfolio" / "learnt.toml").write_text(text, encoding="utf-8")


def known_of(datasets: Sequence[str], path: Path) -> tuple[dict[str, Known], list[Config]]:
    """By data set what is known of every candidate, and the candidates: all configurations of the tables."""
    tables = {dataset: tables_of(dataset, path)[0] for dataset in datasets}
    candidates = [config for name, table in tables.items() if name not in AGAIN for config in table.configs]
    return {name: Known(Emulator(of), candidates) for name, of in tables.items()}, candidates


def learnt_without(dataset: str, known: Mapping[str, Known], candidates: Sequence[Config]) -> tuple[Config, ...]:
    """The portfolio for a data set, learnt on the others; for a large one on the large ones."""
    left_out = (dataset, *UNSEEN)
    others = [each for name, each in known.items() if name not in left_out and (dataset not in LARGE or name in LARGE)]
    return tuple(candidates[i] for i in learn(others, candidates, len(known[dataset].objectives)))


def _inline(config: Config) -> str:
    def of(value: Scalar) -> str:
        return f'"{value}"' if isinstance(value, str) else f"{value:.3g}" if isinstance(value, float) else str(value)

    return "{ " + ", ".join(f'"{name}" = {of(value)}' for name, value in config.items()) + " }"


if __name__ == "__main__":
    main()
