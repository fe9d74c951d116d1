"""Twins: single-task models tuned on the settings of the best models that share."""

from dataclasses import replace
from shutil import copytree

import pytest
from search_toys import OBJECTIVES, SCHEMA, ignore, make_job, toy_plan, train

from bench.confirm.baselines import baselines_of, best_point
from bench.confirm.race import confirm, kinds, largest_first, shortlist
from bench.confirm.twins import best_twins, missing_twin, tried, twins_to_try, with_earlier
from bench.core.records import Job, Point
from bench.results.points import points_of_run, searched_points, source_ids
from bench.search.executors import InlineExecutor
from bench.search.study import Study
from bench.system.progress import Silent

PLAN = toy_plan(trials=12)
REFERENCE = {objective.name: 0.0 for objective in OBJECTIVES}


def guessed(job):
    """The closed form, where twins have no weights of tasks, and are better than all other single-task models."""
    result = train(replace(job, config={"balancing.static.weight.like": 1.0, **job.config}))
    better = 0.05 * (job.kind == "twin")
    return replace(result, metrics={name: value + better for name, value in result.metrics.items()})


@pytest.fixture
def study(done, tmp_path):
    with Study.open(copytree(done, tmp_path / "searched"), PLAN) as opened:
        yield opened


def settings(config):
    return {key: value for key, value in config.items() if not key.startswith(("sharing", "balancing"))}


def test_single_task_models_are_tried_with_as_many_settings_as_the_kind_with_most(study):
    records = study.records()
    points = searched_points(records, OBJECTIVES)
    by_kind = {kind: {str(settings(point.config)) for point in points if point.sharing == kind}
               for kind in ("single_task", "mmoe", "ple")}  # fmt: skip
    missing = max(map(len, by_kind.values())) - len(by_kind["single_task"])
    twins = twins_to_try(records, OBJECTIVES, REFERENCE, 99)
    assert len(twins) == missing > 1
    sharing = largest_first([point for point in points if point.sharing != "single_task"], OBJECTIVES, REFERENCE)
    untried = [point for point in sharing if str(settings(point.config)) not in by_kind["single_task"]]
    assert settings(twins[0].config) == settings(untried[0].config)
    shared = [settings(point.config) for point in points if point.sharing != "single_task"]
    for twin in twins:
        assert twin.config["sharing.kind"] == "single_task"
        assert not any(key.startswith("balancing") for key in twin.config)
        assert settings(twin.config) in shared
        assert str(settings(twin.config)) not in by_kind["single_task"]
    assert len({str(twin.config) for twin in twins}) == len(twins)
    assert twins_to_try(records, OBJECTIVES, REFERENCE, 1) == twins[:1]


def test_at_least_one_is_tried_even_where_single_task_models_had_most_settings(study):
    records = study.records()
    few = [record for record in records if record.sharing == "single_task"]
    few.append([record for record in records if record.sharing == "mmoe"][-1])  # the first has the same settings
    assert len(twins_to_try(few, OBJECTIVES, REFERENCE, 9)) == 1
    assert twins_to_try(few[:-1], OBJECTIVES, REFERENCE, 9) == []


def test_the_best_twin_is_the_reference_and_is_confirmed_in_place_of_a_worse_trial(study):
    jobs: list[Job] = []
    executor = InlineExecutor(lambda job: jobs.append(job) or guessed(job))
    records = study.records()
    asked = twins_to_try(records, OBJECTIVES, REFERENCE, 2)
    twins = tried(study, executor, make_job, asked, Silent())
    assert [(job.kind, job.splits, job.replicate) for job in jobs] == [("twin", ("valid",), 0)] * 2
    single = best_twins(records, twins, OBJECTIVES)
    assert 1 <= len(single) <= 2
    before = shortlist(records, OBJECTIVES, REFERENCE, 2)
    chosen = shortlist(records, OBJECTIVES, REFERENCE, 2, twins=twins)
    assert {point.sharing for point in before} - {point.sharing for point in chosen} == {"single_task"}
    assert "single_task" not in {point.sharing for point in kinds(records, OBJECTIVES, REFERENCE, [*chosen, *single])}
    (ensemble,) = baselines_of(records, OBJECTIVES, REFERENCE, ["ensemble"], SCHEMA, twins)
    (without,) = baselines_of(records, OBJECTIVES, REFERENCE, ["ensemble"], SCHEMA)
    assert ensemble.config != without.config

    confirm(study, executor, make_job, chosen, 2, ignore, baselines=single)
    points = points_of_run(study.records(), study.baselines(), OBJECTIVES)
    (composite,) = [point for point in points if point.kind == "single_task"]
    assert source_ids(composite) == sorted(twin.id for twin in single)
    stored = [point for point in points if point.kind == "twin"]
    assert {point.id for point in stored} == {twin.id for twin in single}
    assert all(point.metrics and len(point.replicates) == 2 and point.role == "baseline" for point in stored)
    assert stored[0].name == f"single-task, settings of trial {stored[0].label}"

    done = len(jobs)
    assert tried(study, executor, make_job, asked, Silent()) == twins  # kept, and not trained again
    assert len(jobs) == done
    assert {point.training for point in with_earlier([], study)} == {point.training for point in single}
    assert with_earlier(single, study) == single


def test_the_twin_of_a_pick_is_asked_for_until_it_is_confirmed(study):
    executor = InlineExecutor(guessed)
    records = study.records()
    pick = best_point(records, OBJECTIVES, REFERENCE, single=False)
    points = points_of_run(records, study.baselines(), OBJECTIVES)
    twin = missing_twin(pick, points, records, OBJECTIVES, REFERENCE)
    assert settings(twin.config) == settings(pick.config)
    for other in (Point("trees", {}, "trees"), best_point(records, OBJECTIVES, REFERENCE, single=True)):
        assert missing_twin(other, points, records, OBJECTIVES, REFERENCE) is None
    confirm(study, executor, make_job, [], 2, ignore, baselines=[twin])
    points = points_of_run(study.records(), study.baselines(), OBJECTIVES)
    assert missing_twin(pick, points, records, OBJECTIVES, REFERENCE) is None
    (composite,) = [point for point in points if point.kind == "single_task"] or [None]
    assert composite is None  # no single-task model was tried on validation and confirmed
