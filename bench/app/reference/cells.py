"""The cells of a design: the configurations that tune each, and those that are trained on fresh
seeds.

A cell is a data set, a way of sharing and a balancer. Beside the balancers of the design there are

* `static`: weights evenly over the simplex, each tuned by itself (Kurin et al. and Xin et al., both
  NeurIPS 2022);
* `equal`: all weights 1, tuned like a balancer, and `default`: the same with our defaults and no
  tuning;
* `predicted`: static weights that a first training predicts, the inverse of the norms of the tasks'
  gradients on what they share, as in AutoScale (2025);
* models that share nothing, under `alone`: `single_task` (each task's best configuration),
  `ensemble` (two single-task models with the parameters of one) and `trees`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats.qmc import Sobol

from bench.app.runs.suite import Design
from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import PointKind, Scalar
from bench.core.rows import SEARCH as VALID
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.models.balancing import works_on_gradients
from bench.models.training.ensemble import ensemble_of
from bench.models.training.tree_settings import best_by_task, configurations
from bench.search.confirm.baselines import WEIGHT, WEIGHT_RATIO, chosen, spread_out

PURPOSE = "reference"
ALONE, SEARCH = "alone", "search"
"""Ways of sharing of rows of models that share nothing, and of points that a search confirmed."""
STATIC, EQUAL, DEFAULT, PREDICTED = "static", "equal", "default", "predicted"
COMPOSITE = "composite"
"""The best single-task models together: rows that are made of others."""
SINGLE_TASK, ENSEMBLE, TREES = "single_task", "ensemble", "trees"
Params = dict[str, Scalar]
COORDINATES = 64
"""Number of coordinates that are drawn, used or not, so that one range more changes no others."""
KINDS: dict[str, PointKind] = {ENSEMBLE: "ensemble", TREES: "trees"}
"""Kind of a cell's trainings, for a worker; all others are trials."""


@dataclass(frozen=True)
class Tried:
    """A configuration, and its results on the seed of tuning.

    Attributes:
        metrics: on validation; empty if it failed.
        norms: (T,) of the tasks' gradients on what they share; empty if not measured.
    """

    config: Params
    metrics: Mapping[str, float]
    norms: Sequence[float] = ()


Train = Callable[[Sequence[Params]], list[Tried]]
"""Trains configurations of a cell on the seed of tuning."""


@dataclass(frozen=True, order=True)
class Cell:
    """A data set, a way of sharing and a balancer; of models that share nothing `alone` and their
    kind.
    """

    data: str
    sharing: str
    balancing: str

    @property
    def part(self) -> str:
        """Its name on the command line."""
        return f"{self.data}/{self.sharing}/{self.balancing}"

    @property
    def kind(self) -> PointKind:
        """Of its trainings, for a worker."""
        return KINDS.get(self.balancing, "trial")


def cells_of(design: Design, data: Sequence[str]) -> list[Cell]:
    """All cells of a design, cheap ones and those that others stand on first."""
    alone = product(data, (SINGLE_TASK, ENSEMBLE, TREES))
    cells = [Cell(name, ALONE, kind) for name, kind in alone]
    balancers = [EQUAL, DEFAULT, STATIC, *design.balancing, PREDICTED]
    shared = product(design.sharing, data, balancers)
    cells += [Cell(name, sharing, balancing) for sharing, name, balancing in shared]
    cells += [Cell(name, sharing, EQUAL) for name, sharing in product(data, design.more_sharing)]
    first = design.sharing[0]
    more_balancers = product(data, design.more_balancing)
    cells += [Cell(name, first, balancing) for name, balancing in more_balancers]
    return cells


def of_part(cells: Sequence[Cell], part: str) -> list[Cell]:
    """The cells that a part names: `data`, `data/sharing` or `data/sharing/balancing`, the data by
    its first letters.

    Raises:
        UserError: none.
    """
    data, *rest = part.split("/")
    of_data = [cell for cell in cells if cell.data == data]
    if not of_data:
        of_data = [cell for cell in cells if cell.data.startswith(data)]
    chosen = [cell for cell in of_data if [cell.sharing, cell.balancing][: len(rest)] == rest]
    if not chosen:
        examples = sorted({f"{cell.data}/{cell.sharing}" for cell in cells})
        raise UserError(
            f"--part: expected a part such as {examples[0]} or {cells[-1].part}, found '{part}'"
        )
    return chosen


