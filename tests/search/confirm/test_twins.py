"""Twins: single-task models tuned on the settings of the best models that share."""

from collections import Counter
from dataclasses import replace
from shutil import copytree

import pytest
from search_toys import OBJECTIVES, SCHEMA, ignore, make_job, toy_plan, train

from bench.core.records import Job, Point, RungResult
from bench.core.system.progress import Silent
from bench.ledger.points import points_of_run, searched_points, source_ids
from bench.search.confirm.baselines import baselines_of, best_point
from bench.search.confirm.race import confirm, kinds, largest_first, shortlist
from bench.search.confirm.twins import (
    Effort,
    best_twins,
    effort_of,
    missing_twins,
    tune,
    twin_of_pick,
    with_earlier,
)
from bench.search.executors import InlineExecutor
from bench.search.study import Study

PLAN = toy_plan(trials=12)
REFERENCE = {objective.name: 0.0 for objective in OBJECTIVES}


def guessed(job):
    """The closed form, where twins have no weights of tasks, and are better than all other
    single-task models.
    """
    result = train(replace(job, config={"balancing.static.weight.like": 1.0, **job.config}))
    better = 0.05 * (job.kind == "twin")
    return replace(result, metrics={name: value + better for name, value in result.metrics.items()})


@pytest.fixture
def study(done, tmp_path):
    with Study.open(copytree(done, tmp_path / "searched"), PLAN) as opened:
        yield opened


def settings(config):
    return {
        key: value for key, value in config.items() if not key.startswith(("sharing", "balancing"))
    }


def test_effort_is_counted_in_full_lengths_by_kind_of_sharing(study):
    records = study.records()
    effort = effort_of(records, 2)
    counts = Counter(record.sharing for record in records)  # each was trained to full length
    assert effort.alone == counts.pop("single_task") + 2
    assert (effort.kind, effort.of_kind) == max(counts.items(), key=lambda entry: entry[1])
    half = [
        replace(
            record,
            rungs=(RungResult(8, 0, {}, 1.0), RungResult(16, 1, {}, 1.0))[
                : 1 + (record.number == 0)
            ],
        )
        for record in records[:3]
    ]
    lengths = Counter()
    for record in half:
        lengths[record.sharing] += record.rungs[-1].samples / 16
    assert effort_of(half, 0).alone == lengths["single_task"]
    assert effort_of(half, 0).of_kind == max(
        length for kind, length in lengths.items() if kind != "single_task"
    )


def test_twins_are_missing_until_single_task_models_have_as_much_as_any_kind_of_sharing():
    assert Effort(alone=1.0, twins=0, kind="ple", of_kind=3.2).missing == 3
    assert Effort(alone=1.1, twins=0, kind="ple", of_kind=3.1).missing == 2
    assert Effort(alone=4.1, twins=3, kind="ple", of_kind=3.2).missing == 0
    assert Effort(alone=5.0, twins=0, kind="ple", of_kind=3.2).missing == 1, (
        "the best settings are always tried"
    )
    assert Effort(alone=5.0, twins=0, kind="", of_kind=0.0).missing == 0, "nothing shares"


def test_single_task_models_are_tried_with_the_settings_of_the_best_that_share(study):
    records = study.records()
    points = searched_points(records, OBJECTIVES)
    alone = [str(settings(point.config)) for point in points if point.sharing == "single_task"]
    twins = missing_twins(records, [], OBJECTIVES, REFERENCE, 99)
    assert len(twins) == effort_of(records, 0).missing > 1
    sharing = largest_first(
        [point for point in points if point.sharing != "single_task"], OBJECTIVES, REFERENCE
    )
    untried = [point for point in sharing if str(settings(point.config)) not in alone]
    assert settings(twins[0].config) == settings(untried[0].config)
    shared = [settings(point.config) for point in sharing]
    for twin in twins:
        assert twin.config["sharing.kind"] == "single_task"
        assert not any(key.startswith("balancing") for key in twin.config)
        assert settings(twin.config) in shared
        assert str(settings(twin.config)) not in alone
    assert len({str(twin.config) for twin in twins}) == len(twins)
    assert missing_twins(records, [], OBJECTIVES, REFERENCE, 1) == twins[:1]
    assert missing_twins(records, twins[:1], OBJECTIVES, REFERENCE, 2) == twins[1:2], (
        "as if it went on"
    )
    assert missing_twins(records, twins, OBJECTIVES, REFERENCE, 99) == []


