"""Ordinal regression over quantiles of the label, and its expectation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.core.arrays import Floats, Singles
from bench.core.registry import Config
from bench.core.schema import Number, Schema
from bench.models.losses.base import Context, RegressionLoss, mean

CUTS = 48
"""K, the number of cut points between K + 1 bins."""
GROUPS = 30
"""Largest number of groups of rows by duration, without the one of rows without a duration."""
ROWS_OF_GROUP = 2000
"""Train rows in each group; a group with fewer than a tenth uses the cut points of all rows."""
SLOWEST = 0.01
"""Smallest step of the thresholds, relative to Newton's."""
NO_BOUND = 3e38
LARGEST_LOG = 80.0
"""Upper bound of logarithms, as in `bench.models.targets`."""


class Bins(RegressionLoss):
    """A cumulative-link model (McCullagh, JRSS B 1980): P(y > cut k) = sigmoid(output - threshold
    k).

    One output and K thresholds that all rows share, as in CORAL (Cao et al., Pattern Recognition
    Letters 2020), so a task keeps one output under any funnel and balancer. The loss is the mean of
    the log losses of y > cut k.

    Cut k is a quantile of train's labels. If the card names a duration, it is that quantile among
    rows of about this duration, as in D2Q (Zhan et al., KDD 2022): the output then compares a video
    with others of its length. Between the mean durations of two groups, cuts are interpolated
    linearly; beyond train's durations they are constant. Levels, and groups, are denser where
    labels are far from the median, so that a long tail has enough of them. The prediction is the
    expectation: the sum of each bin's mean label times its probability.

    Thresholds take no gradient. Newton's steps move each to where its mean prediction is the share
    of labels above its cut, which minimises its loss. They are part of the model's state, as are
    the tables.

    Of a censored label, y > cut k is unknown if the cut is at or above the row's bound: such pairs
    are left out. Tables use labels below their bounds, each weighted by the inverse of the share of
    rows whose bound is above it (Robins & Rotnitzky, 1992). Labels above all bounds count as the
    largest labels.

    Attributes:
        thresholds: (R, K) of the R regressions.
        knots: (R, G), mean standardised duration of each group, ascending, between the least and
            the greatest one.
        cuts: (R, G + 1, K), on the scale of the targets; the last are of rows without a duration,
            or of all rows.
        means: (R, G + 1, K + 1), the mean label of each bin, on the scale of the targets.
    """

    aims_at_mean = True
    needs_tables = True

    def __init__(self, schema: Schema, config: Config) -> None:
        super().__init__(schema, config)
        self.tasks = [n for n, task in enumerate(schema.tasks) if task.kind == "regression"]
        self.scales = [schema.tasks[task].scale for task in self.tasks]
        numbers: dict[str | None, Number] = {number.name: number for number in schema.numbers}
        self.durations = [numbers.get(schema.tasks[task].duration) for task in self.tasks]
        groups = GROUPS + 2 if any(self.durations) else 0  # and one knot at either end
        regressions = len(self.tasks)
        levels = torch.linspace(0, 1, CUTS + 2, dtype=torch.float64)[1:-1]
        cuts = torch.special.ndtri(levels)  # before `fit`, labels are assumed to be normal
        means = torch.cat([cuts[:1] - 0.1, cuts])
        self.thresholds = nn.Buffer(torch.logit(levels).float().repeat(regressions, 1))
        self.knots = nn.Buffer(torch.full((regressions, groups), NO_BOUND))
        self.cuts = nn.Buffer(cuts.float().repeat(regressions, groups + 1, 1))
        self.means = nn.Buffer(means.float().repeat(regressions, groups + 1, 1))
        self.batches: Tensor = nn.Buffer(torch.zeros(()))
        self.smeared = (False,) * len(schema.tasks)

    def start(self, means: Tensor) -> Tensor:
        """Zeros, at which the thresholds give the labels' own distribution."""
        return torch.zeros_like(means)

    @torch.no_grad()
    def fit(
        self,
        targets: Singles,
        values: Singles,
        dense: Singles,
        weights: Singles | None,
        bounds: Singles | None,
    ) -> None:
        """Fits the cuts and means of each group of rows, and the thresholds' start."""
        if weights is None:
            weights = np.ones(len(targets), np.float32)
        for regression, task in enumerate(self.tasks):
            seen = ~np.isnan(targets[:, task])
            if seen.any():
                rows = RegressionRows(
                    targets[seen, task].astype(np.float64),
                    values[seen, task].astype(np.float64),
                    weights[seen].astype(np.float64),
                    None if bounds is None else bounds[seen, task].astype(np.float64),
                )
                self._fit_regression(regression, rows, dense[seen])

    def _fit_regression(self, regression: int, rows: RegressionRows, dense: Singles) -> None:
        groups = self._groups(regression, rows, dense)
        levels = rows.uncensored().levels(groups.of_row)
        self.thresholds[regression] = torch.logit(torch.from_numpy(levels)).float()
        whole = self._table(regression, rows, levels)
        knots = []
        tables = []
        for group in range(groups.number + 1):
            inside = np.flatnonzero(groups.of_row == group)
            if 10 * len(inside) < ROWS_OF_GROUP:
                tables.append(whole)
            else:
                tables.append(self._table(regression, rows.of(inside), levels))
            if group < groups.number:
                knots.append(float(groups.durations[inside].mean()))
        if groups.number > 1:
            durations = groups.durations[groups.of_row < groups.number]
            _widen(knots, tables, float(durations.min()), float(durations.max()))

        self.knots[regression] = NO_BOUND
        self.knots[regression, : len(knots)] = torch.tensor(knots)
        unused_knots = self.cuts.shape[1] - len(tables)
        tables += tables[-1:] * unused_knots
        stacked = torch.from_numpy(np.stack(tables)).float()
        self.cuts[regression] = stacked[:, :CUTS]
        self.means[regression] = stacked[:, CUTS:]

    def _groups(self, regression: int, rows: RegressionRows, dense: Singles) -> Groups:
        """Groups of rows by the regression's duration; none if it has no duration."""
        duration = self.durations[regression]
        if duration is None:
            return Groups(np.zeros(len(dense), np.int64), np.zeros(len(dense)), 0)
        known = np.ones(len(dense), np.bool_)
        if duration.missing is not None:
            known = dense[:, duration.missing] <= 0.5
        return rows.groups(dense[:, duration.column].astype(np.float64), known)

    def _table(self, regression: int, rows: RegressionRows, levels: Floats) -> Floats:
        """K cuts and K + 1 means of some rows, on the scale of the targets."""
        cuts, means = rows.uncensored().tables(levels)
        scale = self.scales[regression]
        if scale is not None:
            if scale.log:
                means = np.log1p(np.maximum(means, 0))
            means = (means - scale.centre) / scale.spread
        return np.concatenate([cuts, means])

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """The mean log loss (B, T) of whether a target is above each cut."""
        columns = list(torch.zeros_like(outputs).unbind(1))
        for regression, task in enumerate(self.tasks):
            cuts = self._interpolated(regression, context.dense, self.cuts)
            above = (targets[:, task, None] > cuts).to(outputs.dtype)
            logits = outputs[:, task, None] - self.thresholds[regression]
            losses = F.binary_cross_entropy_with_logits(logits, above, reduction="none")
            if context.bounds is not None:
                losses = torch.where(cuts < context.bounds[:, task, None], losses, 0)
            columns[task] = losses.mean(1)
        return torch.stack(columns, 1)

    @torch.no_grad()
    def follow(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None, context: Context
    ) -> None:
        """Moves each threshold by a step of Newton's."""
        self.batches += 1
        rate = (1 / (self.batches + 9)).clamp(min=SLOWEST)
        for regression, task in enumerate(self.tasks):
            cuts = self._interpolated(regression, context.dense, self.cuts)
            predicted = (outputs[:, task, None] - self.thresholds[regression]).sigmoid()
            counted = (~targets[:, task, None].isnan()).expand_as(predicted)
            if context.bounds is not None:
                counted = counted & (cuts < context.bounds[:, task, None])
            above = (targets[:, task, None] > cuts).to(predicted.dtype)
            excess = mean(predicted - above, counted, weights)
            slope = mean(predicted * (1 - predicted), counted, weights).clamp(min=1e-4)
            self.thresholds[regression] += rate * (excess / slope).clamp(-10, 10)

    def predicted(self, outputs: Tensor, dense: Tensor, caps: Tensor | None = None) -> Tensor:
        """The expectations of the labels' distributions."""
        columns = list(outputs.unbind(1))
        for regression, task in enumerate(self.tasks):
            means = self._interpolated(regression, dense, self.means)
            if caps is not None:
                means = torch.minimum(means, caps[:, task, None])
            above = (outputs[:, task, None] - self.thresholds[regression]).sigmoid()
            scale = self.scales[regression]
            if scale is None or not scale.log:
                columns[task] = _expected(means, above)
            else:
                logs = (means * scale.spread + scale.centre).clamp(0.0, LARGEST_LOG)  # of 1 + y
                expected = _expected(logs.exp(), above)
                columns[task] = (expected.log() - scale.centre) / scale.spread
        return torch.stack(columns, 1)

    def _interpolated(self, regression: int, dense: Tensor | None, tables: Tensor) -> Tensor:
        """Interpolates a regression's tables (R, G + 1, n) for each row: (B, n), or (1, n) if all
        rows share one.
        """
        duration = self.durations[regression]
        by_knot, without_duration = tables[regression, :-1], tables[regression, -1:]
        if duration is None or dense is None:
            return without_duration
        knots = self.knots[regression]
        gaps = (knots[1:] - knots[:-1]).clamp(min=1e-30)
        # From each knot to the next one, the share of the way to the row's duration.
        ways = ((dense[:, duration.column, None] - knots[:-1]) / gaps).clamp(0.0, 1.0)
        of_row = by_knot[:1] + torch.einsum("bg,gk->bk", ways, by_knot[1:] - by_knot[:-1])
        if duration.missing is None:
            return of_row
        return of_row + dense[:, duration.missing, None] * (without_duration - of_row)