@dataclass(frozen=True)
class Tuning:
    """How cells of one data set are tuned."""

    design: Design
    data: str
    schema: Schema
    objectives: tuple[Objective, ...]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in order."""
        return [task.name for task in self.schema.tasks]

    def choose(self, cell: Cell, train: Train, single: Train) -> list[Params]:
        """Trains what tunes a cell, and gives the configurations to train on fresh seeds; of
        `single_task` one a task.

        Args:
            single: of the cell of single-task models, whose best configuration the ensemble halves.

        Raises:
            UserError: every training failed.
        """
        if cell.balancing == TREES:
            return [self._best_trees(train)]
        if cell.balancing == SINGLE_TASK:
            return self._best_by_task(self._tune(EQUAL, self._fixed(SINGLE_TASK), train))
        if cell.balancing == ENSEMBLE:
            best = self._best(self._tune(EQUAL, self._fixed(SINGLE_TASK), single))
            return [ensemble_of(best, self.schema)]
        fixed = self._fixed(cell.sharing)
        if cell.balancing == DEFAULT:
            return [fixed]
        if cell.balancing == STATIC:
            return self._static(fixed, train)
        if cell.balancing == PREDICTED:
            first = _tried(self._draws(EQUAL, 1, fixed), train)[0]
            fixed |= _weights(predicted_weights(first.norms, self.tasks))
        elif cell.balancing != EQUAL:
            fixed["balancing.kind"] = cell.balancing
        return [self._best(self._tune(cell.balancing, fixed, train))]

    def _fixed(self, sharing: str) -> Params:
        """The values that all trainings of a way of sharing have."""
        fixed: Params = {}
        for name, value in self.design.set.items():
            if not name.startswith("sharing.") or name.startswith(f"sharing.{sharing}."):
                fixed[name] = value
        if self.data in self.design.epochs:
            fixed["optim.epochs"] = self.design.epochs[self.data]
        return fixed | {"sharing.kind": sharing}

    def _tune(self, balancing: str, fixed: Params, train: Train) -> list[Tried]:
        return _tried(self._draws(balancing, self.design.draws, fixed), train)

    def _draws(self, balancing: str, count: int, fixed: Params) -> list[Params]:
        """`count` points of one Sobol sequence, the same for every cell; an option has a coordinate
        of its own.
        """
        sobol = Sobol(COORDINATES, rng=np.random.default_rng(derive(0, PURPOSE)))
        points = sobol.random_base2(10)[:count]
        configs = []
        for point in points.tolist():
            values: Params = {}
            for (name, (low, high)), share in zip(self.design.ranges.items(), point, strict=False):
                if not name.startswith("balancing.") or name.startswith(f"balancing.{balancing}."):
                    values[name] = float(f"{low * (high / low) ** share:.4g}")
            configs.append(values | fixed)
        return configs

    def _best_trees(self, train: Train) -> Params:
        configs = configurations(self.tasks, self.design.draws, derive(0, PURPOSE, TREES))
        pairs = [(tried.config, tried.metrics) for tried in _tried(configs, train)]
        return best_by_task(self.tasks, pairs)

    def _static(self, fixed: Params, train: Train) -> list[Params]:
        """The best configuration under each of a grid of static weights."""
        grid = spread_out(self.tasks, self.design.weights, WEIGHT_RATIO)
        gradient_methods = sum(works_on_gradients(kind) for kind in self.design.balancing)
        draws = max(2, math.ceil(self.design.draws * gradient_methods / len(grid)))
        configs: list[Params] = []
        for weights in grid:
            configs += self._draws(STATIC, draws, fixed | _weights(weights))
        metrics = [tried.metrics for tried in _tried(configs, train)]
        picked = []
        for row, weights in enumerate(grid):
            of_weights = slice(row * draws, (row + 1) * draws)
            best = chosen(weights, self.objectives, metrics[of_weights], metrics)
            if best is not None:
                picked.append(configs[of_weights][best])
        return picked

    def _best(self, tries: Sequence[Tried]) -> Params:
        """The configuration with the largest sum of objectives on validation, each over its
        standard deviation.
        """
        metrics = [tried.metrics for tried in tries]
        best = chosen(dict.fromkeys(self.tasks, 1.0), self.objectives, metrics, metrics)
        assert best is not None
        return tries[best].config

    def _best_by_task(self, tries: Sequence[Tried]) -> list[Params]:
        """For each task the configuration that is best in its first objective."""
        measured = [tried for tried in tries if tried.metrics]
        configs = []
        for task in self.tasks:
            objective = self._first_objective(task)
            key = objective.key(VALID)
            values = [objective.sign * tried.metrics[key] for tried in measured]
            configs.append(measured[values.index(max(values))].config)
        return configs

    def _first_objective(self, task: str) -> Objective:
        """The first objective of a task, else of all."""
        for objective in self.objectives:
            if objective.name.startswith(f"{task}."):
                return objective
        return self.objectives[0]


def _tried(configs: Sequence[Params], train: Train) -> list[Tried]:
    """Trains configurations; raises UserError if every one failed."""
    results = train(configs)
    if not any(tried.metrics for tried in results):
        raise UserError(f"all {len(configs)} trainings that tune it failed")
    return results


def _weights(weights: Mapping[str, float]) -> Params:
    return {f"{WEIGHT}.{task}": weight for task, weight in weights.items()}


def predicted_weights(norms: Sequence[float], tasks: Sequence[str]) -> dict[str, float]:
    """Static weights under which the tasks' gradients have equal norms (T,); they sum to the number
    of tasks.

    If norms were not measured, all weights are 1.
    """
    inverse = [1.0] * len(tasks)
    if norms and min(norms) > 0:
        inverse = [1 / norm for norm in norms]
    scale = len(tasks) / sum(inverse)
    weights = [float(f"{scale * value:.4g}") for value in inverse]
    return dict(zip(tasks, weights, strict=True))
