import pytest
import torch

from bench.core.errors import UserError
from bench.training.config import TrialConfig
from bench.training.loop import Schedule


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("warmup", 1.0, "warmup: .*less than 1, found 1.0"),
        ("clip", float("inf"), "clip: .*finite"),
        ("precision", "fp16", "precision: .*found 'fp16'"),
    ],
)
def test_values_out_of_range_are_refused(name, value, says):
    with pytest.raises(UserError, match=says):
        TrialConfig.parse({f"optim.{name}": value})


def rates(schedule):
    return [schedule.factor(step) for step in range(schedule.total)]


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_cosine_and_linear_decay_are_torchs(warmup):
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


def test_warm_up_rises_by_equal_steps_to_one():
    assert rates(Schedule("constant", 6, 4)) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rates(Schedule("cosine", 6, 4))[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