def test_the_best_twin_is_the_reference_and_is_confirmed_in_place_of_a_worse_trial(study):
    jobs: list[Job] = []
    executor = InlineExecutor(lambda job: jobs.append(job) or guessed(job))
    records = study.records()
    twins = tune(study, executor, make_job, REFERENCE, 2, Silent())
    assert [(job.kind, job.splits, job.replicate) for job in jobs] == [("twin", ("valid",), 0)] * 2
    single = best_twins(records, twins, OBJECTIVES)
    assert 1 <= len(single) <= 2
    before = shortlist(records, OBJECTIVES, REFERENCE, 2)
    chosen = shortlist(records, OBJECTIVES, REFERENCE, 2, twins=twins)
    assert {point.sharing for point in before} - {point.sharing for point in chosen} == {
        "single_task"
    }
    assert "single_task" not in {
        point.sharing for point in kinds(records, OBJECTIVES, REFERENCE, [*chosen, *single])
    }
    (ensemble,) = baselines_of(records, OBJECTIVES, REFERENCE, ["ensemble"], SCHEMA, twins)
    (without,) = baselines_of(records, OBJECTIVES, REFERENCE, ["ensemble"], SCHEMA)
    assert ensemble.config != without.config

    confirm(study, executor, make_job, chosen, 2, ignore, baselines=single)
    points = points_of_run(study.records(), study.baselines(), OBJECTIVES)
    (composite,) = [point for point in points if point.kind == "single_task"]
    assert source_ids(composite) == sorted(twin.id for twin in single)
    stored = [point for point in points if point.kind == "twin"]
    assert {point.id for point in stored} == {twin.id for twin in single}
    assert all(
        point.metrics and len(point.replicates) == 2 and point.role == "baseline"
        for point in stored
    )
    assert stored[0].name == f"single-task, settings of trial {stored[0].label}"

    done = len(jobs)
    # kept, and not trained again
    assert tune(study, executor, make_job, REFERENCE, 2, Silent()) == twins
    assert len(jobs) == done
    assert {point.training for point in with_earlier([], study)} == {
        point.training for point in single
    }
    assert with_earlier(single, study) == single


def test_the_twin_of_a_pick_is_asked_for_until_it_is_confirmed(study):
    executor = InlineExecutor(guessed)
    records = study.records()
    pick = best_point(records, OBJECTIVES, REFERENCE, single=False)
    points = points_of_run(records, study.baselines(), OBJECTIVES)
    twin = twin_of_pick(pick, points, records, OBJECTIVES, REFERENCE)
    assert settings(twin.config) == settings(pick.config)
    blend = Point("blend", {"blend.network": pick.id, "blend.trees": "trees"}, "blend")
    assert twin_of_pick(blend, [*points, blend], records, OBJECTIVES, REFERENCE) == twin
    for point in (
        Point("trees", {}, "trees"),
        best_point(records, OBJECTIVES, REFERENCE, single=True),
    ):
        assert twin_of_pick(point, points, records, OBJECTIVES, REFERENCE) is None
    confirm(study, executor, make_job, [], 2, ignore, baselines=[twin])
    points = points_of_run(study.records(), study.baselines(), OBJECTIVES)
    assert twin_of_pick(pick, points, records, OBJECTIVES, REFERENCE) is None
    assert twin_of_pick(blend, points, records, OBJECTIVES, REFERENCE) is None
    (composite,) = [point for point in points if point.kind == "single_task"] or [None]
    assert composite is None  # no single-task model was tried on validation and confirmed