def _expected(means: Tensor, above: Tensor) -> Tensor:
    """The expectation (B,) from each bin's mean (B, K + 1) and P(y > cut k) (B, K)."""
    return means[:, 0] + (above * (means[:, 1:] - means[:, :-1])).sum(1)


def _widen(knots: list[float], tables: list[Floats], first: float, last: float) -> None:
    """Adds knots at the least and greatest duration by linear extrapolation, at most as far as to
    the next knot.

    The last of the tables is of rows without a duration.
    """
    after = len(knots)
    low, table_of_low = _extrapolated(knots, tables, 0, 1, first)
    high, table_of_high = _extrapolated(knots, tables, after - 1, after - 2, last)
    knots.insert(after, high)
    tables.insert(after, table_of_high)
    knots.insert(0, low)
    tables.insert(0, table_of_low)


def _extrapolated(
    knots: list[float], tables: list[Floats], outer: int, inner: int, end: float
) -> tuple[float, Floats]:
    """A knot beyond the outer one, towards `end`, and its table, whose cuts and means ascend."""
    gap = knots[outer] - knots[inner]
    way = min((end - knots[outer]) / gap, 1.0)
    table = tables[outer] + way * (tables[outer] - tables[inner])
    cuts, means = np.split(table, [CUTS])
    ascending = np.concatenate([np.maximum.accumulate(cuts), np.maximum.accumulate(means)])
    return knots[outer] + way * gap, ascending


