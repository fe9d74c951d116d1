"""The contract of a funnel: how probabilities along parent links are tied, and so which losses are taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from bench.schema import Schema


@dataclass(frozen=True)
class Probabilities:
    """What a model says of a batch; for regression tasks both are the predicted value.

    Attributes:
        conditional: (B, T), P(task | its parent happened); for a task without parent, P(task).
        joint: (B, T), P(task and all its ancestors): the conditionals multiplied along the chain.
    """

    conditional: Tensor
    joint: Tensor


class Funnel(nn.Module, ABC):
    """Built as `Funnel(schema: Schema, config)`; has no view of the network behind the logits.

    Attributes:
        ties_tasks: whether one task's loss reads another task's logit, so that even separate models train together.
    """

    ties_tasks: bool = False

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema

    @abstractmethod
    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of each task over its own sample space.

        Args:
            logits: (B, T). Of a regression task: the predicted value.
            labels: (B, T) as on the card; NaN where unobserved, which takes the sample out of that task's mean.

        Returns:
            (T,), each finite; 0 (with zero gradient) for a task without a sample in the batch.
        """

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Probabilities:
        """Conditional and joint predictions, whichever was trained."""
