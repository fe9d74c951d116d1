"""The progress of a training and its results so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Course:
    """The position in the data is `step` alone: every epoch has the same number of steps.

    Attributes:
        losses: (T,), summed over the steps since the last evaluation.
        step: updates made.
        samples: trained on.
        seconds: spent in training steps, evaluations left out.
        counted: steps since the last evaluation.
        finished: whether the budget is used up or the training stopped early.
        curve: one entry an evaluation, see `bench.records.TrialResult`.
    """

    losses: Tensor
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    counted: int = 0
    finished: bool = False
    curve: list[dict[str, float]] = field(default_factory=list)

    def add(self, losses: Tensor, samples: int) -> None:
        """One step."""
        self.losses += losses
        self.step += 1
        self.samples += samples
        self.counted += 1

    def take_losses(self) -> list[float]:
        """Mean loss of each task since the last call."""
        means: list[float] = (self.losses / max(1, self.counted)).tolist()
        self.losses, self.counted = torch.zeros_like(self.losses), 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """All of it; no copy is made."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over a state."""
        for name in vars(self):
            setattr(self, name, state[name])
        self.curve = [dict(point) for point in self.curve]
