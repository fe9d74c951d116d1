"""Averages a model's weights over the last steps. The result is another model, at no cost in serving.

As stochastic weight averaging (Izmailov et al., UAI 2018), under whatever schedule the learning rate has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

LOOKS = 20
"""The most times that weights are added to the average: a table of embeddings may be large."""


class Averaging:
    """Averages the weights of the last steps, and gives them to the model after the last one.

    Args:
        share: of all steps, the last ones; 0 does nothing.
        total: steps of the training.

    Attributes:
        means: by parameter, of what was taken in so far.
    """

    def __init__(self, model: nn.Module, share: float, total: int) -> None:
        self._model, self._total = model, total
        window = round(share * total)
        many = min(LOOKS, window)
        self._steps = {total - window * at // many for at in range(many)} if many > 1 else set()
        self._count = 0
        self.means: dict[str, Tensor] = {}

    @property
    def on(self) -> bool:
        """Whether weights are averaged at all."""
        return bool(self._steps)

    @torch.no_grad()
    def after(self, step: int) -> None:
        """To be called after each step, with how many there were."""
        if step not in self._steps:
            return
        self._count += 1
        for name, weight in self._model.named_parameters():
            if name in self.means:
                self.means[name].lerp_(weight, 1 / self._count)
            else:
                self.means[name] = weight.clone()
            if step == self._total:
                weight.copy_(self.means[name])

    def state_dict(self) -> dict[str, Any]:
        """What continuing needs; no copy is made."""
        return {"count": self._count, "means": self.means}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Takes over a copy of a state, on the model's device."""
        self._count = state["count"]
        self.means = {name: mean.to(device, copy=True) for name, mean in state["means"].items()}
