"""The contract of a funnel: how probabilities along parent links are tied, and so which losses are taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.schema import Schema

RAREST = 1e-6  # base rates are taken as no nearer than this to 0 and 1


@dataclass(frozen=True)
class Probabilities:
    """A model's predictions for a batch; for regression tasks both are the predicted target.

    Attributes:
        conditional: (B, T), P(task | its parent happened); for a task without parent, P(task).
        joint: (B, T), P(task and all its ancestors): the conditionals multiplied along the chain.
    """

    conditional: Tensor
    joint: Tensor


class Funnel(nn.Module, ABC):
    """Built as `Funnel(schema: Schema, config)`; has no view of the network behind the logits.

    What a task's logit is the logit of, the conditional or the joint probability, is the funnel's to say; both are read
    from it by `probabilities`.

    Attributes:
        conditional: whether a task's logit is of the probability given its parent; else of the joint one.
        ties_tasks: whether one task's loss or logit reads another's, so that even separate models train together.
        outputs: of every logit, the task on whose representation it is computed: the T tasks, then what the funnel
            needs beside them, each from a tower of its own. O is their number.
    """

    conditional: bool = True
    ties_tasks: bool = False
    outputs: tuple[int, ...]

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema
        self.outputs = tuple(range(len(schema.tasks)))

    def transfer(self, width: int) -> nn.Module | None:
        """What hidden units of the towers, (O, B, width), go through before their linear output; None for nothing.

        It belongs to the towers, and is asked for once. Only a funnel that ties tasks may move one to another.
        """
        return None

    def start(self, means: Tensor) -> Tensor:
        """The logits (O,) at which it predicts these means.

        Args:
            means: (T,), of each task's labels on its own sample space, NaN where there is none: probability 1/2, or 0.
        """
        regression = torch.tensor([task.kind == "regression" for task in self.schema.tasks])
        logits = torch.where(regression, means, torch.logit(means.double(), eps=RAREST)).nan_to_num(nan=0.0)
        return torch.cat([logits, logits.new_zeros(len(self.outputs) - len(logits))])

    @abstractmethod
    def losses(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean loss of each task over its own sample space.

        Args:
            logits: (B, O). Of a regression task: the predicted target.
            labels: (B, T) as on the card, a regression's scaled by `bench.models.targets`; NaN where unobserved, which
                takes the sample out of that task's mean.
            weights: (B, T) or (B, 1), at least 0: of each sample in each task's mean; None for equal ones.

        Returns:
            (T,), each finite and not negative; 0 (with zero gradient) for a task without a sample in the batch.
        """

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Probabilities:
        """Conditional and joint predictions, whichever was trained."""
