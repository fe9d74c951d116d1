"""The use of experts: the weights that gates give them, and units through which no task learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.gates import Gates, softmax


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Within it, the scores (K, B, M) of every set of gates by its path, as a forward pass gives them.

    Gates over a single expert have nothing to choose and are left out.
    """
    found: dict[str, Tensor] = {}
    gates = {name: module for name, module in model.named_modules() if isinstance(module, Gates)}
    for name, module in gates.items():
        module.scores = _kept(module.scores, name, found)  # type: ignore[method-assign]
    try:
        yield found
    finally:
        for module in gates.values():
            del module.scores  # what hid the method


def _kept(scores: Any, name: str, found: dict[str, Tensor]) -> Any:
    def run(first: Tensor) -> Tensor:
        given: Tensor = scores(first)
        if given.shape[2] > 1:
            found[name] = given.detach()
        return given

    return run


def gate_shares(scores: Tensor) -> list[list[float]]:
    """Scores (K, B, M) -> the mean weight of each of M experts, for each of K gates."""
    shares: list[list[float]] = softmax(scores.float()).mean(1).tolist()
    return shares


def dead_units(layers: Sequence[Sequence[Tensor]]) -> dict[str, list[float]]:
    """Units whose bias has no gradient from any task: zero on the whole probe, or leading nowhere that is not.

    Args:
        layers: of each hidden layer of E MLPs the gradient (E, O) of its biases, one from each task.

    Returns:
        `dead`: the share in each MLP over all its layers; `silent`: the share in its last layer.
    """
    dead = [torch.stack(list(of_tasks)).eq(0).all(0).float() for of_tasks in layers]
    return {"dead": torch.cat(dead, dim=1).mean(1).tolist(), "silent": dead[-1].mean(1).tolist()}
