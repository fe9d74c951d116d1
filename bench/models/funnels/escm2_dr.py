"""ESCM2, doubly robust: errors are imputed where they are not observed."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.schema import Schema
from bench.models.contracts import Probabilities
from bench.models.funnels.escm2_ipw import ESCM2IPW, ESCM2Config
from bench.models.losses.base import mean


class ESCM2DRConfig(ESCM2Config):
    """Options of `escm2_dr`."""

    imputes: Literal["error", "label"] = "error"
    """What an extra tower imputes: the error, as in the paper, or the label that the error is
    computed from (Wang et al., ICML 2019). An imputed error does not depend on the conditional's
    logit, whose gradient is then that of
    `escm2_ipw`: the imputation acts only through parameters that towers share."""


class ESCM2DR(ESCM2IPW):
    """ESCM2-DR (Wang et al., SIGIR 2022): risk = mean of e' + o (e - e') / p, plus that of o (e -
    e')^2 / p.

    e' is the imputed error, from one more tower for every binary task with a parent, on that task's
    representation. The mean error cannot be negative, so a negative estimate counts as 0. The
    second mean trains the imputation and has no gradient at e. o, e and p as in `escm2_ipw`.
    """

    config: ESCM2DRConfig

    def __init__(self, schema: Schema, config: ESCM2DRConfig) -> None:
        super().__init__(schema, config)
        tied = [
            at
            for at, task in enumerate(schema.tasks)
            if task.parent is not None and task.kind == "binary"
        ]
        self.tied = nn.Buffer(torch.tensor(tied, dtype=torch.int64), persistent=False)
        self.outputs = (*self.outputs, *tied)

    def risk(
        self,
        logits: Tensor,
        errors: Tensor,
        seen: Tensor,
        known: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        """See `ESCM2IPW.risk`."""
        tasks = errors.shape[1]
        of_tasks = logits[:, :tasks]
        scores = torch.zeros_like(of_tasks).index_copy(1, self.tied, logits[:, tasks:])
        if self.config.imputes == "error":
            imputed = learning = F.softplus(scores)
        else:
            labels = scores.sigmoid()
            imputed = F.binary_cross_entropy_with_logits(
                of_tasks, labels.detach(), reduction="none"
            )
            learning = F.binary_cross_entropy_with_logits(
                of_tasks.detach(), labels, reduction="none"
            )
        robust = mean(imputed + seen * (errors - imputed), known, weights).relu()
        return robust + mean(seen * (errors.detach() - learning).square(), known, weights)

    def probabilities(self, logits: Tensor) -> Probabilities:
        """See `Funnel.probabilities`."""
        return super().probabilities(logits[:, : len(self.schema.tasks)])
