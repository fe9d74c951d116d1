"""Trade-offs that peak in the middle of training: found, confirmed at that length, and picked."""

import random
from dataclasses import replace
from pathlib import Path

from rung_toys import FULL, LADDER, rung_plan
from search_toys import OBJECTIVES, ignore, make_job

from bench.confirm.race import confirm, shortlist
from bench.core.records import Job, RungResult, TrialRecord, TrialResult, point_id
from bench.core.seeds import derive
from bench.frontier.choices import head_choices
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.results.frontier import frontier
from bench.results.points import estimate, points
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.study import Study

REFERENCE = {"click.auc": 0.5, "like.auc": 0.5}


def seesaw(job):
    """Click rises all the way; like of what shares rises to the middle rung and is lost again by full length."""
    at = FULL if job.until is None else job.until
    rung = LADDER.index(at)
    shared = job.config["sharing.kind"] != "single_task"
    noise = random.Random(f"{job.trial} {job.seed}").gauss(0, 1e-4)
    click = 0.70 + 0.02 * rung + noise
    like = (0.60, 0.90, 0.65)[rung] + noise if shared else 0.60 + 0.02 * rung + noise
    metrics = {f"{split}/{name}": v for split in job.splits for name, v in (("click.auc", click), ("like.auc", like))}
    if job.checkpoint is not None:
        Path(job.checkpoint).parent.mkdir(parents=True, exist_ok=True)
        Path(job.checkpoint).touch()
    return TrialResult(metrics, {}, [], {**job.config, "seed": job.seed}, at == FULL)


class Spy:
    def __init__(self):
        self.jobs: list[Job] = []

    def __call__(self, job):
        self.jobs.append(job)
        return seesaw(job)


def searched(folder):
    with Study.open(folder, plan := rung_plan(reference=REFERENCE)) as study:
        search(plan, study, InlineExecutor(seesaw), make_job, ignore)
        study.conclude()
        return study.records()


def on_front(front):
    return [front.points[row] for row in front.best]


def ids(points):
    return [point.id for point in points]


def test_the_front_has_the_trial_in_the_middle_of_its_training(tmp_path):
    records = searched(tmp_path)
    front = frontier(records, OBJECTIVES, REFERENCE)
    by_number = {record.number: record for record in records}
    middle = [point for point in on_front(front) if point.until == LADDER[1]]
    assert any(by_number[point.number].state == "completed" for point in middle)
    assert {point.until for point in on_front(front)} >= {None, LADDER[1]}
    for point in middle:
        assert point.metrics == by_number[point.number].rungs[1].metrics
    best = max(rung.metrics["valid/like.auc"] for record in records for rung in record.rungs)
    assert max(point.metrics["valid/like.auc"] for point in on_front(front)) == best
    found = front.table.groupby("trial")["samples"].apply(list)
    for record in records:
        if record.sharing == "single_task":  # rises in both: its last rung alone is a point
            assert found[record.number] == [record.rungs[-1].samples]
        elif len(record.rungs) == 3:  # the lowest rung is worse in both than the middle one
            assert found[record.number] == list(LADDER[1:])


def test_points_are_confirmed_as_long_as_they_were_trained_and_picked_so(tmp_path):
    records, spy = searched(tmp_path), Spy()
    chosen = shortlist(records, OBJECTIVES, REFERENCE, 4)
    twice = {point.number for point in chosen if sum(each.number == point.number for each in chosen) > 1}
    assert twice  # both lengths of one trial
    with Study.open(tmp_path, rung_plan(reference=REFERENCE)) as study:
        confirm(study, InlineExecutor(spy), make_job, chosen, 2, ignore)
        records = study.records()
    assert {point_id(job.trial, job.until) for job in spy.jobs} == set(ids(chosen))
    assert len(spy.jobs) == 2 * len(chosen)
    assert all(job.resume is None and job.checkpoint is None for job in spy.jobs)
    front = frontier(records, OBJECTIVES, REFERENCE)
    compared = [point for point in front.points if point.role == "trial" and point.replicates]
    assert ids(compared) == ids(chosen)
    for point in compared:
        assert [each.replicate for each in point.replicates] == [1, 2]
        assert [each.seed for each in point.replicates] == [derive(7, "replicate", k) for k in (1, 2)]
        assert {each.until for each in point.replicates} == {point.until}
    choices = head_choices(front, front.points)
    picked = pick(choices, front.points, Policy())
    assert picked.point in ids(on_front(front))
    shorter = max((p for p in compared if p.until), key=lambda point: estimate(point, "like.auc"))
    least = {"like.auc": estimate(shorter, "like.auc")}
    like = Policy.model_validate({"guard": {"at_least": least, "max_loss_in_standard_errors": float("inf")}})
    picked = pick(choices, front.points, like)
    assert (picked.samples, picked.until) == (LADDER[1], LADDER[1])
    assert f"stopped after {LADDER[1]} samples" in picked.reason
    assert picked.to_json()["until"] == LADDER[1]


def test_of_equal_rungs_the_longest_is_the_point_and_an_undefined_one_is_none():
    def rungs(*likes):
        results = tuple(
            RungResult(
                10 * 4**i, i, {"valid/click.auc": 0.7, "valid/like.auc": like, "cost/latency_ms": 9.0 - like * i}
            )
            for i, like in enumerate(likes)
        )
        return TrialRecord(0, "completed", {}, {}, "mmoe", results[-1].metrics, rungs=results)

    assert ids(points([rungs(0.8, 0.8, 0.8)], OBJECTIVES)) == ["0"]
    assert ids(points([rungs(0.8, 0.8, 0.7)], OBJECTIVES)) == ["0@40"]
    assert ids(points([rungs(0.8, float("nan"), 0.7)], OBJECTIVES)) == ["0@10"]
    waiting = replace(rungs(0.7, 0.8), state="waiting")
    assert ids(points([waiting], OBJECTIVES)) == ["0@40"]
