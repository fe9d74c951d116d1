from __future__ import annotations

from dataclasses import replace

import pytest

from bench.frontier.frontier import frontier
from bench.objectives import Objective
from bench.records import Failure, Replicate, RungResult, TrialRecord
from bench.report.effort import course, influences, spent

CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.auc", "maximize")


def trial(number: int, kind: str, click: float, like: float, samples: float | None = 100.0) -> TrialRecord:
    metrics = {"valid/click.auc": click, "valid/like.auc": like}
    speed = {} if samples is None else {"samples_trained": samples}
    config = {"sharing.kind": kind}
    return TrialRecord(number, "completed", config, config, kind, metrics, speed=speed)


def by_rungs(number: int, kind: str, *results: tuple[int, int, float]) -> TrialRecord:
    """`results`: samples, order of the job, value of both objectives."""
    rungs = tuple(
        RungResult(samples, order, {"valid/click.auc": value, "valid/like.auc": value})
        for samples, order, value in results
    )
    state = "completed" if results[-1][0] == 400 else "pruned"
    return replace(
        trial(number, kind, 0, 0, float(results[-1][0])), state=state, metrics=rungs[-1].metrics, rungs=rungs
    )


def test_hypervolume_grows_over_the_samples_of_all_trials_so_far() -> None:
    failed = TrialRecord(2, "failed", {}, {}, "mmoe", failure=Failure("bug", "no"))
    records = [trial(0, "mmoe", 0.6, 0.6), trial(1, "ple", 0.7, 0.6, 50.0), failed, trial(3, "ple", 0.7, 0.7)]
    found, by_samples = course(frontier(records, (CLICK, LIKE)), records)
    assert by_samples
    assert [(samples, number) for samples, number, _ in found] == [(100, 0), (150, 1), (150, 2), (250, 3)]
    assert [volume for _, _, volume in found] == pytest.approx([0.01, 0.02, 0.02, 0.04])


def test_it_counts_trials_where_their_samples_are_not_known() -> None:
    records = [trial(0, "mmoe", 0.6, 0.6), trial(1, "ple", 0.7, 0.6, None)]
    found, by_samples = course(frontier(records, (CLICK, LIKE)), records)
    assert not by_samples
    assert [finished for finished, _, _ in found] == [1, 2]


def test_what_a_kind_spent_is_told_by_stage_and_replicates() -> None:
    runs = (Replicate(1, 1, {"confirm/click.auc": 0.7}), Replicate(2, 2, {}, Failure("bug", "no")))
    short = (Replicate(1, 3, {"confirm/click.auc": 0.7}, until=100),)
    records = [
        replace(by_rungs(0, "mmoe", (100, 0, 0.6), (400, 3, 0.7)), replicates=runs),
        replace(by_rungs(1, "mmoe", (100, 1, 0.6)), replicates=short),
        by_rungs(2, "ple", (100, 2, 0.5)),
    ]
    assert [(each.kind, dict(each.samples)) for each in spent(records)] == [
        ("mmoe", {"to 100": 200, "full length": 300, "replicates": 500}),
        ("ple", {"to 100": 100}),
    ]
    plain = [trial(0, "mmoe", 0.6, 0.6), trial(1, "ple", 0.6, 0.6, None)]
    assert [(each.kind, each.samples) for each in spent(plain)] == [("mmoe", (("full length", 100),))]
    assert spent([]) == ()


def test_influence_is_judged_where_all_trials_were_seen() -> None:
    """At the first rung the kind decides; the second, which some reached, says the opposite."""
    records = [
        by_rungs(i, "ple", (100, i, 0.7 + 0.001 * i), (400, 60 + i, 0.51))
        if i % 2
        else by_rungs(i, "mmoe", (100, i, 0.6 + 0.001 * i))
        for i in range(40)
    ]
    (kind,) = influences(records, frontier(records, (CLICK, LIKE)))
    assert (kind.name, kind.trials) == ("sharing.kind", 40)
    assert kind.low < kind.share < kind.high
    assert kind.share > 0.7
    assert influences([], frontier([], (CLICK, LIKE))) == ()
