"""Learns the configurations that a search begins with, from tables of learning curves.

    python studies/learn_portfolio.py [--table reports/blackbox/table.parquet] [--size 12] [--write]
        [--served reports/blackbox/served.parquet]

Every configuration of any table is a candidate, and what it comes to on each data set is what an
emulator of that data set's table expects (`emulator.Emulator`): so noise is smoothed, and
configurations of one table are known on all. A portfolio's worth on a data set is what a search by
rungs has of it: all of it at the lowest rung, and at every rung those that go on from there.
Candidates are added one at a time, each time the one that lowers most the mean over data sets of
the logarithm of what is missing to the best. Data sets with another number of objectives count
half. A portfolio for many rows is learnt on those of the table that have as many, one for few rows
on all.

Where rows are ranked within groups, the portfolio is learnt for what is served, on
`served_table.py`'s table, whose configurations are the same on all data sets: those that together
lower most the mean regret in U, see there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from blackbox_table import SUITE, UNSEEN, card_of, name_of
from emulator import Emulator
from numpy.typing import NDArray
from replay import KIND, Table, read_tables
from speed.table import replace as replace_table

from bench.app.runs.suite_objectives import resolve_objectives
from bench.core.records import Scalar
from bench.core.system import content
from bench.data import load_card
from bench.ledger.pareto import hypervolume, ranks, resolve_reference
from bench.search.plan import SINGLE_TASK, fitted
from bench.search.promotion import best_first, reduction_factors
from bench.search.space import load_space

SIZE = 12
AGAIN = ("rare-feed", "long-tail-log", *UNSEEN)
"""Data sets whose configurations are those of others in the table: they add no candidates."""
LARGE, LARGE_ROWS = ("census-income", "kuairand-pure@late-window"), 80_000
"""The large data sets, and from how many rows of train one is large: the geometric mean of the
nearest two.
"""
FLOOR = 0.002
"""Of hypervolume: what is missing less than this is not told from nothing."""
RANKS = 4
"""Candidates are the first non-dominated ranks, this many, at full length on any data set."""
FEW = 1e-3
"""The weight of a configuration's own mean regret, by which those are ordered that add nothing."""
HEAD = """# Made by studies/learn_portfolio.py, best first; a weight's last part is its task's place.
# Of data with at least `rows` rows of train.
"""

Config = dict[str, Scalar]


def tables_of(dataset: str, path: Path) -> list[Table]:
    """The data set's tables, one a training seed."""
    suite_dataset, card = SUITE.dataset(card_of(dataset)), load_card(card_of(dataset))
    names = suite_dataset.tasks or card.default_tasks
    tasks = tuple(task for task in card.tasks if task.name in names)
    objectives = resolve_objectives(suite_dataset, tasks, ranked=())
    reference = resolve_reference(objectives, suite_dataset.reference)
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
        self.curves = emulator.curves(
            [fitted(candidate, emulator.space, emulator.tasks) for candidate in candidates]
        )
        self.best = hypervolume(
            self.curves.reshape(-1, len(self.objectives)), self.objectives, self.reference
        )
        self.eta = reduction_factors(len(self.objectives))[0]

    def missing(self, chosen: Sequence[int]) -> float:
        """Of the best hypervolume, what a search by rungs lacks that has tried these."""
        curves = self.curves[list(chosen)]
        order = best_first(curves[:, 0], self.objectives, self.reference)
        on = curves[order[: max(1, round(len(chosen) / self.eta))]]
        points = np.concatenate([curves[:, 0], on.reshape(-1, len(self.objectives))])
        played = hypervolume(points, self.objectives, self.reference)
        all_on = hypervolume(
            curves.reshape(-1, len(self.objectives)), self.objectives, self.reference
        )
        return 1 - (played + all_on) / 2 / self.best


def learn(
    data_sets: Sequence[Known], candidates: Sequence[Config], objectives: int, size: int = SIZE
) -> list[int]:
    """The chosen candidates for this number of objectives, best first; at least one is a
    single-task model.
    """
    near = (
        np.min([ranks(data.curves[:, -1], data.objectives) for data in data_sets], axis=0) < RANKS
    )
    weights = np.array([1.0 if len(data.objectives) == objectives else 0.5 for data in data_sets])
    good = np.flatnonzero(near).tolist()
    single = [i for i in good if candidates[i][KIND] == SINGLE_TASK]
    chosen: list[int] = []
    while len(chosen) < size:
        alone = len(chosen) == size - 1 and not set(chosen) & set(single)
        eligible = [i for i in (single if alone else good) if i not in chosen]
        losses = [
            np.log(FLOOR + np.array([max(0.0, data.missing([*chosen, i])) for data in data_sets]))
            for i in eligible
        ]
        chosen.append(eligible[int(np.argmin(np.array(losses) @ weights))])
    return chosen


