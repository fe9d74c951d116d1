"""A trade-off that peaks in the middle of training: found, confirmed at that length, and picked."""

import random
from dataclasses import replace
from pathlib import Path

from rung_toys import FULL, LADDER, rung_plan
from search_toys import OBJECTIVES, ignore, make_job

from bench.core.records import Job, RungResult, TrialRecord, TrialResult, point_id
from bench.core.seeds import derive
from bench.deciding.choices import head_choices
from bench.deciding.pick import pick
from bench.deciding.policy import Policy
from bench.ledger.heads import frontier
from bench.ledger.points import estimate, points
from bench.search.confirm.race import confirm, shortlist
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.study import Study

REFERENCE = {"click.auc": 0.5, "like.auc": 0.5}


def seesaw(job):
    """Click rises all the way; like of what shares rises to the middle rung and is lost again by
    full length.
    """
    samples = FULL if job.until is None else job.until
    rung = LADDER.index(samples)
    shared = job.config["sharing.kind"] != "single_task"
    noise = random.Random(f"{job.trial} {job.seed}").gauss(0, 1e-4)
    click = 0.70 + 0.02 * rung + noise
    like = (0.60, 0.90, 0.65)[rung] + noise if shared else 0.60 + 0.02 * rung + noise
    metrics = {
        f"{split}/{name}": v
        for split in job.splits
        for name, v in (("click.auc", click), ("like.auc", like))
    }
    if job.checkpoint is not None:
        Path(job.checkpoint).parent.mkdir(parents=True, exist_ok=True)
        Path(job.checkpoint).touch()
    return TrialResult(metrics, {}, [], {**job.config, "seed": job.seed}, samples == FULL)


def ids(points):
    return [point.id for point in points]


def test_the_middle_of_a_training_is_confirmed_and_picked_as_long_as_it_was_trained(tmp_path):
    jobs: list[Job] = []

    def run(job):
        jobs.append(job)
        return seesaw(job)

    with Study.open(tmp_path, plan := rung_plan(reference=REFERENCE)) as study:
        search(plan, study, InlineExecutor(seesaw), make_job, ignore)
        study.conclude()
        records = study.records()
        chosen = shortlist(records, OBJECTIVES, REFERENCE, 4)
        confirm(study, InlineExecutor(run), make_job, chosen, 2, ignore)
        front = frontier(study.records(), OBJECTIVES, REFERENCE)
    seen = frontier(records, OBJECTIVES, REFERENCE)
    assert {seen.points[row].until for row in seen.best} == {None, LADDER[1]}
    lengths = seen.table.groupby("trial")["samples"].apply(list)
    for record in records:
        if record.sharing == "single_task":  # rises in both: its last rung alone is a point
            assert lengths[record.number] == [record.rungs[-1].samples]
        elif len(record.rungs) == 3:  # the lowest rung is worse in both than the middle one
            assert lengths[record.number] == list(LADDER[1:])
    assert len({point.number for point in chosen}) < len(chosen)  # both lengths of one trial
    assert {point_id(job.trial, job.until) for job in jobs} == set(ids(chosen))
    assert all(job.resume is None and job.checkpoint is None for job in jobs)
    compared = [point for point in front.points if point.role == "trial" and point.replicates]
    assert ids(compared) == ids(chosen)
    for point in compared:
        assert point.metrics == records[point.number].rungs[1 if point.until else 2].metrics
        assert [(replicate.seed, replicate.until) for replicate in point.replicates] == [
            (derive(7, "replicate", number), point.until) for number in (1, 2)
        ]
    choices = head_choices(front, front.points)
    assert pick(choices, front.points, Policy()).point in [
        front.points[row].id for row in front.best
    ]
    limits = {"like.auc": max(estimate(point, "like.auc") for point in compared if point.until)}
    like = Policy.model_validate(
        {"guard": {"at_least": limits, "max_loss_in_standard_errors": float("inf")}}
    )
    picked = pick(choices, front.points, like)
    assert (picked.samples, picked.until, picked.to_json()["until"]) == (LADDER[1],) * 3
    assert f"stopped after {LADDER[1]} samples" in picked.reason


def test_of_equal_rungs_the_longest_is_the_point_and_an_undefined_one_is_none():
    def rungs(*likes):
        metrics = [{"valid/click.auc": 0.7, "valid/like.auc": like} for like in likes]
        results = tuple(RungResult(10 * 4**i, i, values) for i, values in enumerate(metrics))
        return TrialRecord(0, "completed", {}, {}, "mmoe", results[-1].metrics, rungs=results)

    assert ids(points([rungs(0.8, 0.8, 0.8)], OBJECTIVES)) == ["0"]
    assert ids(points([rungs(0.8, 0.8, 0.7)], OBJECTIVES)) == ["0@40"]
    assert ids(points([rungs(0.8, float("nan"), 0.7)], OBJECTIVES)) == ["0@10"]
    waiting = replace(rungs(0.7, 0.8), state="waiting")
    assert ids(points([waiting], OBJECTIVES)) == ["0@40"]
