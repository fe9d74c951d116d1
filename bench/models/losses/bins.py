"""Ordinal regression over quantiles of the label, and its expectation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.core.arrays import Floats, Singles
from bench.core.registry import Config
from bench.core.schema import Schema
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
        self.tasks = [at for at, task in enumerate(schema.tasks) if task.kind == "regression"]
        self.scales = [schema.tasks[at].scale for at in self.tasks]
        numbers = {number.name: (number.column, number.missing) for number in schema.numbers}
        self.durations = [numbers.get(schema.tasks[at].duration or "") for at in self.tasks]
        groups = GROUPS + 2 if any(self.durations) else 0  # and one knot at either end
        levels = torch.linspace(0, 1, CUTS + 2, dtype=torch.float64)[1:-1]
        cuts = torch.special.ndtri(levels)  # before `fit`, labels are assumed to be normal
        shape = len(self.tasks), groups + 1, CUTS
        means = torch.cat([cuts[:1] - 0.1, cuts])
        self.thresholds = nn.Buffer(torch.logit(levels).float().repeat(shape[0], 1))
        self.knots = nn.Buffer(torch.full((shape[0], groups), NO_BOUND))
        self.cuts = nn.Buffer(cuts.float().repeat(*shape[:2], 1))
        self.means = nn.Buffer(means.float().repeat(*shape[:2], 1))
        self.batches: Tensor = nn.Buffer(torch.zeros(()))
        self.smeared = (False,) * len(schema.tasks)

    def start(self, means: Tensor) -> Tensor:
        """See `RegressionLoss.start`: at 0 the thresholds give the labels' own distribution."""
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
        """See `RegressionLoss.fit`."""
        for at, task in enumerate(self.tasks):
            seen = ~np.isnan(targets[:, task])
            if not seen.any():
                continue
            rows = RegressionRows(
                targets[seen, task].astype(np.float64),
                values[seen, task].astype(np.float64),
                np.ones(int(seen.sum())) if weights is None else weights[seen].astype(np.float64),
                None if bounds is None else bounds[seen, task].astype(np.float64),
            )
            duration, many, own = self.durations[at], 0, np.zeros(int(seen.sum()))
            group = np.zeros(len(own), np.int64)
            if duration is not None:
                own = dense[seen, duration[0]].astype(np.float64)
                group, many = rows.groups(
                    own, None if duration[1] is None else dense[seen, duration[1]] > 0.5
                )
            levels = rows.uncensored().levels(group)
            self.thresholds[at] = torch.logit(torch.from_numpy(levels)).float()
            whole = self._table(rows, levels, at)
            parts = [np.flatnonzero(group == number) for number in range(many + 1)]
            tables = [
                self._table(rows.of(inside), levels, at)
                if 10 * len(inside) >= ROWS_OF_GROUP
                else whole
                for inside in parts
            ]
            knots = [float(own[inside].mean()) for inside in parts[:many]]
            if many > 1:
                knots, tables = _widened(
                    knots, tables, float(own[parts[0]].min()), float(own[parts[many - 1]].max())
                )
            if duration is not None:
                self.knots[at].fill_(NO_BOUND)[: len(knots)] = torch.tensor(knots)
            last = self.cuts.shape[1] - 1
            of_knots = [
                tables[number if number < min(len(knots), last) else -1]
                for number in range(last + 1)
            ]
            table = torch.from_numpy(np.stack(of_knots)).float()
            self.cuts[at], self.means[at] = table[:, :CUTS], table[:, CUTS:]

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """See `RegressionLoss.forward`."""
        columns = list(torch.zeros_like(outputs).unbind(1))
        for at, task in enumerate(self.tasks):
            cuts = self._of_rows(at, context.dense, self.cuts)
            above = (targets[:, task, None] > cuts).to(outputs.dtype)
            logits = outputs[:, task, None] - self.thresholds[at]
            losses = F.binary_cross_entropy_with_logits(logits, above, reduction="none")
            if context.bounds is not None:
                losses = torch.where(cuts < context.bounds[:, task, None], losses, 0)
            columns[task] = losses.mean(1)
        return torch.stack(columns, 1)

    @torch.no_grad()
    def follow(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None, context: Context
    ) -> None:
        """See `RegressionLoss.follow`."""
        self.batches += 1
        rate = (1 / (self.batches + 9)).clamp(min=SLOWEST)
        for at, task in enumerate(self.tasks):
            cuts = self._of_rows(at, context.dense, self.cuts)
            said = (outputs[:, task, None] - self.thresholds[at]).sigmoid()
            known = (~targets[:, task, None].isnan()).expand_as(said)
            if context.bounds is not None:
                known = known & (cuts < context.bounds[:, task, None])
            excess = mean(said - (targets[:, task, None] > cuts).to(said.dtype), known, weights)
            slope = mean(said * (1 - said), known, weights).clamp(min=1e-4)
            self.thresholds[at] += rate * (excess / slope).clamp(-10, 10)

    def predicted(self, outputs: Tensor, dense: Tensor, caps: Tensor | None = None) -> Tensor:
        """See `RegressionLoss.predicted`."""
        columns = list(outputs.unbind(1))
        for at, task in enumerate(self.tasks):
            means = self._of_rows(at, dense, self.means)
            means = means if caps is None else torch.minimum(means, caps[:, task, None])
            above = (outputs[:, task, None] - self.thresholds[at]).sigmoid()
            if (scale := self.scales[at]) is not None and scale.log:
                # 1 + the label
                values = (means * scale.spread + scale.centre).clamp(0.0, LARGEST_LOG).exp()
                value = values[:, 0] + (above * (values[:, 1:] - values[:, :-1])).sum(1)
                value = (value.log() - scale.centre) / scale.spread
            else:
                value = means[:, 0] + (above * (means[:, 1:] - means[:, :-1])).sum(1)
            columns[task] = value
        return torch.stack(columns, 1)

    def _table(self, rows: RegressionRows, levels: Floats, at: int) -> Floats:
        """K cuts and K + 1 means of some rows, on the scale of the targets."""
        cuts, means = rows.uncensored().tables(levels)
        if scale := self.scales[at]:
            means = (
                (np.log1p(np.maximum(means, 0)) if scale.log else means) - scale.centre
            ) / scale.spread
        return np.concatenate([cuts, means])

    def _of_rows(self, at: int, dense: Tensor | None, tables: Tensor) -> Tensor:
        """Interpolates a regression's tables (R, G + 1, n) for each row: (B, n), or (1, n) if all
        rows share one.
        """
        duration, groups, without = self.durations[at], tables[at, :-1], tables[at, -1:]
        if duration is None or dense is None:
            return without
        (column, missing), knots = duration, self.knots[at]
        gaps = (knots[1:] - knots[:-1]).clamp(min=1e-30)
        # from each knot to the next one
        ways = ((dense[:, column, None] - knots[:-1]) / gaps).clamp(0.0, 1.0)
        of_row = groups[:1] + torch.einsum("bg,gk->bk", ways, groups[1:] - groups[:-1])
        return of_row if missing is None else of_row + dense[:, missing, None] * (without - of_row)


