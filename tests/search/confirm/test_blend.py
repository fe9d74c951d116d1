"""The blend of a confirmation: of what it is made, that validation alone says how, and that nothing
is done twice.
"""

from dataclasses import replace
from functools import partial
from shutil import copytree

import numpy as np
import pytest
from search_toys import OBJECTIVES, TASKS, ignore, make_job, toy_plan

from bench.core.records import Job, Point, TrialResult
from bench.core.rows import SEARCH
from bench.core.schema import Task
from bench.core.system.progress import Silent
from bench.measure.predictions import KEPT, name_of, path, path_of, predictions, seal
from bench.models.training.blend import SHARES, mixed, run_blend, shares_of
from bench.models.training.evaluation import measured, measured_splits
from bench.models.training.tree_settings import TreeSettings
from bench.search.confirm.blending import blended
from bench.search.confirm.race import confirm, shortlist
from bench.search.executors import InlineExecutor
from bench.search.study import Study
from bench.testing.training_checks import MemoryStore

PLAN = toy_plan(trials=12)
REFERENCE = {objective.name: 0.0 for objective in OBJECTIVES}
STORE = MemoryStore(600, tuple(map(Task, TASKS)))
SETTINGS = {key: value for task in TASKS for key, value in TreeSettings().dotted(task).items()}
TREES = Point("trees", SETTINGS, "trees")
NOISE = {"click": {"trial": 0.2, "trees": 0.9}, "like": {"trial": 1.2, "trees": 1.2}}
"""Of each task's predictions: in clicks a network is better, in likes neither."""


def joint(split, kind, seed):
    """The truth with noise that other models do not have, so that an average is better."""
    rng = np.random.default_rng([seed, KEPT.index(split), len(kind)])
    logits = 2 * STORE.split(split).labels - 1
    noise = [NOISE[task][kind] * rng.normal(size=len(logits)) * 2 for task in TASKS]
    return (1 / (1 + np.exp(-logits - np.stack(noise, axis=1)))).astype(np.float32)


def leave(file, values):
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, values)
    seal(file, file.name)


def train(job):
    """Leaves predictions and measures them; parameters cost 3."""
    if job.kind == "blend":
        return run_blend(job, STORE)
    if job.config.get("trees.fails") == job.replicate:
        raise FloatingPointError("no two classes")
    by_split = {split: joint(split, job.kind, job.seed + (job.trial or 0)) for split in job.splits}
    for split, values in by_split.items():
        leave(path_of(job, split), values)
    metrics, _ = measured_splits(
        replace(job, predictions=None), STORE, lambda split: [(by_split[split], by_split[split])]
    )
    return TrialResult(metrics | {"cost/parameters": 3.0}, {}, [], dict(job.config))


@pytest.fixture
def blend(done, tmp_path):
    """Confirms two points, the trees and their blend in a folder; gives the study and the jobs."""
    folder = tmp_path / "run"
    copytree(done, folder)
    predictions_folder = folder / "predictions"

    def carry_out(replicates=2, trees=TREES, points=2):
        jobs: list[Job] = []

        def make(*arguments):
            return replace(make_job(*arguments), predictions=str(predictions_folder))

        executor = InlineExecutor(lambda job: jobs.append(job) or train(job))
        choose = partial(shares_of, STORE, predictions_folder, OBJECTIVES)
        with Study.open(folder, PLAN) as study:
            chosen = shortlist(study.records(), OBJECTIVES, REFERENCE, points, single_task=False)
            confirm(study, executor, make, chosen, replicates, ignore, baselines=[trees])
            blended(study, executor, make, choose, predictions_folder, trees, REFERENCE, Silent())
        return Study.read(folder), jobs

    return carry_out


def blend_of(study):
    return [record for record in study.baselines() if record.kind == "blend"][-1]


def validated(study):
    """By confirmed trial the mean product of both objectives on validation."""
    products = {}
    for record in study.records():
        if all_metrics := [replicate.metrics for replicate in record.replicates]:
            click, like = (
                np.mean([metrics[f"{SEARCH}/{task}.auc"] for metrics in all_metrics])
                for task in TASKS
            )
            products[str(record.number)] = click * like
    return products


def test_the_best_network_on_validation_is_blended_with_the_trees(blend):
    study, jobs = blend()
    point, scores = blend_of(study), validated(study)
    assert point.id == "blend"
    assert len(scores) == 2
    assert point.config["blend.network"] == max(scores, key=lambda number: scores[number])
    assert point.config["blend.trees"] == "trees"
    assert float(point.config["blend.share.click"]) >= 0.7
    assert 0.3 <= float(point.config["blend.share.like"]) <= 0.7
    assert [replicate.replicate for replicate in point.replicates] == [1, 2]
    by_seed = {
        replicate.replicate: replicate.seed
        for replicate in study.records()[int(point.config["blend.network"])].replicates
    }
    assert {replicate.replicate: replicate.seed for replicate in point.replicates} == by_seed
    assert all(replicate.metrics["cost/parameters"] == 6.0 for replicate in point.replicates)
    assert all(replicate.metrics["test/like.auc"] > 0 for replicate in point.replicates)
    assert sum(job.kind == "blend" for job in jobs) == 2


def test_nothing_is_done_twice_and_what_is_damaged_is_blended_again(blend):
    study, _ = blend()
    log = (study.folder / "study.jsonl").read_bytes()
    assert blend()[1] == []
    file = path(study.folder / "predictions", "test", name_of(blend_of(study).training, 2))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert [(job.kind, job.replicate) for job in blend()[1]] == [("blend", 2)]
    assert file.read_bytes() == whole
    assert (study.folder / "study.jsonl").read_bytes() == log
    assert [(job.kind, job.replicate) for job in blend(3)[1] if job.kind == "blend"] == [
        ("blend", 3)
    ]


def test_shares_read_validation_alone(tmp_path):
    """They are the best of a loop over all that are tried, and the same where other splits say the
    opposite.
    """
    for split in KEPT:
        for number, name in enumerate(("network", "trees")):
            values = joint(split, ("trial", "trees")[number], 5 + number)
            leave(path(tmp_path, split, name), values if split == SEARCH else 1 - values)
    shares = shares_of(STORE, tmp_path, OBJECTIVES, [("network", "trees")])
    parts = [predictions(tmp_path, SEARCH, name) for name in ("network", "trees")]
    for task in TASKS:
        areas = {}
        for share in SHARES:
            metrics, _ = measured(STORE, SEARCH, mixed(*parts, [share] * 2, STORE.schema))
            areas[share] = metrics[f"{SEARCH}/{task}.auc"]
        assert areas[float(shares[f"blend.share.{task}"])] == max(areas.values())
    assert shares_of(STORE, tmp_path, OBJECTIVES, []) == {
        f"blend.share.{task}": 0.5 for task in TASKS
    }
