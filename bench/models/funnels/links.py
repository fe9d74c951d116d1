"""The parent links of a schema as tensors, shared by all funnels.

A task is tied if it is binary and has a parent. Chains may have any length; functions walk them
from the root down, all tasks of a batch at once, in as many rounds as the longest chain has links.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.schema import Schema
from bench.models.contracts import Probabilities


def parents_are_binary(schema: Schema) -> str | None:
    """The `unfit` of funnels: a parent must be an event."""
    for task, parent in zip(schema.tasks, schema.parents, strict=True):
        if parent is not None and schema.tasks[parent].kind != "binary":
            return (
                f"task '{task.name}' has the parent '{task.parent}', which is a regression and "
                "cannot happen or not"
            )
    return None


class Links(nn.Module):
    """Constant buffers of shape (T,): `parent` (its own index for a root), `child`, `tied`,
    `regression`.

    `given_parent` marks regressions with a parent, `late` tasks whose labels become known later.
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        parents = schema.parents
        own = torch.tensor([at if parent is None else parent for at, parent in enumerate(parents)])
        self.parent = nn.Buffer(own, persistent=False)
        self.child = nn.Buffer(
            torch.tensor([parent is not None for parent in parents]), persistent=False
        )
        regression = torch.tensor([task.kind == "regression" for task in schema.tasks])
        self.regression = nn.Buffer(regression, persistent=False)
        self.tied = nn.Buffer(self.child & ~regression, persistent=False)
        self.given_parent = nn.Buffer(self.child & regression, persistent=False)
        self.late = nn.Buffer(torch.tensor([task.late for task in schema.tasks]), persistent=False)
        self.depth = max(len(schema.chain(task)) for task in range(len(parents))) - 1
        self.any_late = any(task.late for task in schema.tasks)

    def of_parent(self, x: Tensor) -> Tensor:
        """x (B, T) -> the parent's column for each task; a root's own."""
        return x.index_select(1, self.parent)

    def probabilities(self, logits: Tensor) -> Probabilities:
        """Reads logits (B, T) as conditionals and multiplies them along the chains."""
        conditional = torch.where(self.regression, logits, logits.sigmoid())
        return Probabilities(conditional, self.product(conditional))

    def product(self, conditional: Tensor) -> Tensor:
        """Multiplies (B, T) along the chains."""
        joint = conditional
        for _ in range(self.depth):
            joint = torch.where(self.tied, self.of_parent(joint) * conditional, conditional)
        return joint

    def joint_logits(self, logits: Tensor) -> Tensor:
        """Logits (B, T) of the joint probabilities.

        With odds against o = exp(-logit), the odds against two steps are o1 + o2 + o1 o2 = o1 (1 +
        o2) + o2: a sum of positive terms. So in log space nothing cancels and no gradient exceeds
        1, at any logit.
        """
        joint = logits
        for _ in range(self.depth):
            against = torch.logaddexp(-F.logsigmoid(logits) - self.of_parent(joint), -logits)
            joint = torch.where(self.tied, -against, logits)
        return joint

    def joint_labels(self, labels: Tensor) -> Tensor:
        """Labels (B, T) of 'the task and all its ancestors happened'.

        From the root on, the first label other than 1 decides: 0 where it is 0, NaN where it is
        unobserved. Of a late task NaN decides by itself.
        """
        joint = labels
        for _ in range(self.depth):
            above = self.of_parent(joint)
            decided = (above == 0) & ~(self.late & labels.isnan()) if self.any_late else above == 0
            joint = torch.where(self.tied, torch.where(decided, above, above * labels), labels)
        return joint

    def joint_targets(self, labels: Tensor) -> Tensor:
        """`joint_labels`; a regression with a parent has its own label, NaN where the parent did
        not happen.
        """
        outside = self.given_parent & (self.of_parent(labels) != 1)
        return torch.where(outside, math.nan, self.joint_labels(labels))
