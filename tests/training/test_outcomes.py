"""Outcomes of heads: on resamples, and as objectives of trainings of every kind."""

from types import SimpleNamespace

import numpy as np
import pytest
from in_memory import evaluate, predicted

from bench.core.objectives import Objective
from bench.core.records import RARER, Scalar
from bench.core.schema import Schema, Task
from bench.measure.labelled import Labelled
from bench.measure.outcomes import Measure
from bench.measure.resamples import counts, units_of
from bench.measure.resampling import Resampling
from bench.training.config import TrialConfig
from bench.training.evaluation import ranked_in
from bench.training.loop import Trainer

CUTS = ("ndcg@1", "ndcg@4", "ndcg@1000", "recall@3", "recall@12.5%", "recall@100%")
NAMES = (*(f"click.{cut}" for cut in CUTS), *(f"buy.{cut}" for cut in CUTS), "stay.ndcg@3", "stay.value@20%")
TASKS = (Task("click"), Task("buy", parent="click"), Task("stay", "regression", "click"))


def rows_of(rows, levels, groups, seed):
    """Labels, conditional and joint predictions (N, 3) and groups, with gaps in labels and groups."""
    rng = np.random.default_rng(seed)
    said = (rng.integers(0, levels, (rows, 3)) / levels).astype(np.float32)
    joint = said.copy()
    joint[:, 1] *= joint[:, 0]
    labels = (rng.random((rows, 3)) < 0.5).astype(np.float32)
    labels[:, 2] *= rng.integers(-1, 5, rows)
    labels[rng.random((rows, 3)) < 0.1] = np.nan
    return labels, said, joint, rng.integers(-1, groups, rows) if groups else np.full(rows, -1)


def test_a_head_ranks_all_impressions_by_its_joint_prediction():
    labels, said, joint, group = rows_of(3000, 50, 100, 0)
    found = evaluate(labels, said, joint, group, TASKS, "", NAMES)
    click, buy, stay = labels.T
    known = {"buy": np.where(click == 0, 0, click * buy), "stay": np.where(click == 0, 0, click * stay)}
    for name, task, scores in (("buy.ndcg@4", "buy", joint[:, 1]), ("stay.value@20%", "stay", joint[:, 2])):
        kind = "regression" if task == "stay" else "binary"
        expected = Measure((Task(task, kind),), (name,), Labelled(known[task][:, None], group)).values(scores)
        assert found[name] == pytest.approx(expected[0, 0], rel=1e-12)


def test_a_resampled_outcome_is_that_of_the_repeated_rows():
    rows = rows_of(4000, 200, 0, 3)
    names = ("click.recall@10%", "buy.ndcg@50", "stay.value@5%")
    resampling = Resampling(TASKS, "confirm", 8, names)
    for part in zip(*(np.array_split(array, 3) for array in rows), strict=True):
        resampling.add(predicted(*part))
    found, whole = resampling.result(), evaluate(*rows, TASKS, "confirm/", names)
    again = np.repeat(np.arange(4000), counts(units_of(rows[3], 0), "confirm", 8)[:, 5])
    there = evaluate(*(array[again] for array in rows), TASKS, "confirm/", names)
    for name in names:
        key = f"confirm/{name}"
        assert found[key][5] == pytest.approx(there[key] - whole[key], abs=1e-9)


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
