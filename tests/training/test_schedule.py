from __future__ import annotations

import pytest
import torch

from bench.training.loop import Schedule


def rates(schedule: Schedule) -> list[float]:
    return [schedule.factor(step) for step in range(schedule.total)]


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_cosine_and_linear_decay_are_torchs(warmup: int) -> None:
    total = 40
    for decay, twin in (
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, total - warmup)),
        ("linear", lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total - warmup)),
    ):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = twin(optimizer)
        expected = []
        for _ in range(total - warmup):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        assert rates(Schedule(decay, total, warmup))[warmup:] == pytest.approx(expected, abs=1e-9)


def test_warm_up_rises_by_equal_steps_to_one() -> None:
    assert rates(Schedule("constant", 6, 4)) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rates(Schedule("cosine", 6, 4))[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_warm_up_that_fills_a_short_training_is_all_there_is() -> None:
    assert rates(Schedule("linear", 2, 2)) == [0.5, 1.0]
