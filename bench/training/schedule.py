"""The learning rate over a training run, as a factor on the base rate: warm-up, then decay."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A function of the step and of the whole budget, wherever training pauses in between.

    Attributes:
        decay: after the warm-up: "constant"; "cosine", a half cosine from 1 towards 0 (Loshchilov & Hutter, ICLR
            2017, without restarts); or "linear" from 1 towards 0. Both would be 0 one step after the last.
        total: steps of the whole budget.
        warmup: steps of the warm-up, which rises linearly and reaches 1 with its last step (Goyal et al., 2017).
    """

    decay: str
    total: int
    warmup: int = 0

    def factor(self, step: int) -> float:
        """The factor for step 0 .. total - 1."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.decay == "constant":
            return 1.0
        gone = (step - self.warmup) / (self.total - self.warmup)
        return 0.5 * (1.0 + math.cos(math.pi * gone)) if self.decay == "cosine" else 1.0 - gone
