"""A table of learning curves made into a function that has no noise: any configuration can be
trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from replay import Floats, Table, Trained
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel
from sklearn.model_selection import KFold

from bench.core.records import Scalar
from bench.ledger.pareto import hypervolume
from bench.search.encoding import Encoding

RANDOM = 3000
"""Random configurations whose checkpoints together are the best; shares are fractions of it."""


class Emulator:
    """Predicts a table's mean curves for any configuration, by scikit-learn's Gaussian processes.

    A Matern kernel (nu = 1.5) with a length for each feature, and noise; one process for each
    objective and fraction, on the logarithm of what is missing to the best. Settings are found at
    full length, and are those of the lower fractions as well. Features: a number, or one for each
    option; -1 or none of them where there is no such parameter.
    """

    proposals = 1

    def __init__(self, table: Table) -> None:
        self.space, self.tasks, self.objectives = table.space, table.tasks, table.objectives
        self.reference = table.reference
        self.fractions = table.fractions
        self.portfolio = table.portfolio
        self._encoding = Encoding(table.space, table.tasks)
        self._signs = np.array([objective.sign for objective in table.objectives])
        whole = np.isfinite(table.worth).all(axis=(1, 2))
        features = self._features(
            [config for config, fine in zip(table.configs, whole, strict=True) if fine]
        )
        self._middle, self._spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
        self._inputs = (features - self._middle) / self._spread
        values = table.worth[whole] * self._signs
        self._top = values.max(axis=0)
        self._gap = 0.03 * np.median(self._top - values, axis=0)
        logs = -np.log(self._top + self._gap - values)
        self._level, self._scale = logs.mean(axis=0), logs.std(axis=0)
        self._targets = (logs - self._level) / self._scale
        self._processes = [self._fit(m) for m in range(len(self.objectives))]

    def fresh(self) -> Emulator:
        """Itself: nothing is used up."""
        return self

    @cached_property
    def best(self) -> tuple[float, float]:
        """Hypervolume of all checkpoints of random configurations; see `Problem`."""
        configs = [
            self.space.sample(np.random.default_rng(number), self.tasks) for number in range(RANDOM)
        ]
        points = self.curves(configs).reshape(-1, len(self.objectives))
        return (hypervolume(points, self.objectives, self.reference),) * 2

    def train(self, proposals: Sequence[Mapping[str, Scalar]]) -> Trained:
        """See `Problem`."""
        curve = self.curves(proposals[:1])[0]
        return Trained(0, dict(proposals[0]), curve, curve)

    def curves(self, configs: Sequence[Mapping[str, Scalar]]) -> Floats:
        """Of configurations: (N, fractions, objectives)."""
        inputs = (self._features(configs) - self._middle) / self._spread
        # (M, fractions, N)
        stacked = np.array(
            [[process.predict(inputs) for process in by_length] for by_length in self._processes]
        )
        logs = stacked.transpose(2, 1, 0) * self._scale + self._level
        return np.asarray((self._top + self._gap - np.exp(-logs)) * self._signs)

    def quality(self) -> Floats:
        """Rank correlation of full-length values with predictions in five-fold cross-validation:
        (objectives,).
        """
        predicted = np.empty_like(self._targets[:, -1])
        for train, test in KFold(5, shuffle=True, random_state=0).split(self._inputs):
            for m in range(len(self.objectives)):
                process = _process(self._inputs[train], self._targets[train, -1, m])
                predicted[test, m] = process.predict(self._inputs[test])
        return np.array(
            [
                stats.spearmanr(predicted[:, m], self._targets[:, -1, m]).statistic
                for m in range(predicted.shape[1])
            ]
        )

    def _fit(self, m: int) -> list[GaussianProcessRegressor]:
        full = _process(self._inputs, self._targets[:, -1, m])
        lower = range(len(self.fractions) - 1)
        return [
            *(_process(self._inputs, self._targets[:, stage, m], full.kernel_) for stage in lower),
            full,
        ]

    def _features(self, configs: Sequence[Mapping[str, Scalar]]) -> Floats:
        columns: list[NDArray[np.float64] | NDArray[np.bool_]] = []
        for column, options in zip(
            self._encoding.rows(configs).T, self._encoding.options, strict=True
        ):
            columns += (
                [column == option for option in range(options)]
                if options
                else [np.nan_to_num(column, nan=-1.0)]
            )
        return np.column_stack(columns).astype(np.float64)


def _process(
    inputs: Floats, targets: Floats, kernel: Kernel | None = None
) -> GaussianProcessRegressor:
    """With the settings of a kernel, or with those that are most likely."""
    if kernel is not None:
        return GaussianProcessRegressor(kernel, optimizer=None).fit(inputs, targets)
    lengths = Matern(np.full(inputs.shape[1], 5.0), (0.3, 1e3), nu=1.5)
    with warnings.catch_warnings():
        # a length at its limit: a feature that does not matter
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = ConstantKernel(1.0) * lengths + WhiteKernel(0.1, (1e-3, 1.0))
        return GaussianProcessRegressor(start, random_state=0).fit(inputs, targets)
