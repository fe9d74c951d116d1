"""What a searcher may train in a replay: entries of a table, or a function (`analytic`,
`emulator`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.objectives import Objective
from bench.core.records import Scalar
from bench.ledger.pareto import hypervolume
from bench.search.encoding import Encoding
from bench.search.space import Space

Floats = NDArray[np.float64]
KIND = "sharing.kind"


class Trained(NamedTuple):
    """What a training came to.

    Attributes:
        proposal: which of them was trained.
        config: the parameters that stand in for it.
        curve: (fractions, objectives) as measured, NaN from where training failed.
        worth: the same as it is judged, with less noise or none.
    """

    proposal: int
    config: dict[str, Scalar]
    curve: Floats
    worth: Floats


class Problem(Protocol):
    """A space whose configurations have known learning curves.

    Attributes:
        fractions: of full length, at which a curve is known, rising, the last being 1.
        proposals: how many a searcher makes at a time, of which one is trained.
        portfolio: configurations to begin with, learnt on other data.
    """

    space: Space
    tasks: tuple[str, ...]
    objectives: tuple[Objective, ...]
    reference: Mapping[str, float]
    fractions: tuple[float, ...]
    proposals: int
    portfolio: tuple[dict[str, Scalar], ...]

    def fresh(self) -> Problem:
        """The same problem with nothing trained yet."""
        ...

    @property
    def best(self) -> tuple[float, float]:
        """Hypervolumes that shares are of: as measured, and as judged."""
        ...

    def train(self, proposals: Sequence[Mapping[str, Scalar]]) -> Trained | None:
        """Trains one of the proposals. None where there is nothing left to train."""
        ...


@dataclass
class Table:
    """Configurations of one data set with their curves on one seed, judged by the mean over all
    seeds.

    A proposal's stand-in is the nearest configuration that was not trained before: of its own way
    of sharing while there is one, by the mean difference over the parameters that either has. Of
    several proposals, that with the nearest stand-in is trained. The difference of numbers is taken
    on their scale in [0, 1]; that of options is 0 or 1, that of a parameter which only one has is
    1.
    """

    space: Space
    tasks: tuple[str, ...]
    objectives: tuple[Objective, ...]
    reference: Mapping[str, float]
    fractions: tuple[float, ...]
    configs: Sequence[dict[str, Scalar]]
    curves: Floats
    worth: Floats
    proposals: int = 2
    portfolio: tuple[dict[str, Scalar], ...] = ()
    _unused: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self._encoding = Encoding(self.space, self.tasks)
        self._rows = self._encoding.rows(self.configs)
        self._kinds = np.array([config[KIND] for config in self.configs])
        self._unused = np.ones(len(self.configs), dtype=bool)

    def fresh(self) -> Table:
        """The same table with nothing trained yet."""
        return replace(self)

    @cached_property
    def best(self) -> tuple[float, float]:
        """Hypervolumes of all checkpoints together; see `Problem`."""
        points = (values.reshape(-1, len(self.objectives)) for values in (self.curves, self.worth))
        measured, judged = (hypervolume(part, self.objectives, self.reference) for part in points)
        return measured, judged

    def train(self, proposals: Sequence[Mapping[str, Scalar]]) -> Trained | None:
        """See `Problem`."""
        unused = np.flatnonzero(self._unused)
        if not len(unused):
            return None
        best = (np.inf, 0, 0)
        for number, proposal in enumerate(proposals):
            same = unused[self._kinds[unused] == proposal[KIND]]
            eligible = same if len(same) else unused
            distances = self.distances(proposal)[eligible]
            nearest = int(np.argmin(distances))
            best = min(best, (float(distances[nearest]), number, int(eligible[nearest])))
        _, number, entry = best
        self._unused[entry] = False
        return Trained(number, self.configs[entry], self.curves[entry], self.worth[entry])

    def distances(self, config: Mapping[str, Scalar]) -> Floats:
        """From a configuration to every entry: (N,), in [0, 1]."""
        row = self._encoding.rows([config])[0]
        has, have = ~np.isnan(row), ~np.isnan(self._rows)
        gaps = np.abs(self._rows - row)
        gaps = np.where(self._encoding.options > 0, (gaps > 0).astype(float), gaps)
        gaps = np.where(has & have, gaps, 1.0)
        either = has | have
        return np.asarray((gaps * either).sum(axis=1) / either.sum(axis=1))


def read_tables(
    path: Path,
    dataset: str,
    space: Space,
    tasks: tuple[str, ...],
    objectives: tuple[Objective, ...],
    reference: Mapping[str, float],
    seeds: int = 2,
) -> list[Table]:
    """A table for each seed of what `blackbox_table.py` wrote; configurations that were not trained
    on it are left out.

    Values after a failure are NaN. Judged is by the mean over seeds, where training failed on none.

    Args:
        tasks: names in the table; in the configurations a task's weight goes by its place, "1" for
            the first.
        seeds: how many; later ones are only of some configurations.
    """
    frame = pd.read_parquet(path)
    frame = frame[(frame["dataset"] == dataset) & (frame["seed"] < seeds)]
    fractions = tuple(sorted(frame["fraction"].dropna().unique().tolist()))
    places = tuple(str(place + 1) for place in range(len(tasks)))
    known_columns = Encoding(space, places).column
    by_seed = []
    for _, of_seed in frame.groupby("seed"):
        configs, curves = [], []
        for _, run in of_seed.groupby("configuration"):
            named = run.iloc[0].filter(like="config/").dropna()
            config = {name.removeprefix("config/"): _plain(value) for name, value in named.items()}
            config = {_placed(name, tasks): value for name, value in config.items()}
            configs.append({name: config[name] for name in known_columns if name in config})
            curve = np.full((len(fractions), len(objectives)), np.nan)
            for _, rung_row in run.dropna(subset="fraction").iterrows():
                curve[fractions.index(rung_row["fraction"])] = [
                    rung_row[objective.key("valid")] for objective in objectives
                ]
            curves.append(curve)
        by_seed.append((configs, np.array(curves)))
    if any(configs != by_seed[0][0] for configs, _ in by_seed):
        raise SystemExit(f"expected the same configurations of {dataset} on every seed in {path}")
    mean = np.mean([curves for _, curves in by_seed], axis=0)
    return [
        Table(
            space,
            places,
            objectives,
            reference,
            fractions,
            configs,
            curves,
            np.where(np.isnan(mean), curves, mean),
        )
        for configs, curves in by_seed
    ]


def _placed(name: str, tasks: Sequence[str]) -> str:
    """A parameter's name with the place of a task for the task's own name."""
    stem, _, task = name.rpartition(".")
    return f"{stem}.{tasks.index(task) + 1}" if ".weight." in name and task in tasks else name


def named(config: Mapping[str, Scalar], tasks: Sequence[str]) -> dict[str, Scalar]:
    """A table's configuration with tasks' own names for their places."""
    parts = {name: name.rpartition(".") for name in config if ".weight." in name}
    by_task = {name: f"{stem}.{tasks[int(place) - 1]}" for name, (stem, _, place) in parts.items()}
    return {by_task.get(name, name): value for name, value in config.items()}


def _plain(value: object) -> Scalar:
    plain = value.item() if isinstance(value, np.generic) else value
    # A column with missing entries holds whole numbers as floats; a float that is whole reads the
    # same either way.
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain  # type: ignore[return-value]
