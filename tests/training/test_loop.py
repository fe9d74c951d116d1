"""The training loop: its options and schedule, by what it selects and stops, and which outcomes it measures."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import RARER, Scalar
from bench.core.schema import Schema, Task
from bench.training.config import TrialConfig
from bench.training.evaluation import ranked_in
from bench.training.loop import Schedule, Trainer
from bench.training.selection import LOOKS, Averaging, Selector, selectors


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


CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.logloss", "minimize")


def test_it_waits_since_the_best_and_ties_do_not_count():
    selector = Selector((CLICK,))
    found = [selector.judge({"valid/click.auc": value}, at) for at, value in enumerate((0.6, 0.7, 0.7, 0.65), 1)]
    assert found == [True, True, False, False]
    assert (selector.best, selector.waited, selector.samples) == (0.7, 2, 2)


def test_separate_tasks_follow_their_own_objectives_else_all():
    one, other, third = selectors(
        [CLICK, LIKE, Objective("cost/parameters", "minimize")], ["click", "like", "buy"], True
    )
    assert (one.objectives, other.objectives, third.objectives) == ((CLICK,), (LIKE,), (CLICK, LIKE))
    assert [one.task, other.task, third.task] == [0, 1, 2]
    (alone,) = selectors([CLICK, LIKE], ["click", "like"], False)
    assert (alone.objectives, alone.task) == ((CLICK, LIKE), None)


def test_without_selection_training_goes_to_its_end_and_validation_is_not_looked_at(tiny):
    config = TrialConfig.parse({"optim.epochs": 6, "optim.patience": 1, "optim.batch_size": 16, "embedding.dim": 2})
    trainer = Trainer(tiny, config, (CLICK,), seed=0, device="cpu", select=False)
    course = trainer.run_to()
    assert (course.finished, course.step, course.curve) == (True, 24, [])
    assert trainer.evaluation.samples == 0


@pytest.mark.parametrize(("share", "total"), [(0.25, 100), (0.5, 7), (0.9, 1000)])
def test_the_average_is_the_mean_of_evenly_spaced_weights(share, total):
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


SHORT: dict[str, Scalar] = {"embedding.dim": 2, "sharing.kind": "single_task", "sharing.single_task.layers": "4"}
SHORT |= {"tower.layers": "4", "optim.epochs": 2, "optim.batch_size": 16}


def test_a_training_stops_early_by_an_outcome_and_measures_and_resamples_those_that_are_asked_for(tiny):
    first, second = (task.name for task in tiny.schema.tasks[:2])
    objectives = [Objective(f"{first}.recall@25%", "maximize")]
    asked = (f"{second}.ndcg@3", f"{second}.auc")
    trainer = Trainer(tiny, TrialConfig.parse(SHORT), objectives, seed=1, device="cpu", outcomes=asked)
    trainer.run_to()
    plain, key = trainer.metrics("valid"), f"valid/{first}.recall@25%"
    assert trainer.evaluation.resampled == {}
    assert trainer.metrics("valid", 4) == plain
    assert max(point[key] for point in trainer.course.curve) == plain[key]
    assert {key, f"valid/{second}.ndcg@3"} <= set(trainer.evaluation.resampled)
    assert {key for key in trainer.evaluation.resampled if not key.endswith(RARER)} <= set(plain)
    assert len(trainer.evaluation.resampled[key]) == 4


def test_a_task_is_ranked_where_both_splits_that_choose_have_groups_that_tell():
    """Groups of five with both labels; `dull` has but one label in each group of the second split."""
    rng, group = np.random.default_rng(0), np.repeat(np.arange(400), 5)
    labels = (rng.random((2000, 2)) < 0.5).astype(np.float32)
    of_group = np.stack([labels[:, 0], labels[::5, 1].repeat(5)], axis=1)
    apart = np.full(2000, -1)
    tasks = (Task("click"), Task("dull"))

    def found(*splits):
        made = {
            name: SimpleNamespace(labels_of=lambda rows, own=own: own[rows], group=of)
            for name, (own, of) in zip(("valid", "confirm"), splits, strict=True)
        }
        return ranked_in(SimpleNamespace(schema=Schema((), (), tasks), split=made.__getitem__))

    assert found((labels, group), (labels, group)) == {"click", "dull"}
    for other, left in ((of_group, {"click"}), (labels, set())):
        own = (other, group if left else apart)
        assert found((labels, group), own) == found(own, (labels, group)) == left
