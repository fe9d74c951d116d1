"""The contracts of losses, and `MeanLosses`, the one place that averages samples' losses to a
task's.

A funnel decides which probability a logit stands for and which samples count; a loss decides the
cost of a prediction. It gets all tasks at once, and a task's losses depend only on its own column,
so every balancer goes with it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from bench.core.arrays import Singles
from bench.core.registry import Config
from bench.core.schema import Scale, Schema

LIGHTEST = 1e-30
"""Samples with a smaller total weight count as none."""


class Context(NamedTuple):
    """Further inputs of a loss besides predictions and labels.

    Attributes:
        group: (B,) int64 below B, samples with the same number are ranked against each other; None:
            all are one group.
        scores: (B, T), the second score of each binary task, for a loss that has one; else None.
        bounds: (B, T), on the scale of the targets: a regression's target at or above its bound is
            known to be at least that; infinite without a bound. None where no regression is
            censored.
        dense: (B, D), the store's dense columns, for a regression loss that reads durations; else
            None.
    """

    group: Tensor | None = None
    scores: Tensor | None = None
    bounds: Tensor | None = None
    dense: Tensor | None = None


class Loss(nn.Module, ABC):
    """The loss of binary tasks. Built as `Loss(config)`; it has neither parameters nor state.

    Attributes:
        needs_groups: whether it compares samples of a group, so that batches hold whole groups.
        needs_scores: whether it has a second score for each task, from an extra tower.
        teacher_share: weight of the teacher's probability in a training label, see
            `bench.models.training.teacher`.
    """

    needs_groups: bool = False
    needs_scores: bool = False
    teacher_share: float = 0.0

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor, counted: Tensor, context: Context) -> Tensor:
        """The loss of each sample, finite and not negative. Values at unknown labels are ignored.

        Args:
            logits: (B, T), of the predicted probabilities.
            labels: (B, T), 0 or 1; between them with a teacher; 0 where unknown.
            counted: (B, T), which samples count for which task; false for regressions.
            context: groups and second scores.

        Returns:
            (B, T).
        """

    def of_constant(self, rate: float) -> float | None:
        """Mean loss of predicting the base rate for every sample; None if it depends on groups."""
        if self.needs_groups:
            return None
        labels = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
        logits = torch.full_like(labels, math.log(rate) - math.log1p(-rate))
        counted = torch.ones_like(labels, dtype=torch.bool)
        of_positive, of_negative = self(logits, labels, counted, Context()).flatten().tolist()
        return float(rate * of_positive + (1 - rate) * of_negative)


class RegressionLoss(nn.Module, ABC):
    """The loss of regressions. Built as `RegressionLoss(schema, config)`, of the store's schema.

    It has no parameters. Its running state (buffers of the model) follows the batches.

    Attributes:
        of_constant: mean loss of predicting the mean of targets with variance 1; None if it depends
            on more.
        aims_at_mean: whether predictions are expectations.
        says: what a prediction is.
        needs_tables: whether training calls `fit` before the first step.
        smeared: (T,), whether a task's output on a logarithmic scale is a mean logarithm, see
            `bench.models.targets`.
    """

    of_constant: float | None = None
    aims_at_mean: bool = True
    says: str = "mean"
    needs_tables: bool = False
    smeared: tuple[bool, ...]

    def __init__(self, schema: Schema, config: Any) -> None:
        super().__init__()
        self.config = config
        self.smeared = (self.aims_at_mean,) * len(schema.tasks)

    @abstractmethod
    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """The loss of each sample (B, T), finite and not negative.

        Outputs (B, T) are on the scale of the targets; targets (B, T) are labels as
        `bench.models.targets` scales them, 0 where unknown. The context has bounds and dense
        columns.
        """

    def start(self, means: Tensor) -> Tensor:
        """Mean targets (T,) -> the outputs of an untrained model."""
        return means

    def fit(
        self,
        targets: Singles,
        values: Singles,
        dense: Singles,
        weights: Singles | None,
        bounds: Singles | None,
    ) -> None:
        """Fits tables on rows of train.

        Args:
            targets: (N, T), on their scale, NaN where a task does not count.
            values: (N, T), the same in the unit of the labels.
            dense: (N, D).
            weights: (N,), the number of rows that a row stands for.
            bounds: (N, T) as in `Context`.
        """

    def follow(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None, context: Context
    ) -> None:
        """Updates the running state with outputs (B, T) and targets (B, T), NaN where a task does
        not count.
        """

    def predicted(self, outputs: Tensor, dense: Tensor, caps: Tensor | None = None) -> Tensor:
        """Outputs (B, T) -> predictions (B, T), both on the scale of the targets; dense (B, D).

        With `caps` (B, T), upper bounds of labels, an expectation is of the label capped there. The
        caller clips predictions to them. None for no bounds.
        """
        return outputs


class LogLoss(Loss):
    """The log loss, minimised in expectation by the true probability."""

    def forward(self, logits: Tensor, labels: Tensor, counted: Tensor, context: Context) -> Tensor:
        """The log loss of each sample (B, T)."""
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


class DistilledConfig(Config):
    """Options of `distilled`."""

    share: float = Field(0.5, gt=0, le=1)
    """Weight of the teacher's probability in the mixture; the label has the rest."""


