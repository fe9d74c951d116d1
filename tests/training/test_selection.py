import pytest
import torch

from bench.core.objectives import Objective
from bench.training.config import TrialConfig
from bench.training.loop import Trainer
from bench.training.selection import LOOKS, Averaging, Selector, selectors

CONFIG = {"embedding.dim": 4, "tower.layers": "8", "optim.batch_size": 8, "optim.epochs": 2}
CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.logloss", "minimize")


def judged(selector, values):
    return [selector.judge({"valid/click.auc": value}, at + 1) for at, value in enumerate(values)]


def test_it_waits_since_the_best_and_ties_do_not_count():
    selector = Selector((CLICK,))
    assert judged(selector, [0.6, 0.7, 0.7, 0.65]) == [True, True, False, False]
    assert (selector.best, selector.waited, selector.samples) == (0.7, 2, 2)


def test_objectives_count_by_their_direction():
    selector = Selector((CLICK, LIKE))
    assert selector.judge({"valid/click.auc": 0.5, "valid/like.logloss": 0.5}, 1)
    assert not selector.judge({"valid/click.auc": 0.5, "valid/like.logloss": 0.6}, 2)
    assert selector.judge({"valid/click.auc": 0.5, "valid/like.logloss": 0.4}, 3)


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


def averaging_trainer(store, share):
    config = TrialConfig.parse(CONFIG | {"optim.averaging": share})
    return Trainer(store, config, (CLICK,), seed=3, select=False)


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


def test_training_differs_by_the_average_alone_and_goes_on_where_it_was_left(tiny):
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
