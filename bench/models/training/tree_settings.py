"""Settings of boosted trees: their ranges, tuning, and names in a configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.core.errors import UserError, check_known
from bench.core.objectives import AREAS, metric_of, ranked
from bench.core.records import Scalar


@dataclass(frozen=True)
class TreeSettings:
    """Settings of one task's trees; the defaults are the first try.

    Attributes:
        learning_rate: shrinkage of each tree's values.
        leaves: maximum number in a tree.
        rows_a_leaf: minimum number of train rows.
        l2: penalty on the values of leaves.
        columns: share of the columns that a split may use, drawn by the seed.
    """

    learning_rate: float = 0.05
    leaves: int = 31
    rows_a_leaf: int = 20
    l2: float = 1.0
    columns: float = 0.5

    @classmethod
    def of(cls, config: Mapping[str, Scalar], task: str) -> TreeSettings:
        """A task's settings in a configuration; missing ones have defaults."""
        prefix = f"trees.{task}."
        settings: dict[str, Any] = {}
        for name, value in config.items():
            if name.startswith(prefix):
                settings[name.removeprefix(prefix)] = value
        return cls(**settings)

    def dotted(self, task: str) -> dict[str, Scalar]:
        """The settings as a part of a configuration."""
        return {f"trees.{task}.{name}": value for name, value in asdict(self).items()}

    def for_all(self, tasks: Iterable[str]) -> dict[str, Scalar]:
        """A configuration in which these tasks share the settings."""
        config: dict[str, Scalar] = {}
        for task in tasks:
            config |= self.dotted(task)
        return config


def whole_settings(config: Mapping[str, Scalar], tasks: Iterable[str]) -> dict[str, Scalar]:
    """Completes the configuration of these tasks' trees with defaults; raises UserError for a bad
    setting or value.
    """
    settings = TreeSettings().for_all(tasks)
    for name, value in config.items():
        check_known("setting", name, settings, "trees")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UserError(f"{name}: expected a number, found {value!r}")
    return settings | dict(config)


def is_trees(config: Mapping[str, Scalar]) -> bool:
    """Whether a configuration is that of trees."""
    return bool(config) and all(name.startswith("trees.") for name in config)


FIRST = (
    TreeSettings(),
    TreeSettings(0.05, leaves=95, rows_a_leaf=60, l2=10.0, columns=0.25),
    TreeSettings(0.08, leaves=12, rows_a_leaf=100, l2=10.0, columns=0.3),
)
"""The first tries: trees of usual size, large ones with strong regularisation, and small ones. The
best differs by data."""
RANGES = {
    "learning_rate": (0.03, 0.2),
    "leaves": (7, 127),
    "rows_a_leaf": (5, 200),
    "l2": (0.01, 10.0),
    "columns": (0.2, 1.0),
}
"""Lowest and highest value of each setting to try; all are drawn on a logarithmic scale."""


def configurations(tasks: Iterable[str], number: int, seed: int) -> list[dict[str, Scalar]]:
    """Configurations to try, `number` of them: `FIRST`, then points of a Sobol sequence; all tasks
    share the settings.

    With the same seed, a longer list starts with the shorter one.
    """
    from scipy.stats.qmc import Sobol  # slow to import, and only a driver draws

    names = list(tasks)
    sobol = Sobol(len(RANGES), rng=np.random.default_rng(seed))
    points = sobol.random_base2(math.ceil(math.log2(max(1, number))))
    drawn = [_settings_at(point) for point in points.tolist()]
    return [settings.for_all(names) for settings in [*FIRST, *drawn][:number]]


def _settings_at(point: list[float]) -> TreeSettings:
    """Maps a point of the unit cube to settings, with three digits."""
    settings: dict[str, Any] = {}
    for (name, (low, high)), coordinate in zip(RANGES.items(), point, strict=True):
        value = low * (high / low) ** coordinate
        settings[name] = round(value) if isinstance(low, int) else float(f"{value:.3g}")
    return TreeSettings(**settings)


HASTE = 2.0
"""How many times larger steps are in tries that only compare settings: half the trees. The best of
`FIRST` is then the same on Census-Income, hotel bookings and the generated funnel, and another on
KuaiRand, where all three are close."""


def hasty(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A configuration with learning rates `HASTE` times as large."""
    faster = dict(config)
    for name, value in config.items():
        if name.endswith(".learning_rate") and isinstance(value, float):
            faster[name] = HASTE * value
    return faster


def best_by_task(
    tasks: Iterable[str],
    tried: Iterable[tuple[Mapping[str, Scalar], Mapping[str, float]]],
    objectives: Iterable[str] = (),
) -> dict[str, Scalar]:
    """For each task the settings that are best on validation by its objective, as networks are
    chosen.

    A task with a parent is judged where its parent happened: the rows that its trees learn from.
    The first among equals wins; a task without measurements gets the defaults. A task whose
    objective is not within groups or of a ranking is judged by the log loss, which is less noisy
    than AUC, or by the least error.
    """
    tries = list(tried)
    metric_by_task = {name.partition(".")[0]: metric_of(name) for name in objectives}
    config: dict[str, Scalar] = {}
    for task in tasks:
        metric = metric_by_task.get(task, "auc")
        merits = [merit(metrics, task, metric) for _, metrics in tries]
        best = TreeSettings()
        if merits and max(merits) > -math.inf:
            best_config, _ = tries[int(np.argmax(merits))]
            best = TreeSettings.of(best_config, task)
        config |= best.dotted(task)
    return config


def merit(metrics: Mapping[str, float], task: str, metric: str = "auc") -> float:
    """A task's `metric` on validation if it is of groups or lists, else minus its loss; minus
    infinity if unknown.
    """
    signed = [("logloss", -1), ("cvr.logloss", -1), ("rmse", -1), ("cvr.rmse", -1)]
    if metric in AREAS[1:] or ranked(metric):
        signed = [(metric, 1), (f"cvr.{metric}", 1), *signed]
    for name, sign in signed:
        value = metrics.get(f"valid/{task}.{name}", math.nan)
        if math.isfinite(value):
            return sign * value
    return -math.inf
