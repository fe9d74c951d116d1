"""Static weights as a tuned baseline: which weights, which tries, and which of them is
confirmed.
"""

import math
from shutil import copytree

import numpy as np
import pytest
from search_toys import OBJECTIVES, TASKS, ignore, make_job, toy_plan, toy_space, train

from bench.core.objectives import Objective
from bench.core.records import Job
from bench.core.rows import REPLICATED
from bench.core.system.progress import Silent
from bench.models.training.config import TrialConfig
from bench.search.confirm.baselines import best_point, chosen, draws, retuned, spread_out
from bench.search.confirm.race import confirm
from bench.search.executors import InlineExecutor
from bench.search.space import load_space
from bench.search.study import Study

PLAN = toy_plan(trials=12)
REFERENCE = {objective.name: 0.0 for objective in OBJECTIVES}
GRADIENT = {*toy_space().branches("sharing.kind")} - {"single_task"}
"""Toys have no balancing kind and are named by their architecture: trials that share count as
gradient methods.
"""


class TestLattice:
    def test_two_tasks_have_as_many_as_asked_log_evenly_between_the_ends(self):
        weights = [by_task["like"] for by_task in spread_out(TASKS, 7, 16)]
        assert (weights[0], weights[3], weights[-1]) == (1 / 16, 1.0, 16.0)
        np.testing.assert_allclose(np.diff(np.log(weights)), np.log(16) / 3, rtol=1e-5)
        assert {by_task["click"] for by_task in spread_out(TASKS, 7, 16)} == {1.0}

    def test_more_tasks_have_at_least_as_many_and_every_task_the_same_of_them(self):
        lattice = spread_out(("a", "b", "c"), 7, 16)
        assert len(lattice) == 10
        shares = [
            sorted(round(w / min(by_task.values()), 3) for w in by_task.values())
            for by_task in lattice
        ]
        assert [1.0, 1.0, 16.0] in shares
        assert [1.0, 1.0, 1.0] in shares
        normed = {
            tuple(round(by_task[task] / max(by_task.values()), 3) for task in "abc")
            for by_task in lattice
        }
        assert normed == {(c, a, b) for a, b, c in normed}  # it is the same seen from any task


@pytest.mark.parametrize("name", ["balancing", "funnel", "joint", "losses", "quick", "wide"])
def test_every_draw_of_our_spaces_is_a_configuration(name):
    weights = {"balancing.kind": "static", "balancing.static.weight.like": 4.0}
    for config in draws(load_space(name), TASKS, 16, seed=0):
        parsed = TrialConfig.parse(config | weights)
        assert parsed.sharing.kind != "single_task"
        assert parsed.balancing.dotted("balancing")["balancing.static.weight.like"] == 4.0


class TestChoice:
    TRIES = (
        {"valid/click.auc": 0.80, "valid/like.auc": 0.60},
        {"valid/click.auc": 0.79, "valid/like.auc": 0.64},
        {"valid/click.auc": 0.70, "valid/like.auc": 0.65},
        {},
    )

    def best(self, click, like, objectives):
        return chosen({"click": click, "like": like}, objectives, self.TRIES, self.TRIES)

    def test_the_weighted_sum_decides_in_units_of_the_spread_and_costs_do_not_count(self):
        for objectives in (OBJECTIVES, (*OBJECTIVES, Objective("cost/latency_ms", "minimize"))):
            assert [self.best(*weights, objectives) for weights in ((16, 1), (1, 1), (1, 16))] == [
                0,
                1,
                2,
            ]
        same = [self.TRIES[1]] * 3
        assert chosen({"click": 1, "like": 1}, OBJECTIVES, same, same) == 0

    def test_less_is_better_of_an_error(self):
        tries = [{"valid/click.auc": 0.7, "valid/like.logloss": loss} for loss in (0.5, 0.4, 0.6)]
        objectives = (OBJECTIVES[0], Objective("like.logloss", "minimize"))
        assert chosen({"click": 1, "like": 1}, objectives, tries, tries) == 1

    def test_there_is_none_where_every_try_failed(self):
        assert chosen({"click": 1, "like": 1}, OBJECTIVES, [{}, {}], self.TRIES) is None
        assert chosen({"click": 1, "like": 1}, OBJECTIVES, [{}, {}], [{}, {}]) is None


def tune(folder, executor, count=3, replicates=2):
    with Study.open(folder, PLAN) as study:
        baselines = retuned(study, executor, make_job, PLAN, count, GRADIENT, Silent())
        confirm(study, executor, make_job, [], replicates, ignore, baselines=baselines)
    return Study.read(folder), baselines


def test_every_weight_is_tuned_by_the_same_tries_and_its_best_is_retrained(done, tmp_path):
    jobs: list[Job] = []
    noting = InlineExecutor(lambda job: jobs.append(job) or train(job))
    folder = copytree(done, tmp_path / "a")
    study, asked = tune(folder, noting)
    shared = sum(record.sharing != "single_task" for record in study.records())
    tries = [job for job in jobs if not job.replicate]
    retrained = [job for job in jobs if job.replicate]
    assert len(tries) == 3 * math.ceil(shared / 3)
    assert {(job.kind, job.splits, job.until) for job in tries} == {
        ("static_weights", ("valid",), None)
    }
    assert len({job.seed for job in tries}) == 1
    assert {job.config["balancing.kind"] for job in tries} == {"static"}
    by_weight: dict[object, list[dict]] = {}
    for job in tries:
        rest = {key: value for key, value in job.config.items() if not key.startswith("balancing")}
        by_weight.setdefault(job.config["balancing.static.weight.like"], []).append(rest)
    first, second, third = by_weight.values()
    assert first == second == third
    best = best_point(study.records(), OBJECTIVES, REFERENCE, single=False)
    assert first[0] == {
        key: value for key, value in best.config.items() if not key.startswith("balancing")
    }

    records = study.baselines()
    assert [record.weights for record in records] == spread_out(TASKS, 3, 16)
    assert [record.architecture for record in records] == ["static_weights"] * 3
    assert [record.config for record in records] == [record.config for record in asked]
    assert [[replicate.replicate for replicate in record.replicates] for record in records] == [
        [1, 2]
    ] * 3
    assert {job.splits for job in retrained} == {REPLICATED}
    one_end, _, other_end = (record.replicates[0].metrics for record in records)
    assert one_end["valid/click.auc"] > other_end["valid/click.auc"]
    assert one_end["valid/like.auc"] < other_end["valid/like.auc"]

    before = len(jobs)
    again, _ = tune(folder, noting)
    assert len(jobs) == before
    assert again.baselines() == records
    denser, _ = tune(folder, noting, count=5)  # every second weight is known, and so are its tries
    assert len(denser.baselines()) == 5
    assert [job.replicate for job in jobs[before:]] == [0] * 2 * math.ceil(shared / 5) + [
        1,
        1,
        2,
        2,
    ]
