from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.core.objectives import Objective
from bench.training.config import TrialConfig
from bench.training.loop import Trainer
from bench.training.selection import LOOKS, Averaging, Selector, selectors

CONFIG = {"embedding.dim": 4, "tower.layers": "8", "optim.batch_size": 8, "optim.epochs": 2}
CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.logloss", "minimize")


def judged(selector: Selector, values: list[float]) -> list[bool]:
    return [selector.judge({"valid/click.auc": value}, at + 1) for at, value in enumerate(values)]


def test_it_waits_since_the_best_and_ties_do_not_count() -> None:
    selector = Selector((CLICK,))
    assert judged(selector, [0.6, 0.7, 0.7, 0.65]) == [True, True, False, False]
    assert (selector.best, selector.waited, selector.samples) == (0.7, 2, 2)


def test_an_undefined_objective_is_the_worst_but_the_first_state_is_kept() -> None:
    selector = Selector((CLICK,))
    assert judged(selector, [float("nan"), float("nan"), 0.1]) == [True, False, True]


def test_objectives_count_by_their_direction() -> None:
    selector = Selector((CLICK, LIKE))
    assert selector.judge({"valid/click.auc": 0.5, "valid/like.logloss": 0.5}, 1)
    assert not selector.judge({"valid/click.auc": 0.5, "valid/like.logloss": 0.6}, 2)
    assert selector.judge({"valid/click.auc": 0.5, "valid/like.logloss": 0.4}, 3)


def test_the_state_is_copied_when_the_model_moves_on_and_only_once() -> None:
    model = nn.Linear(2, 1)
    selector = Selector((CLICK,))
    judged(selector, [0.5])
    assert selector.snapshot is None
    best = model.weight.detach().clone()
    selector.keep(model)
    assert selector.snapshot is not None
    first = selector.snapshot["weight"]
    with torch.no_grad():
        model.weight += 1
    selector.keep(model)
    assert torch.equal(first, best)
    selector.judge({"valid/click.auc": 0.9}, 2)
    selector.keep(model)
    assert selector.snapshot["weight"] is first, "memory of the older snapshot was not used again"
    assert torch.equal(first, best + 1)


def test_separate_tasks_follow_their_own_objectives_else_all() -> None:
    one, other, third = selectors(
        [CLICK, LIKE, Objective("cost/parameters", "minimize")], ["click", "like", "buy"], True
    )
    assert (one.objectives, other.objectives, third.objectives) == ((CLICK,), (LIKE,), (CLICK, LIKE))
    assert [one.task, other.task, third.task] == [0, 1, 2]
    (alone,) = selectors([CLICK, LIKE], ["click", "like"], False)
    assert (alone.objectives, alone.task) == ((CLICK, LIKE), None)


def test_without_selection_training_goes_to_its_end_and_validation_is_not_looked_at(tiny) -> None:
    config = TrialConfig.parse({"optim.epochs": 6, "optim.patience": 1, "optim.batch_size": 16, "embedding.dim": 2})
    trainer = Trainer(tiny, config, (CLICK,), seed=0, device="cpu", select=False)
    course = trainer.run_to()
    assert (course.finished, course.step, course.curve) == (True, 24, [])
    assert trainer.evaluation.samples == 0


def averaging_trainer(store, share: float) -> Trainer:
    config = TrialConfig.parse(CONFIG | {"optim.averaging": share})
    return Trainer(store, config, (CLICK,), seed=3, select=False)


@pytest.mark.parametrize(("share", "total"), [(0.25, 100), (0.5, 7), (0.9, 1000)])
def test_the_average_is_the_mean_of_evenly_spaced_weights(share: float, total: int) -> None:
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
    plain, averaged, left, resumed = (averaging_trainer(tiny, share) for share in (0, 0.5, 0.5, 0.5))
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
    one = Trainer(tiny, config, (CLICK,), seed=1)
    curve = one.run_to().curve
    scores = [point["valid/click.auc"] for point in curve]
    assert max(scores[:-1]) > scores[-1]
    assert len(curve) == 6
    assert one.metrics("valid")["valid/click.auc"] == scores[-1]