class Groups(NamedTuple):
    """Groups of N rows by their duration; `number` is the group of rows without a duration."""

    of_row: NDArray[np.int64]
    durations: Floats
    number: int


@dataclass(frozen=True)
class RegressionRows:
    """N rows of train of one regression: targets, labels, weights and, of censored ones, bounds of
    the targets.
    """

    targets: Floats
    values: Floats
    weights: Floats
    bounds: Floats | None = None

    def of(self, rows: NDArray[np.int64]) -> RegressionRows:
        """Selects rows."""
        bounds = None if self.bounds is None else self.bounds[rows]
        return RegressionRows(self.targets[rows], self.values[rows], self.weights[rows], bounds)

    def uncensored(self) -> RegressionRows:
        """Sets the weight of rows at their bounds to 0 and raises the others' to stand for them."""
        if self.bounds is None:
            return self
        rows = len(self.bounds)
        at_most = np.searchsorted(np.sort(self.bounds), self.targets, side="right")
        share_above = 1 - at_most / rows  # of bounds, for each target
        raised = self.weights / np.maximum(share_above, 1 / rows)
        weights = np.where(self.targets < self.bounds, raised, 0)
        return replace(self, weights=weights if weights.any() else self.weights, bounds=None)

    def groups(self, durations: Floats, known: NDArray[np.bool_]) -> Groups:
        """Groups of about equal mass by durations (N,), where `known`; equal ones stay together."""
        order = np.flatnonzero(known)[np.argsort(durations[known], kind="stable")]
        if not len(order):
            return Groups(np.zeros(len(durations), np.int64), durations, 0)
        values = self.values[order]
        mass_up_to = np.cumsum(_mass(self.weights[order], values - np.median(values)))
        first = np.unique(durations[order], return_index=True)[1]  # row of each distinct duration
        mass_before = np.append(0, mass_up_to)[first]
        wanted = np.clip(len(order) // ROWS_OF_GROUP, 1, GROUPS)
        number = np.floor(wanted * np.minimum(mass_before, 1 - 1e-9)).astype(np.int64)
        number = np.unique(number, return_inverse=True)[1]  # without gaps
        count = int(number[-1]) + 1
        of_row = np.full(len(durations), count)
        of_row[order] = np.repeat(number, np.diff(np.append(first, len(order))))
        return Groups(of_row, durations, count)

    def levels(self, group: NDArray[np.int64]) -> Floats:
        """The K levels, ascending: spaced half by rows, half by distance from the median of their
        group.
        """
        order = np.lexsort((self.targets, group))
        values, weights = self.values[order], self.weights[order]
        first = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])  # row of each group
        sizes = np.diff(np.append(first, len(group)))
        before = np.cumsum(weights) - weights
        totals = np.maximum(np.add.reduceat(weights, first), 1e-30)
        reached = before - np.repeat(before[first], sizes) + weights / 2
        rank = reached / np.repeat(totals, sizes)  # in the group, between 0 and 1
        medians = values[first + sizes // 2]
        mass = _mass(weights, values - np.repeat(medians, sizes))

        by_rank = np.argsort(rank, kind="stable")
        shares = np.arange(1, CUTS + 1) / (CUTS + 1)
        levels = np.interp(shares, np.cumsum(mass[by_rank]), rank[by_rank])
        lowest = min(0.5, 5 / len(values))  # a more extreme quantile would be noise
        return np.asarray(np.clip(levels, lowest, 1 - lowest))

    def tables(self, levels: Floats) -> tuple[Floats, Floats]:
        """Cut points (K,) between distinct targets, and the mean label of each bin (K + 1,), not
        falling.
        """
        rows = self.of(np.flatnonzero(self.weights > 0))
        distinct, index = np.unique(rows.targets, return_inverse=True)
        reached = np.cumsum(np.bincount(index, rows.weights))
        last = len(distinct) - 1
        below = np.minimum(np.searchsorted(reached / reached[-1], levels), max(last - 1, 0))
        cuts = (distinct[below] + distinct[np.minimum(below + 1, last)]) / 2

        bins = np.searchsorted(cuts, rows.targets, side="left")
        weights = np.bincount(bins, rows.weights, CUTS + 1)
        sums = np.bincount(bins, rows.weights * rows.values, CUTS + 1)
        filled = np.flatnonzero(weights)
        means = np.interp(np.arange(CUTS + 1), filled, sums[filled] / weights[filled])
        return cuts, np.maximum.accumulate(means)


def _mass(weights: Floats, distances: Floats) -> Floats:
    """For each row, half its share of the weights plus half its share of the distances; they sum to
    1.
    """
    shares = weights / weights.sum()
    moments = weights * np.abs(distances)
    if not moments.any():
        return np.asarray(shares)
    return np.asarray((shares + moments / moments.sum()) / 2)
