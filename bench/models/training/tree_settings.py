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
        given = {
            key.removeprefix(prefix): value
            for key, value in config.items()
            if key.startswith(prefix)
        }
        return cls(**given)  # type: ignore[arg-type]

    def dotted(self, task: str) -> dict[str, Scalar]:
        """The settings as a part of a configuration."""
        return {f"trees.{task}.{key}": value for key, value in asdict(self).items()}


def whole_settings(config: Mapping[str, Scalar], tasks: Iterable[str]) -> dict[str, Scalar]:
    """Completes the configuration of these tasks' trees with defaults; raises UserError for a bad
    setting or value.
    """
    settings = {
        name: value for task in tasks for name, value in TreeSettings().dotted(task).items()
    }
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


def configurations(tasks: Iterable[str], many: int, seed: int) -> list[dict[str, Scalar]]:
    """`many` configurations to try: `FIRST`, then points of a Sobol sequence; all tasks share the
    settings.

    With the same seed, a longer list starts with the shorter one.
    """
    from scipy.stats.qmc import Sobol  # slow to import, and only a driver draws

    names = list(tasks)
    sobol = Sobol(len(RANGES), rng=np.random.default_rng(seed))
    points = sobol.random_base2(math.ceil(math.log2(max(1, many)))).tolist()
    settings = [*FIRST, *(TreeSettings(**_at(point)) for point in points)][:many]
    return [
        {key: value for name in names for key, value in each.dotted(name).items()}
        for each in settings
    ]


def _at(point: list[float]) -> dict[str, Any]:
    """Maps a point of the unit cube to the settings, with three digits."""
    settings: dict[str, Any] = {}
    for (name, (low, high)), place in zip(RANGES.items(), point, strict=True):
        value = low * (high / low) ** place
        settings[name] = round(value) if isinstance(low, int) else float(f"{value:.3g}")
    return settings


HASTE = 2.0
"""How many times larger steps are in tries that only compare settings: half the trees. The best of
`FIRST` is then the same on Census-Income, hotel bookings and the generated funnel, and another on
KuaiRand, where all three are close."""


def hasty(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A configuration with learning rates `HASTE` times as large."""
    faster = {name: value for name, value in config.items() if name.endswith(".learning_rate")}
    return {
        **config,
        **{name: HASTE * value for name, value in faster.items() if isinstance(value, float)},
    }


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
    known, settings = list(tried), dict[str, Scalar]()
    own = {name.partition(".")[0]: metric_of(name) for name in objectives}
    for task in tasks:
        merits = [merit(metrics, task, own.get(task, "auc")) for _, metrics in known]
        at = int(np.argmax(merits)) if merits and max(merits) > -math.inf else None
        settings |= (TreeSettings() if at is None else TreeSettings.of(known[at][0], task)).dotted(
            task
        )
    return settings


def merit(metrics: Mapping[str, float], task: str, metric: str = "auc") -> float:
    """A task's `metric` on validation if it is of groups or lists, else minus its loss; minus
    infinity if unknown.
    """
    of_lists = (metric, f"cvr.{metric}") if metric in AREAS[1:] or ranked(metric) else ()
    losses = ("logloss", "cvr.logloss", "rmse", "cvr.rmse")
    for name, sign in (*((each, 1) for each in of_lists), *((each, -1) for each in losses)):
        if math.isfinite(value := metrics.get(f"valid/{task}.{name}", math.nan)):
            return sign * value
    return -math.inf
