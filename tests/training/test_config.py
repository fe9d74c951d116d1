import pytest
import torch

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.training.config import TrialConfig
from bench.training.loop import Schedule, Trainer


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


def trainer(tiny, **more):
    dotted = {"embedding.dim": 4, "optim.batch_size": 32, "optim.precision": "fp32"}
    return Trainer(tiny, TrialConfig.parse(dotted | more), [Objective("click.auc", "maximize")], seed=1)


@pytest.mark.parametrize("balancing", ["uncertainty", "upgrad"])
def test_clipping_scales_the_dense_gradient_as_one_vector_and_nothing_else(tiny, balancing):
    gradients = []
    for clip in (0.0, 0.01, 1e6):
        made = trainer(tiny, **{"optim.clip": clip, "balancing.kind": balancing})
        made.run_to(32)
        dense = torch.cat([p.grad.reshape(-1) for p in made.model.dense_parameters()])
        others = [p.grad for p in made.step.balancer.parameters()] + [made.step.rows.state_dict()["mean"]]
        gradients.append((dense, others))
    (free, others), (clipped, same), (loose, _) = gradients
    assert float(free.norm()) > 0.01
    torch.testing.assert_close(clipped, free * (0.01 / free.norm()), rtol=1e-4, atol=1e-9)
    assert torch.equal(loose, free)
    assert all(torch.equal(one, other) for one, other in zip(others, same, strict=True))


def test_rates_follow_the_schedule_on_dense_parameters_and_rows(tiny):
    made = trainer(tiny, **{"optim.lr": 0.1, "optim.embedding_lr": 3.0, "optim.warmup": 0.5, "optim.epochs": 4})
    assert made.total == 8
    made.run_to(2 * 32)
    assert made.step.dense.rate == pytest.approx(0.05)
    assert made.step.rows.rate == pytest.approx(0.15)


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
