"""Outcomes of heads as objectives of trainings, and which tasks are ranked within groups."""

from types import SimpleNamespace

import numpy as np

from bench.core.objectives import Objective
from bench.core.records import RARER, Scalar
from bench.core.schema import Schema, Task
from bench.training.config import TrialConfig
from bench.training.evaluation import ranked_in
from bench.training.loop import Trainer

CONFIG: dict[str, Scalar] = {"embedding.dim": 2, "sharing.kind": "single_task", "sharing.single_task.layers": "4"}
CONFIG |= {"tower.layers": "4", "optim.epochs": 2, "optim.batch_size": 16}


def test_a_training_stops_early_by_an_outcome_and_measures_and_resamples_those_that_are_asked_for(tiny):
    first, second = (task.name for task in tiny.schema.tasks[:2])
    objectives = [Objective(f"{first}.recall@25%", "maximize")]
    asked = (f"{second}.ndcg@3", f"{second}.auc")
    trainer = Trainer(tiny, TrialConfig.parse(CONFIG), objectives, seed=1, device="cpu", outcomes=asked)
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
