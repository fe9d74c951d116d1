"""What a searcher may train in a replay: entries of a table, or a function in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold, cross_val_predict

from bench.frontier.hypervolume import hypervolume
from bench.objectives import Objective
from bench.records import Scalar
from bench.search.encoding import Encoding
from bench.search.space import Space

Floats = NDArray[np.float64]
KIND = "sharing.kind"


class Problem(Protocol):
    """A space whose configurations have known learning curves.

    Attributes:
        fractions: of full length, at which a curve is known, rising, the last being 1.
        proposals: how many a searcher makes at a time, of which one is trained.
    """

    space: Space
    tasks: tuple[str, ...]
    objectives: tuple[Objective, ...]
    reference: Mapping[str, float]
    fractions: tuple[float, ...]
    proposals: int

    def fresh(self) -> Problem:
        """The same problem with nothing trained yet."""
        ...

    def train(self, proposals: Sequence[Mapping[str, Scalar]]) -> tuple[int, dict[str, Scalar], Floats] | None:
        """Which proposal is trained, the parameters that stand in for it, and their curve (fractions, objectives).

        NaN from where training failed. None where there is nothing left to train.
        """
        ...


@dataclass
class Table:
    """Configurations of one data set with their curves on one seed.

    A proposal's stand-in is the nearest configuration that was not trained before: of its own way of sharing while
    there is one, by the mean difference over the parameters that either has. Of several proposals, that with the
    nearest stand-in is trained. The difference of numbers is taken on their
    scale in [0, 1]; that of options is 0 or 1, that of a parameter which only one has is 1.
    """

    space: Space
    tasks: tuple[str, ...]
    objectives: tuple[Objective, ...]
    reference: Mapping[str, float]
    fractions: tuple[float, ...]
    configs: Sequence[dict[str, Scalar]]
    curves: Floats
    proposals: int = 8
    _left: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self._encoding = Encoding(self.space, self.tasks)
        self._rows = self._encoding.rows(self.configs)
        self._kinds = np.array([config[KIND] for config in self.configs])
        self._left = np.ones(len(self.configs), dtype=bool)

    def fresh(self) -> Table:
        """The same table with nothing trained yet."""
        return Table(self.space, self.tasks, self.objectives, self.reference, self.fractions, self.configs, self.curves)

    def best(self) -> float:
        """Hypervolume of all checkpoints together."""
        return hypervolume(self.curves.reshape(-1, len(self.objectives)), self.objectives, self.reference)

    def train(self, proposals: Sequence[Mapping[str, Scalar]]) -> tuple[int, dict[str, Scalar], Floats] | None:
        """See `Problem`."""
        left = np.flatnonzero(self._left)
        if not len(left):
            return None
        best = (np.inf, 0, 0)
        for number, proposal in enumerate(proposals):
            same = left[self._kinds[left] == proposal[KIND]]
            among = same if len(same) else left
            distances = self.distances(proposal)[among]
            nearest = int(np.argmin(distances))
            best = min(best, (float(distances[nearest]), number, int(among[nearest])))
        _, number, at = best
        self._left[at] = False
        return number, self.configs[at], self.curves[at]

    def distances(self, config: Mapping[str, Scalar]) -> Floats:
        """From a configuration to every entry: (N,), in [0, 1]."""
        row = self._encoding.rows([config])[0]
        has, have = ~np.isnan(row), ~np.isnan(self._rows)
        apart = np.abs(self._rows - row)
        apart = np.where(self._encoding.options > 0, (apart > 0).astype(float), apart)
        apart = np.where(has & have, apart, 1.0)
        either = has | have
        return np.asarray((apart * either).sum(axis=1) / either.sum(axis=1))


@dataclass
class Surrogate:
    """A table made into a function: extremely randomised trees (Geurts et al. 2006) over all runs that did not fail.

    Any configuration can be trained, and is itself. Trees average over neighbours: the best of the function lies below
    the best of the table, and it has the table's noise only in part.
    """

    table: Table
    seed: int = 0
    proposals: int = 1

    def __post_init__(self) -> None:
        of = self.table
        self.space, self.tasks, self.objectives, self.reference = of.space, of.tasks, of.objectives, of.reference
        self.fractions = of.fractions
        self._encoding = Encoding(of.space, of.tasks)
        whole = np.isfinite(of.curves).all(axis=(1, 2))
        self._inputs, self._curves = self._features(of.configs)[whole], of.curves[whole].reshape(whole.sum(), -1)
        self._trees = self._model().fit(self._inputs, self._curves)

    def fresh(self) -> Surrogate:
        """Itself: nothing is used up."""
        return self

    def best(self) -> float:
        """Hypervolume of all of the table's checkpoints together."""
        return self.table.best()

    def train(self, proposals: Sequence[Mapping[str, Scalar]]) -> tuple[int, dict[str, Scalar], Floats] | None:
        """See `Problem`."""
        curve = self._trees.predict(self._features(proposals[:1]))[0]
        return 0, dict(proposals[0]), curve.reshape(len(self.fractions), len(self.objectives))

    def quality(self) -> Floats:
        """Rank correlation of full-length values with predictions in five-fold cross-validation: (objectives,)."""
        predicted = cross_val_predict(
            self._model(), self._inputs, self._curves, cv=KFold(5, shuffle=True, random_state=self.seed)
        )
        last = range(-len(self.objectives), 0)
        return np.array([stats.spearmanr(self._curves[:, m], predicted[:, m]).statistic for m in last])

    def _model(self) -> ExtraTreesRegressor:
        return ExtraTreesRegressor(200, min_samples_leaf=2, max_features=0.7, random_state=self.seed)

    def _features(self, configs: Sequence[Mapping[str, Scalar]]) -> Floats:
        rows = self._encoding.rows(configs)
        columns = []
        for column, options in zip(rows.T, self._encoding.options, strict=True):
            columns += [column == option for option in range(options)] if options else [np.nan_to_num(column, nan=-1.0)]
        return np.column_stack(columns).astype(np.float64)


def read_tables(
    path: Path,
    dataset: str,
    space: Space,
    tasks: tuple[str, ...],
    objectives: tuple[Objective, ...],
    reference: Mapping[str, float],
) -> list[Table]:
    """A table for each seed of what `blackbox_table.py` wrote; configurations that were not trained on it are left out.

    Values after a failure are NaN.
    """
    frame = pd.read_parquet(path)
    frame = frame[frame["dataset"] == dataset]
    fractions = tuple(sorted(frame["fraction"].dropna().unique().tolist()))
    known = Encoding(space, tasks).column
    tables = []
    for _, of_seed in frame.groupby("seed"):
        configs, curves = [], []
        for _, run in of_seed.groupby("configuration"):
            head = run.iloc[0]
            found = {name: head[f"config/{name}"] for name in known if f"config/{name}" in run}
            configs.append({name: _plain(value) for name, value in found.items() if not pd.isna(value)})
            curve = np.full((len(fractions), len(objectives)), np.nan)
            for _, at in run.dropna(subset="fraction").iterrows():
                curve[fractions.index(at["fraction"])] = [at[objective.key("valid")] for objective in objectives]
            curves.append(curve)
        tables.append(Table(space, tasks, objectives, reference, fractions, configs, np.array(curves)))
    return tables


def _plain(value: object) -> Scalar:
    plain = value.item() if isinstance(value, np.generic) else value
    # A column with missing entries holds whole numbers as floats; a float that is whole reads the same either way.
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain  # type: ignore[return-value]
