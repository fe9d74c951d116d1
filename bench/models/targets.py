"""Regression targets: maps labels to training targets, and outputs back to the label's unit.

On a logarithmic scale the output estimates the mean of log(1 + y); its exp minus 1 is nearer to the
median of y than to its mean, too low by a factor on skewed labels. A smearing factor makes the mean
prediction the mean label on train (after Duan, Smearing Estimate, JASA 1983; as a ratio of means,
since labels are mostly 0 where purchases are rare).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.core.schema import Cap, Schema
from bench.models.losses.base import mean, of_scales

SLOWEST = 0.02
"""Smallest weight of the newest batch in the running mean of predictions."""
LARGEST_LOG = 80.0
"""Upper bound of logarithms, so that their exp, times any factor, fits into float32."""
NO_BOUND = 1e30
"""A bound without effect."""


class Targets(nn.Module):
    """The scales of a schema's regressions, as tensors of shape (T,); binary tasks pass through
    unchanged.

    `predicted` is the running mean of exp(output) - 1 over the train samples of each task, in
    `batches` batches.
    """

    def __init__(self, schema: Schema, smeared: Sequence[bool] | None = None) -> None:
        """Builds them; `smeared` as in `bench.models.losses.base.RegressionLoss`, None for all
        tasks.
        """
        super().__init__()
        self.parents = schema.parents
        self.caps = [task.cap for task in schema.tasks]
        # A list as well as a tensor: a tensor on the device `meta` cannot be read.
        self.is_logged = [task.scale is not None and task.scale.log for task in schema.tasks]
        self.log = any(self.is_logged)
        self.centre, self.spread, self.low, self.high, self.mean = (
            nn.Buffer(of_scales(schema, name), persistent=False)
            for name in ("centre", "spread", "low", "high", "mean")
        )
        scaled = torch.tensor([task.scale is not None for task in schema.tasks])
        logged = torch.tensor(self.is_logged)
        is_smeared = logged if smeared is None else logged & torch.tensor(smeared)
        self.scaled = nn.Buffer(scaled, persistent=False)
        self.logged = nn.Buffer(logged, persistent=False)
        self.smeared = nn.Buffer(is_smeared, persistent=False)
        if self.log:
            constant = self.centre.clamp(max=LARGEST_LOG).expm1()
            self.constant = nn.Buffer(constant.clamp(min=1e-30), persistent=False)
            self.predicted = nn.Buffer(constant.clone())
            self.batches: Tensor = nn.Buffer(torch.zeros(()))

    def of_labels(self, labels: Tensor) -> Tensor:
        """Labels (B, T) -> training targets (B, T); NaN stays NaN."""
        values = labels
        if self.log:
            values = torch.where(self.logged, labels.clamp(min=0.0).log1p(), labels)
        values = torch.minimum(torch.maximum(values, self.low), self.high)
        return torch.where(self.scaled, (values - self.centre) / self.spread, labels)

    def of_bounds(self, bounds: Tensor) -> Tensor:
        """Bounds of labels (B, T), infinite for none -> on the scale of the targets, clipped like
        them.
        """
        return torch.where(bounds.isinf(), bounds, self.of_labels(bounds))

    def start(self, means: Tensor) -> Tensor:
        """Mean labels (T,) -> outputs of an untrained model."""
        return torch.where(self.scaled.to(means.device), 0.0, means)

    def caps_of(self, dense: Tensor) -> Tensor | None:
        """Bounds from dense inputs (B, D) -> (B, T) as targets, `NO_BOUND` for none; None if no
        task has any.
        """
        if not any(self.caps):
            return None
        columns = [torch.full_like(dense[:, 0], NO_BOUND)] * len(self.caps)
        for task, cap in enumerate(self.caps):
            if cap is not None:
                columns[task] = self._cap_of(task, cap, dense)
        return torch.stack(columns, 1)

    def _cap_of(self, task: int, cap: Cap, dense: Tensor) -> Tensor:
        """A task's bounds (B,) as targets, from dense inputs (B, D)."""
        number = dense[:, cap.column] * cap.scale + cap.mean
        if cap.log:
            number = number.clamp(0.0, LARGEST_LOG).exp() - 1
        if cap.unit != 1:
            number = number / cap.unit
        if self.is_logged[task]:
            number = (number.clamp(min=0.0) + 1).log()
        bounds = (number - self.centre[task]) / self.spread[task]
        if cap.missing is not None:
            bounds = bounds + dense[:, cap.missing] * NO_BOUND
        return bounds

    @torch.no_grad()
    def follow(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> None:
        """Updates the running mean with a training batch's outputs (B, T or more), labels (B, T)
        and weights (B, 1).
        """
        if not self.log:
            return
        counted = ~labels.isnan()
        for task, parent in enumerate(self.parents):
            if parent is not None:
                counted[:, task] &= labels[:, parent] == 1
        values = torch.where(counted, self._from_logs(logits[:, : len(self.parents)]), 0)
        newest = mean(values, counted, weights)
        if weights is not None:
            counted = counted & (weights > 0)

        self.batches += 1
        rate = (1 / (self.batches + 1)).clamp(min=SLOWEST)
        self.predicted.lerp_(torch.where(counted.any(0), newest, self.predicted), rate)

    def corrected(self, outputs: Tensor) -> Tensor:
        """Applies the smearing factor to outputs (B, T or more); `values` then gives a mean.

        The factor lies between 1, of a model that knows each label, and that of a constant
        prediction.
        """
        if not self.log:
            return outputs
        factor = (self.mean / torch.maximum(self.predicted, self.constant)).clamp(min=1.0)
        tasks = len(self.parents)
        of_tasks = outputs[:, :tasks]
        corrected = self._to_logs(factor * self._from_logs(of_tasks))
        return torch.cat([torch.where(self.smeared, corrected, of_tasks), outputs[:, tasks:]], 1)

    def mean_of(self, outputs: Tensor) -> Tensor:
        """Members' outputs (k, B, T) -> the outputs (B, T) whose values are the mean of the
        members' values.
        """
        means = outputs.mean(0)
        if not self.log:
            return means
        return torch.where(self.logged, self._to_logs(self._from_logs(outputs).mean(0)), means)

    def values(self, outputs: Tensor) -> Tensor:
        """Outputs (B, T) -> predictions in the unit of the labels, never negative from a
        logarithm.
        """
        values = torch.where(self.scaled, outputs * self.spread + self.centre, outputs)
        if self.log:
            values = torch.where(self.logged, self._from_logs(outputs), values)
        return values

    def _from_logs(self, outputs: Tensor) -> Tensor:
        """exp(outputs) - 1 of unscaled outputs (.., T), as if each were a logarithm; ONNX has no
        expm1.
        """
        return (outputs * self.spread + self.centre).clamp(0.0, LARGEST_LOG).exp() - 1

    def _to_logs(self, values: Tensor) -> Tensor:
        """The inverse of `_from_logs`."""
        return ((values + 1).log() - self.centre) / self.spread