def main() -> None:
    """Learns from all data sets and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--served", type=Path, default=Path("reports/blackbox/served.parquet"))
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument(
        "--write",
        action="store_true",
        help="to search_spaces/portfolio/learnt.toml, docs/studies/search.md",
    )
    options = parser.parse_args()
    names = [name for dataset in SUITE.datasets if (name := name_of(dataset.id)) not in UNSEEN]
    known_data, candidates = known_of(names, options.table)
    text = HEAD
    for rows, objectives in product((0, LARGE_ROWS), (2, 3)):
        learnt_on = [data for name, data in known_data.items() if not rows or name in LARGE]
        lines = "".join(
            f"  {_inline(candidates[i])},\n"
            for i in learn(learnt_on, candidates, objectives, options.size)
        )
        head = f"objectives = {objectives}\nrows = {rows}"
        text += f"\n[[portfolios]]\n{head}\nconfigurations = [\n{lines}]\n"
    _, _, configs = served = served_regrets(options.served)
    chosen = learn_served(served[0], single_of(configs), options.size)
    lines = "".join(f"  {_inline(configs[place])},\n" for place in chosen)
    head = "# Of what is served within groups.\n[[portfolios]]\nobjectives = 3\nrows = 0"
    text += f"\n{head}\nconfigurations = [\n{lines}]\n"
    judged = "\n".join(left_out(options.served, options.size))
    print(text, judged, sep="\n")
    if options.write:
        replace_table(Path("docs/studies/search.md"), "served-portfolio", judged)
        (content.root("search_spaces") / "portfolio" / "learnt.toml").write_text(
            text, encoding="utf-8"
        )


def known_of(datasets: Sequence[str], path: Path) -> tuple[dict[str, Known], list[Config]]:
    """By data set what is known of every candidate, and the candidates: all configurations of the
    tables.
    """
    tables = {dataset: tables_of(dataset, path)[0] for dataset in datasets}
    candidates = [
        config for name, table in tables.items() if name not in AGAIN for config in table.configs
    ]
    return {name: Known(Emulator(table), candidates) for name, table in tables.items()}, candidates


def learnt_without(
    dataset: str, known_data: Mapping[str, Known], candidates: Sequence[Config]
) -> tuple[Config, ...]:
    """The portfolio for a data set, learnt on the others; for a large one on the large ones."""
    left_out = (dataset, *UNSEEN)
    remaining = [
        data
        for name, data in known_data.items()
        if name not in left_out and (dataset not in LARGE or name in LARGE)
    ]
    return tuple(
        candidates[i] for i in learn(remaining, candidates, len(known_data[dataset].objectives))
    )


def served_regrets(path: Path) -> tuple[NDArray[np.float64], list[str], list[Config]]:
    """(configurations, data sets): how far U is below the data set's best, in per cent; data sets;
    configurations.

    Those with an interaction are left out: they cost most, and on no data set gain by it.
    """
    frame = pd.read_parquet(path)
    full = (
        frame[frame["fraction"] == 1]
        .groupby(["configuration", "dataset"], sort=False)
        .mean(numeric_only=True)
    )
    true = full["U/test"].unstack().dropna()
    rows = frame.drop_duplicates("configuration").set_index("configuration").loc[true.index]
    configs = []
    for row in rows.to_dict("records"):
        config = {
            str(name).removeprefix("config/"): value
            for name, value in row.items()
            if is_known(str(name), value)
        }
        tasks = [
            name.rpartition(".")[2]
            for name in config
            if ".weight." in name and name.startswith("balancing.")
        ]
        placed = {
            f"balancing.static.weight.{task}": f"balancing.static.weight.{place}"
            for place, task in enumerate(tasks, 2)
        }
        configs.append(
            {
                placed.get(name, name): value
                for name, value in config.items()
                if name != "optim.epochs"
            }
        )
    regrets = 100 * (true.max() - true).to_numpy()
    plain_places = [place for place, config in enumerate(configs) if _plain(config)]
    return (
        regrets[plain_places],
        [str(name) for name in true],
        [configs[place] for place in plain_places],
    )


def single_of(configs: Sequence[Config]) -> list[int]:
    """Which of them are single-task models."""
    return [place for place, config in enumerate(configs) if config[KIND] == SINGLE_TASK]


def _plain(config: Config) -> bool:
    return config["interaction.kind"] == "none"


def is_known(name: str, value: object) -> bool:
    """Whether a column of a table is a parameter that a configuration has."""
    return name.startswith("config/") and value == value and value is not None


def learn_served(regrets: NDArray[np.float64], single: Sequence[int], size: int) -> list[int]:
    """The chosen configurations, best first; the last is a single-task model where none was chosen
    before.
    """
    chosen, best_so_far = [], np.full(regrets.shape[1], np.inf)
    while len(chosen) < size:
        alone = len(chosen) == size - 1 and not set(chosen) & set(single)
        eligible = [
            place for place in (single if alone else range(len(regrets))) if place not in chosen
        ]
        means = np.minimum(best_so_far, regrets[eligible]).mean(axis=1) + FEW * regrets[
            eligible
        ].mean(axis=1)
        chosen.append(eligible[int(np.argmin(means))])
        best_so_far = np.minimum(best_so_far, regrets[chosen[-1]])
    return chosen


def left_out(path: Path, size: int) -> list[str]:
    """Of each data set the regret of the best of what is learnt on the others, and of as many drawn
    at random.
    """
    regrets, names, configs = served_regrets(path)
    single, rng = single_of(configs), np.random.default_rng(0)
    lines = [
        "| data left out | regret of the best of the portfolio, % of U | of as many at random |",
        "|---|---|---|",
    ]
    for column, name in enumerate(names):
        chosen = learn_served(np.delete(regrets, column, axis=1), single, size)
        drawn = np.mean(
            [regrets[rng.permutation(len(regrets))[:size], column].min() for _ in range(1000)]
        )
        lines.append(f"| {name} | {regrets[chosen, column].min():.2f} | {drawn:.2f} |")
    return lines


def _inline(config: Config) -> str:
    def of(value: Scalar) -> str:
        return (
            f'"{value}"'
            if isinstance(value, str)
            else f"{value:.3g}"
            if isinstance(value, float)
            else str(value)
        )

    return "{ " + ", ".join(f'"{name}" = {of(value)}' for name, value in config.items()) + " }"


if __name__ == "__main__":
    main()