class Distilled(LogLoss):
    """The log loss of labels that `bench.models.training.teacher` mixes with the probabilities of
    boosted trees.

    The log loss is linear in the label, so this is the weighted sum of the losses towards label and
    teacher.
    """

    def __init__(self, config: DistilledConfig) -> None:
        super().__init__(config)
        self.teacher_share = config.share


class MeanLosses(nn.Module):
    """Mean loss of each task over the samples that count for it; `tasks_with_scores` are
    indices.
    """

    def __init__(self, schema: Schema, binary: Loss, regression: RegressionLoss) -> None:
        super().__init__()
        self.binary, self.regression = binary, regression
        is_regression = [task.kind == "regression" for task in schema.tasks]
        self.has_regression = any(is_regression)
        self.is_regression = nn.Buffer(torch.tensor(is_regression), persistent=False)
        self.tasks_with_scores: tuple[int, ...] = ()
        if binary.needs_scores:
            tasks = enumerate(schema.tasks)
            self.tasks_with_scores = tuple(n for n, task in tasks if task.kind == "binary")

    def forward(
        self,
        predictions: Tensor,
        targets: Tensor,
        weights: Tensor | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """Mean over the samples whose target is not NaN; 0 if there is none.

        A weight multiplies a sample's own loss. A sample of weight 0 is not compared with others.

        Args:
            predictions: (B, T), logits, or of a regression the predicted target.
            targets: (B, T).
            weights: as of `mean`.

        Returns:
            (T,).
        """
        context = context or Context()
        observed = ~targets.isnan()
        targets = torch.where(observed, targets, 0).to(predictions.dtype)
        counted = observed & ~self.is_regression
        if weights is not None and self.binary.needs_groups:
            counted &= weights > 0
        losses: Tensor = self.binary(predictions, targets, counted, context)
        _check_shape(losses, predictions, self.binary)
        if self.has_regression:
            of_regressions: Tensor = self.regression(predictions, targets, context)
            _check_shape(of_regressions, predictions, self.regression)
            losses = torch.where(self.is_regression, of_regressions, losses)
        return mean(losses, observed, weights)


def _check_shape(losses: Tensor, predictions: Tensor, loss: nn.Module) -> None:
    """Refuses losses that are not (B, T), as they would broadcast over tasks."""
    if losses.shape != predictions.shape:
        expected, shape = tuple(predictions.shape), tuple(losses.shape)
        raise ValueError(
            f"{type(loss).__name__}: expected a loss of each sample and task {expected}, found "
            f"{shape}"
        )


UNSCALED = Scale(log=False, centre=0.0, spread=1.0, low=0.0, high=0.0, mean=0.0)


def of_scales(schema: Schema, name: str) -> Tensor:
    """An attribute of each task's scale (T,); that of `UNSCALED` without one."""
    return torch.tensor([getattr(task.scale or UNSCALED, name) for task in schema.tasks])


def is_uncensored(schema: Schema) -> str | None:
    """The `unfit` of losses without a form for lower bounds."""
    for task in schema.tasks:
        if task.censored:
            return (
                f"regression '{task.name}' is censored, and this loss knows no lower bounds; "
                "take squared or quantile"
            )
    return None


def numbered(group: Tensor, members: int = 1) -> Tensor:
    """Groups (B,) of a batch in any order, negative for none -> numbers (k B,) as in `Context`.

    Each sample without a group, and each member of an ensemble, has groups of its own.
    """
    ordered, order = group.sort(stable=True)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (ordered[1:] < 0)
    numbers = torch.empty_like(order).scatter_(0, order, new.cumsum(0) - 1)
    if members == 1:
        return numbers
    return torch.cat([numbers + member * len(numbers) for member in range(members)])


def mean(values: Tensor, counted: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of (B, T) over the counted samples -> (T,), 0 without any; `weights` (B, T) or (B, 1),
    None for equal ones.
    """
    values = torch.where(counted, values, 0)
    if weights is None:
        return values.sum(0) / counted.sum(0).clamp(min=1)
    weights = torch.where(counted, weights, 0)
    return (weights * values).sum(0) / weights.sum(0).clamp(min=LIGHTEST)
