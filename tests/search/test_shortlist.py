"""Which points are confirmed, and which of them get another replicate."""

from dataclasses import replace

import numpy as np

from bench.core.objectives import Objective
from bench.core.records import RungResult
from bench.ledger.errors.evidence import Evidence
from bench.search.confirm.race import SETTLED, kinds, members, next_round


def test_each_kind_has_its_largest_alone_and_single_task_models_are_a_kind(trial, objectives):
    records = [
        trial(0, 0.70, 0.80, "single_task", "static"),
        trial(1, 0.71, 0.80, balancing="static"),
        trial(2, 0.75, 0.80, balancing="static"),
        trial(3, 0.73, 0.80, "ple", "static"),
        trial(4, 0.60, 0.60, balancing="upgrad"),
        trial(5, 0.72, 0.80, "single_task", "upgrad"),
    ]
    reference = {"click.auc": 0.5, "like.auc": 0.5}
    assert [point.number for point in members(records, objectives, reference, 2)] == [5, 0, 2, 3, 4]
    assert [point.number for point in members(records, objectives, reference, 1)] == [5, 2, 4]
    assert members(records, objectives, reference, 0) == []


def test_replicates_decide_nothing_and_a_trial_counts_once(trial, objectives):
    lucky = trial(0, 0.70, 0.80, runs=(((0.9, 0.9), (0.9, 0.9)),))
    curve = [(100, 0.70, 0.84), (200, 0.78, 0.80)]  # neither is better in both
    rungs = tuple(
        RungResult(samples, number, {"valid/click.auc": click, "valid/like.auc": like})
        for number, (samples, click, like) in enumerate(curve)
    )
    by_rungs = replace(trial(1), metrics=rungs[-1].metrics, rungs=rungs)
    chosen = members([lucky, by_rungs], objectives, {}, 2)
    assert [(point.number, len(point.rungs)) for point in chosen] == [(1, 2), (0, 0)]
    assert chosen[1].replicates == ()


def test_each_kind_of_sharing_that_is_not_chosen_has_its_best_among_those_trained_longest(
    trial, objectives
):
    records = [
        trial(0, 0.70, 0.80, "single_task"),
        trial(1, 0.71, 0.80, "mmoe"),
        trial(2, 0.73, 0.80, "ple"),
        trial(3, 0.75, 0.80, "ple"),
        trial(4, 0.76, 0.80, "mmoe"),
    ]
    points = [point for record in records for point in record.points]
    reference = {"click.auc": 0.5, "like.auc": 0.5}
    assert [point.number for point in kinds(records, objectives, reference, [])] == [4, 3, 0]
    assert [point.number for point in kinds(records, objectives, reference, points[1:2])] == [3, 0]
    assert kinds(records, objectives, reference, points) == []
    short = [
        RungResult(
            samples,
            0,
            {"valid/click.auc": 0.8 + samples / 1e5, "valid/like.auc": 0.85 - samples / 1e4},
        )
        for samples in (100, 200)
    ]
    early = replace(
        trial(5, kind="ple"), metrics=short[0].metrics, rungs=tuple(short[:1]), state="pruned"
    )
    late = replace(trial(6, kind="ple"), metrics=short[1].metrics, rungs=tuple(short))
    assert [
        (point.number, len(point.rungs)) for point in kinds([early, late], objectives, {}, [])
    ] == [(6, 2)]


TWO = (Objective("a.auc", "maximize"), Objective("b.auc", "maximize"))


def at(a, b, n=2, noise=0.002):
    values = np.array([[a, b]]) + noise * np.linspace(-1, 1, n)[:, None]
    return Evidence(values, np.zeros((n, 0, 2)))


def test_a_round_has_the_half_whose_means_another_replicate_would_settle_most(monkeypatch, rng):
    """By the formula, from any chances; of those at rest the one with the fewest replicates."""
    for budget in 5 * (1, 2, 3, 9):
        chances, n = rng.random(12), rng.integers(2, 9, 12)
        chances[:4] = 0.01, 0.02, 0.99, 0.97
        monkeypatch.setattr(
            "bench.search.confirm.race.p_nondominated", lambda *arguments, chances=chances: chances
        )
        gains = chances * (1 - chances) * (1 / n - 1 / (n + 1))
        unsure = sorted(
            (i for i in range(12) if SETTLED <= chances[i] <= 1 - SETTLED), key=lambda i: -gains[i]
        )
        rests = [
            min((i for i in range(12) if i not in unsure), key=lambda i: (n[i], -gains[i]))
        ] * (budget > 1)
        expected = unsure[: min((len(unsure) + 1) // 2, budget - len(rests))] + rests
        assert (
            next_round([at(0.7, 0.7, n=int(count)) for count in n], TWO, budget, seed=0) == expected
        )
