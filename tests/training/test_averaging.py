"""Weights that are averaged over the end of a training."""

from __future__ import annotations

import pytest
import torch

from bench.objectives import Objective
from bench.training.averaging import LOOKS, Averaging
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

CONFIG = {"embedding.dim": 4, "tower.layers": "8", "optim.batch_size": 8, "optim.epochs": 2}


def trainer(store, share: float) -> Trainer:
    config = TrialConfig.parse(CONFIG | {"optim.averaging": share})
    return Trainer(store, config, (Objective("click.auc", "maximize"),), seed=3, select=False)


@pytest.mark.parametrize(("share", "total"), [(0.25, 100), (0.5, 7), (0.9, 1000)])
def test_it_is_the_mean_of_evenly_spaced_weights(share: float, total: int) -> None:
    model = torch.nn.Linear(3, 2)
    averaging, seen = Averaging(model, share, total), {}
    for step in range(1, total + 1):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        seen[step] = model.weight.detach().clone()
        averaging.after(step)
    window = round(share * total)
    steps = [total - window * at // min(LOOKS, window) for at in range(min(LOOKS, window))]
    assert max(steps) == total
    assert min(steps) > total - window
    torch.testing.assert_close(model.weight.detach(), torch.stack([seen[step] for step in steps]).mean(0))


def test_training_differs_by_the_average_alone_and_goes_on_where_it_was_left(tiny) -> None:
    plain, averaged, left, resumed = (trainer(tiny, share) for share in (0, 0.5, 0.5, 0.5))
    for one in (plain, averaged):
        one.run_to()
    left.run_to(round(0.8 * averaged.course.samples))
    assert 0 < left.course.step < left.total
    resumed.load_state_dict(left.state_dict())
    left.run_to(), resumed.run_to()
    states = [dict(one.model.named_parameters()) for one in (plain, averaged, resumed)]
    for name, weight in states[1].items():
        assert torch.equal(weight, states[2][name]), name
    assert any(not torch.equal(weight, states[0][name]) for name, weight in states[1].items())
    assert plain.course.curve == averaged.course.curve


def test_the_average_is_what_is_kept(tiny) -> None:
    """Though an evaluation before it was better, and patience was at its end."""
    config = TrialConfig.parse(
        CONFIG | {"optim.averaging": 0.25, "optim.epochs": 6, "optim.patience": 1, "optim.lr": 0.1}
    )
    one = Trainer(tiny, config, (Objective("click.auc", "maximize"),), seed=1)
    curve = one.run_to().curve
    scores = [point["valid/click.auc"] for point in curve]
    assert max(scores[:-1]) > scores[-1]
    assert len(curve) == 6
    assert one.metrics("valid")["valid/click.auc"] == scores[-1]
