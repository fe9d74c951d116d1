"""A sharing's own penalty is added to the loss once, whatever weighs the tasks."""

from __future__ import annotations

import math

import pytest
import torch

from bench.core.objectives import Objective
from bench.data.batches import Batches
from bench.training.config import TrialConfig
from bench.training.loop import Trainer


def gradients(tiny, balancing: str, l0: float) -> dict[str, torch.Tensor]:
    """Of one step at the initial weights."""
    dotted = {"sharing.kind": "snr", "sharing.snr.l0": l0, "balancing.kind": balancing, "tower.layers": "8"}
    made = Trainer(tiny, TrialConfig.parse(dotted), [Objective("click.auc", "maximize")], seed=2)
    batch = next(Batches(tiny.split("train")).in_order(64))
    torch.manual_seed(5)
    e = made.step.embed(batch.ids)
    logits, losses = made.step.forward(e, batch.ids, batch)
    made.step.backward(e, logits, losses)
    return {name: p.grad.clone() for name, p in made.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("balancing", ["static", "uncertainty", "pcgrad", "upgrad"])
def test_it_moves_its_own_parameters_by_its_own_gradient(tiny, balancing: str) -> None:
    without, with_it = gradients(tiny, balancing, 0.0), gradients(tiny, balancing, 0.5)
    assert without.keys() == with_it.keys()
    for name, gradient in with_it.items():
        if name.endswith("log_alpha"):
            # d/da of l0 sigmoid(a - beta log(-gamma / zeta)), with a = 2 in the beginning
            open_ = 1 / (1 + math.exp(-(2 - 2 / 3 * math.log(0.1 / 1.1))))
            expected = without[name] + 0.5 * open_ * (1 - open_)
            torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)
        else:
            torch.testing.assert_close(gradient, without[name], rtol=1e-6, atol=1e-7)
