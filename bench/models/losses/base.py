"""The contracts of losses, and the one place where samples' losses become a task's: `MeanLosses`.

A funnel decides which probability a logit stands for, and which samples count. A loss decides what a prediction costs.
It gets all tasks at once, and each task's losses depend on that task's column alone, so every balancer goes with it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.registry import Config
from bench.schema import Schema

LIGHTEST = 1e-30
"""Samples that weigh less together count as none."""


class Context(NamedTuple):
    """What a loss may look at beside predictions and labels.

    Attributes:
        group: (B,) int64 below B, samples of one number are ranked against each other; None: all are one group.
        scores: (B, T), the second score of each binary task, for a loss that has one; else None.
        bounds: (B, T), on the scale of the targets: a regression's target at or above it is known to be at least that;
            infinite where there is none. None where no regression is censored.
        dense: (B, D), the store's numbers, for a regression loss that reads durations; else None.
    """

    group: Tensor | None = None
    scores: Tensor | None = None
    bounds: Tensor | None = None
    dense: Tensor | None = None


class Loss(nn.Module, ABC):
    """The loss of binary tasks. Built as `Loss(config)`; it has neither parameters nor state.

    Attributes:
        needs_groups: whether it compares samples of a group, so that batches hold whole groups.
        needs_scores: whether it has a second score for each task, from a tower of its own.
        teacher_share: of a training label, that a teacher's probability takes, see `bench.training.teacher`.
    """

    needs_groups: bool = False
    needs_scores: bool = False
    teacher_share: float = 0.0

    def __init__(self, config: Config) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """The loss of each sample, finite and not negative. Values where no label is known are ignored.

        Args:
            logits: (B, T), of the predicted probabilities.
            labels: (B, T), 0 or 1; between them where a teacher has a share; 0 where unknown.
            known: (B, T), which samples count for which task; none of a regression.
            context: groups and second scores.

        Returns:
            (B, T).
        """

    def of_constant(self, rate: float) -> float | None:
        """Mean loss where the base rate is predicted of every sample; None where that depends on groups."""
        if self.needs_groups:
            return None
        labels = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
        logits = torch.full_like(labels, math.log(rate) - math.log1p(-rate))
        one, none = self(logits, labels, torch.ones_like(labels, dtype=torch.bool), Context()).flatten().tolist()
        return float(rate * one + (1 - rate) * none)


class RegressionLoss(nn.Module, ABC):
    """The loss of regressions. Built as `RegressionLoss(schema, config)`, of the store's schema.

    It has no parameters. What it keeps beside them (buffers, part of the model's state) follows the batches.

    Attributes:
        of_constant: mean loss where the mean target is predicted, of targets of variance 1; None where that depends on
            more.
        aims_at_mean: whether predictions are expectations.
        says: what a prediction is.
        needs_tables: whether training calls `fit` before the first step.
        smeared: (T,), of which tasks an output on a logarithmic scale is of the mean logarithm, see
            `bench.models.targets`.
    """

    of_constant: float | None = None
    aims_at_mean: bool = True
    says: str = "mean"
    needs_tables: bool = False
    smeared: tuple[bool, ...]

    def __init__(self, schema: Schema, config: Config) -> None:
        super().__init__()
        self.smeared = (self.aims_at_mean,) * len(schema.tasks)

    @abstractmethod
    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """The loss of each sample, finite and not negative.

        Args:
            outputs: (B, T), on the scale of the targets.
            targets: (B, T), labels as `bench.models.targets` scales them; 0 where unknown.
            context: bounds and numbers.

        Returns:
            (B, T).
        """

    def start(self, means: Tensor) -> Tensor:
        """Mean targets (T,) -> what an untrained model's outputs are to be."""
        return means

    def fit(
        self,
        targets: NDArray[Any],
        values: NDArray[Any],
        dense: NDArray[Any],
        weights: NDArray[Any] | None,
        bounds: NDArray[Any] | None,
    ) -> None:
        """Learns tables from rows of train.

        Args:
            targets: (N, T), on their scale, NaN where a task does not count.
            values: (N, T), the same in the unit of the labels.
            dense: (N, D).
            weights: (N,), how many rows a row stands for.
            bounds: (N, T) as in `Context`.
        """

    def follow(self, outputs: Tensor, targets: Tensor, weights: Tensor | None, context: Context) -> None:
        """Takes a training batch into the state.

        Args:
            outputs: (B, T).
            targets: (B, T), NaN where a task does not count.
            weights: as of `mean`.
        """

    def predicted(self, outputs: Tensor, dense: Tensor, caps: Tensor | None = None) -> Tensor:
        """Outputs on the scale of the targets -> what is predicted, on that scale (B, T).

        Args:
            outputs: (B, T).
            dense: (B, D).
            caps: (B, T), the most that a label can be; an expectation is then that of the smaller of both. None for no
                bounds; predictions above them are cut in any case.
        """
        return outputs


class Log(Loss):
    """The log loss: least, on average, at the true probability."""

    def forward(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """See `Loss.forward`."""
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


class MeanLosses(nn.Module):
    """From predictions and targets to each task's mean loss over the samples that count for it.

    Attributes:
        tasks_with_scores: the numbers of the tasks that have a second score.
    """

    is_regression: Tensor

    def __init__(self, schema: Schema, binary: Loss, regression: RegressionLoss) -> None:
        super().__init__()
        self.binary, self.regression = binary, regression
        scored = binary.needs_scores
        self.tasks_with_scores = tuple(at for at, task in enumerate(schema.tasks) if scored and task.kind == "binary")
        kinds = [task.kind == "regression" for task in schema.tasks]
        self.has_regression = any(kinds)
        self.register_buffer("is_regression", torch.tensor(kinds), persistent=False)

    def forward(
        self, predictions: Tensor, targets: Tensor, weights: Tensor | None = None, context: Context | None = None
    ) -> Tensor:
        """Mean over the samples whose target is not NaN; 0 where there is none.

        A weight multiplies a sample's own loss. A sample of weight 0 is compared with no other.

        Args:
            predictions: (B, T), logits, or of a regression the predicted target.
            targets: (B, T).
            weights: as of `mean`.
            context: see `Context`.

        Returns:
            (T,).
        """
        observed = ~targets.isnan()
        known = torch.where(observed, targets, 0).to(predictions.dtype)
        counted = observed & ~self.is_regression
        if weights is not None and self.binary.needs_groups:
            counted &= weights > 0
        losses = _of_samples(self.binary(predictions, known, counted, context or Context()), self.binary, predictions)
        if self.has_regression:
            regression = self.regression(predictions, known, context or Context())
            losses = torch.where(self.is_regression, _of_samples(regression, self.regression, predictions), losses)
        return mean(losses, observed, weights)


def _of_samples(losses: Tensor, by: nn.Module, predictions: Tensor) -> Tensor:
    """The losses (B, T) that a loss gave; ValueError for another shape, which would broadcast over tasks."""
    if losses.shape != predictions.shape:
        expected, found = tuple(predictions.shape), tuple(losses.shape)
        raise ValueError(f"{type(by).__name__}: expected a loss of each sample and task {expected}, found {found}")
    return losses


def is_uncensored(schema: Schema) -> str | None:
    """The `unfit` of losses without a form for lower bounds."""
    for task in schema.tasks:
        if task.censored:
            return (
                f"regression '{task.name}' is censored, and this loss knows no lower bounds; take squared or quantile"
            )
    return None


def numbered(group: Tensor, members: int = 1) -> Tensor:
    """Groups (B,) of a batch in any order, negative for none -> numbers (k B,) as in `Context`.

    Samples without group are one each, and so are those of two members of an ensemble.
    """
    ordered, order = group.sort(stable=True)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (ordered[1:] < 0)
    found = torch.empty_like(order).scatter_(0, order, new.cumsum(0) - 1)
    return found if members == 1 else torch.cat([found + member * len(found) for member in range(members)])


def mean(values: Tensor, known: Tensor, weights: Tensor | None = None) -> Tensor:
    """Of (B, T) over the samples that are known (B, T) -> (T,); 0 where there is none.

    Args:
        weights: (B, T) or (B, 1), of each sample in the mean; None for equal ones.
    """
    values = torch.where(known, values, 0)
    if weights is None:
        return values.sum(0) / known.sum(0).clamp(min=1)
    weights = torch.where(known, weights, 0)
    return (weights * values).sum(0) / weights.sum(0).clamp(min=LIGHTEST)