def _widened(
    knots: list[float], tables: list[Floats], first: float, last: float
) -> tuple[list[float], list[Floats]]:
    """Adds knots at the least and greatest duration by linear extrapolation, at most as far as to
    the next knot.

    The last of the tables is of rows without a duration.
    """

    def beyond(end: float, near: int, next_one: int) -> tuple[float, Floats]:
        way = min((end - knots[near]) / (knots[near] - knots[next_one]), 1.0)
        both = np.split(tables[near] + way * (tables[near] - tables[next_one]), [CUTS])
        rising = np.concatenate([np.maximum.accumulate(each) for each in both])
        return knots[near] + way * (knots[near] - knots[next_one]), rising

    many = len(knots)
    (low, of_low), (high, of_high) = beyond(first, 0, 1), beyond(last, many - 1, many - 2)
    return [low, *knots, high], [of_low, *tables[:many], of_high, tables[-1]]


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
        below = self.targets < self.bounds
        higher = 1 - np.searchsorted(np.sort(self.bounds), self.targets, side="right") / len(
            self.bounds
        )
        weights = np.where(below, self.weights / np.maximum(higher, 1 / len(self.bounds)), 0)
        return replace(self, weights=weights if weights.any() else self.weights, bounds=None)

    def groups(
        self, durations: Floats, missing: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], int]:
        """(N,) group of each row by its duration, and the number of groups: the index of rows
        without a duration.
        """
        known = np.ones(len(durations), np.bool_) if missing is None else ~missing
        order = np.flatnonzero(known)[np.argsort(durations[known], kind="stable")]
        if not len(order):
            return np.zeros(len(durations), np.int64), 0
        many = int(np.clip(len(order) // ROWS_OF_GROUP, 1, GROUPS))
        reached = np.cumsum(
            _mass(self.weights[order], self.values[order] - np.median(self.values[order]))
        )
        # rows of one duration stay together
        first = np.unique(durations[order], return_index=True)[1]
        number = np.floor(many * np.minimum(np.append(0, reached)[first], 1 - 1e-9)).astype(
            np.int64
        )
        number = np.unique(number, return_inverse=True)[1]
        many = int(number[-1]) + 1
        group = np.full(len(durations), many)
        group[order] = np.repeat(number, np.diff(np.append(first, len(order))))
        return group, many

    def levels(self, group: NDArray[np.int64]) -> Floats:
        """The K levels, ascending: spaced half by rows, half by distance from the median of their
        group.
        """
        order = np.lexsort((self.targets, group))
        values, weights = self.values[order], self.weights[order]
        first = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
        sizes = np.diff(np.append(first, len(group)))
        before = np.cumsum(weights) - weights
        totals = np.maximum(np.add.reduceat(weights, first), 1e-30)
        rank = (before - np.repeat(before[first], sizes) + weights / 2) / np.repeat(totals, sizes)
        mass = _mass(weights, values - np.repeat(values[first + sizes // 2], sizes))
        by_rank = np.argsort(rank, kind="stable")
        levels = np.interp(
            np.arange(1, CUTS + 1) / (CUTS + 1), np.cumsum(mass[by_rank]), rank[by_rank]
        )
        least = min(0.5, 5 / len(values))  # a more extreme quantile would be noise
        return np.asarray(np.clip(levels, least, 1 - least))

    def tables(self, levels: Floats) -> tuple[Floats, Floats]:
        """Cut points (K,) between distinct targets, and the mean label of each bin (K + 1,), not
        falling.
        """
        counted = self.weights > 0
        targets, values, weights = (
            each[counted] for each in (self.targets, self.values, self.weights)
        )
        distinct, at = np.unique(targets, return_inverse=True)
        reached = np.cumsum(np.bincount(at, weights))
        last = np.minimum(np.searchsorted(reached / reached[-1], levels), max(len(distinct) - 2, 0))
        cuts = (distinct[last] + distinct[np.minimum(last + 1, len(distinct) - 1)]) / 2
        bins = np.searchsorted(cuts, targets, side="left")
        rows = np.bincount(bins, weights, CUTS + 1)
        sums = np.bincount(bins, weights * values, CUTS + 1)
        full = np.flatnonzero(rows)
        means = np.interp(np.arange(CUTS + 1), full, sums[full] / rows[full])
        return cuts, np.maximum.accumulate(means)


def _mass(weights: Floats, apart: Floats) -> Floats:
    """For each row, half its share of the weights plus half its share of the distances; they sum to
    1.
    """
    far = weights * np.abs(apart)
    return np.asarray(
        (weights / weights.sum() + far / far.sum()) / 2 if far.any() else weights / weights.sum()
    )
