"""The front of a search while it runs."""

from __future__ import annotations

from dataclasses import replace

from bench.core.records import RungResult
from bench.results.history import FIRST, SHOWN, SoFar


def test_a_front_is_due_at_each_doubling(objectives):
    so_far = SoFar(objectives)
    due = [results for results in range(1, 60) if so_far.is_due(results)]
    assert due == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    resumed = SoFar(objectives)
    assert resumed.is_due(50)
    assert not resumed.is_due(51)


def test_the_front_is_shown_along_the_first_objective_and_what_is_dominated_is_not(trial, failed, objectives):
    records = [trial(0, 0.72, 0.80), trial(1, 0.70, 0.85, "ple"), trial(2, 0.69, 0.79), failed(3)]
    lines = SoFar(objectives).text(records).splitlines()
    assert lines[0] == "front so far, after 3 trials (2 points, validation (search)):"
    assert [line.split()[:2] for line in lines[1:]] == [["trial", "1"], ["trial", "0"]]
    assert lines[1].endswith("click.auc 0.7000  like.auc 0.8500")
    many = [trial(number, 0.5 + number / 100, 0.9 - number / 100) for number in range(20)]
    shown = SoFar(objectives).text(many).splitlines()
    assert shown[0] == f"front so far, after 20 trials ({SHOWN} of 20 points, validation (search)):"
    assert [line.split()[1] for line in shown[1:]] == ["0", "4", "8", "11", "15", "19"]
    assert SoFar(objectives).text([failed(0)]) == ""


def test_a_trial_with_two_rungs_on_the_front_is_shown_once(trial, objectives):
    rungs = [{"valid/click.auc": 0.70, "valid/like.auc": 0.85}, {"valid/click.auc": 0.72, "valid/like.auc": 0.80}]
    both = tuple(RungResult(1000 * (at + 1), at, metrics) for at, metrics in enumerate(rungs))
    lines = SoFar(objectives).text([replace(trial(0, 0.72, 0.80), rungs=both)]).splitlines()
    assert lines[0] == "front so far, after 1 trials (1 point, validation (search)):"
    assert lines[1].split()[:3] == ["trial", "0", "mmoe"]
    assert "2,000 samples" in lines[1]
