"""The cells of a design: which configurations tune each, and which of them are trained on fresh
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
MOST_RANGES = 64
"""Coordinates that are drawn, used or not, so that one range more changes no others."""


@dataclass(frozen=True)
class Tried:
    """What a configuration came to on the seed of tuning.

    Attributes:
        metrics: on validation; empty where it failed.
        norms: (T,) of the tasks' gradients on what they share; empty where not known.
    """

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
        return {ENSEMBLE: "ensemble", TREES: "trees"}.get(self.balancing, "trial")  # type: ignore[return-value]


def cells_of(design: Design, data: Sequence[str]) -> list[Cell]:
    """All cells of a design, cheap ones and those that others stand on first."""
    shared = [EQUAL, DEFAULT, STATIC, *design.balancing, PREDICTED]
    first = design.sharing[0]
    return [
        *(Cell(name, ALONE, kind) for name in data for kind in (SINGLE_TASK, ENSEMBLE, TREES)),
        *(
            Cell(name, sharing, each)
            for sharing in design.sharing
            for name in data
            for each in shared
        ),
        *(Cell(name, sharing, EQUAL) for name in data for sharing in design.more_sharing),
        *(Cell(name, first, each) for name in data for each in design.more_balancing),
    ]


def of_part(cells: Sequence[Cell], part: str) -> list[Cell]:
    """The cells that a part names: `data`, `data/sharing` or `data/sharing/balancing`, the data by
    its first letters.

    Raises:
        UserError: none.
    """
    data, *rest = part.split("/")
    whole = any(cell.data == data for cell in cells)
    chosen = [
        cell
        for cell in cells
        if (cell.data == data if whole else cell.data.startswith(data))
        and [cell.sharing, cell.balancing][: len(rest)] == rest
    ]
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
            asked = configurations(self.tasks, self.design.draws, derive(0, PURPOSE, TREES))
            return [
                best_by_task(
                    self.tasks, [(config, each.metrics) for config, each in _tried(asked, train)]
                )
            ]
        if cell.balancing in (SINGLE_TASK, ENSEMBLE):
            asked = self._draws(EQUAL, self.design.draws, self._of(SINGLE_TASK))
            if cell.balancing == SINGLE_TASK:
                return self._best_by_task(_tried(asked, train))
            return [ensemble_of(self._best(_tried(asked, single)), self.schema)]
        own = self._of(cell.sharing)
        if cell.balancing == DEFAULT:
            return [own]
        if cell.balancing == STATIC:
            return self._static(own, train)
        if cell.balancing == PREDICTED:
            first = _tried(self._draws(EQUAL, 1, own), train)[0][1]
            own |= {
                f"{WEIGHT}.{task}": weight
                for task, weight in predicted_weights(first.norms, self.tasks).items()
            }
        elif cell.balancing != EQUAL:
            own["balancing.kind"] = cell.balancing
        return [self._best(_tried(self._draws(cell.balancing, self.design.draws, own), train))]

    def _of(self, sharing: str) -> Params:
        """The names that are alike in all trainings of a way of sharing."""
        fixed: Params = {
            name: value
            for name, value in self.design.set.items()
            if not name.startswith("sharing.") or name.startswith(f"sharing.{sharing}.")
        }
        if self.data in self.design.epochs:
            fixed["optim.epochs"] = self.design.epochs[self.data]
        return fixed | {"sharing.kind": sharing}

    def _draws(self, balancing: str, many: int, own: Params) -> list[Params]:
        """`many` points of one Sobol sequence, the same for every cell; an option has a coordinate
        of its own.
        """
        ranges = self.design.ranges
        sobol = Sobol(MOST_RANGES, rng=np.random.default_rng(derive(0, PURPOSE)))
        points = sobol.random_base2(10)[:many]
        configs = []
        for point in points.tolist():
            at = dict(zip(ranges, point, strict=False))
            values: Params = {
                name: float(f"{low * (high / low) ** at[name]:.4g}")
                for name, (low, high) in ranges.items()
                if not name.startswith("balancing.") or name.startswith(f"balancing.{balancing}.")
            }
            configs.append(values | own)
        return configs

    def _static(self, own: Params, train: Train) -> list[Params]:
        grid = spread_out(self.tasks, self.design.weights, WEIGHT_RATIO)
        gradient = sum(works_on_gradients(kind) for kind in self.design.balancing)
        many = max(2, math.ceil(self.design.draws * gradient / len(grid)))
        asked = [
            config
            for weights in grid
            for config in self._draws(
                STATIC, many, own | {f"{WEIGHT}.{task}": w for task, w in weights.items()}
            )
        ]
        tried = _tried(asked, train)
        every = [each.metrics for _, each in tried]
        picked = []
        for place, weights in enumerate(grid):
            mine = slice(place * many, (place + 1) * many)
            if (best := chosen(weights, self.objectives, every[mine], every)) is not None:
                picked.append(asked[mine][best])
        return picked

    def _best(self, tried: Sequence[tuple[Params, Tried]]) -> Params:
        """The one with the largest sum of objectives on validation, each over its standard
        deviation.
        """
        metrics = [each.metrics for _, each in tried]
        at = chosen(dict.fromkeys(self.tasks, 1.0), self.objectives, metrics, metrics)
        assert at is not None
        return tried[at][0]

    def _best_by_task(self, tried: Sequence[tuple[Params, Tried]]) -> list[Params]:
        """For each task the configuration that is best in its first objective."""
        configs = []
        for task in self.tasks:
            by = next(
                (each for each in self.objectives if each.name.startswith(f"{task}.")),
                self.objectives[0],
            )
            known = [
                (by.sign * each.metrics[by.key(VALID)], config)
                for config, each in tried
                if each.metrics
            ]
            configs.append(max(known, key=lambda pair: pair[0])[1])
        return configs


def _tried(asked: Sequence[Params], train: Train) -> list[tuple[Params, Tried]]:
    """Configurations with what they came to; raises UserError if every one failed."""
    results = list(zip(asked, train(asked), strict=True))
    if not any(each.metrics for _, each in results):
        raise UserError(f"all {len(asked)} trainings that tune it failed")
    return results


def predicted_weights(norms: Sequence[float], tasks: Sequence[str]) -> dict[str, float]:
    """Static weights under which the tasks' gradients have equal norms (T,); they sum to the number
    of tasks.

    Where norms are not known, all weights are 1.
    """
    inverse = [1 / norm for norm in norms] if norms and min(norms) > 0 else [1.0] * len(tasks)
    scale = len(tasks) / sum(inverse)
    return {task: float(f"{scale * value:.4g}") for task, value in zip(tasks, inverse, strict=True)}
