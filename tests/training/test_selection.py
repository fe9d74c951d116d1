import pytest
import torch

from bench.core.objectives import Objective
from bench.training.config import TrialConfig
from bench.training.loop import Trainer
from bench.training.selection import LOOKS, Averaging, Selector, selectors

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
