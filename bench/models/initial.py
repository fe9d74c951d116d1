"""Initial weights that do not depend on what else a model has: each parameter is drawn by a generator of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from bench.seeds import derive


class Drawn(nn.Module, ABC):
    """A module whose own parameters have random initial values."""

    @abstractmethod
    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws them by a generator; None for torch's own."""


def generator(seed: int, *path: int | str) -> torch.Generator:
    """A generator on the CPU, seeded by seed and path."""
    return torch.Generator().manual_seed(derive(seed, *path))


def draw(model: nn.Module, seed: int) -> None:
    """Draws all initial values: a parameter's depend on the seed, its name and its shape alone.

    Nothing is drawn on the device `meta`, where a model is only counted.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        return
    for name, module in model.named_modules():
        if isinstance(module, Drawn):
            module.reset_parameters(generator(seed, name))
