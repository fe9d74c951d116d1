"""What Optuna's samplers see of a search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from search_toys import (
    OBJECTIVES,
    essence,
    ignore,
    interrupted_at,
    make_job,
    toy_plan,
    train,
)

from bench.frontier.pareto import ranks
from bench.search import asking as module
from bench.search.asking import BEST, OTHERS, shown
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.standing import Standing
from bench.search.study import Study

RULES = toy_plan().rules
VALUES = np.random.default_rng(0).random((600, 2))


def standings(count: int) -> list[Standing]:
    """Every seventh failed, every eleventh under way."""
    return [
        Standing(number, "mmoe", (), "failed" if number % 7 == 0 else "running")
        if number % 7 == 0 or number % 11 == 0
        else Standing(number, "mmoe", (tuple(VALUES[number].tolist()),), "waiting")
        for number in range(count)
    ]


def test_a_short_search_is_seen_whole() -> None:
    of = standings(BEST + OTHERS)
    assert shown(of, RULES, 0) == [each.number for each in of if each.progress != "failed"]


def test_of_a_long_one_the_best_are_seen_some_others_and_all_that_run() -> None:
    of = standings(600)
    seen, again = shown(of, RULES, 1), shown(of, RULES, 2)
    assert seen == shown(of, RULES, 1) == sorted(set(seen))
    running = {each.number for each in of if each.progress == "running"}
    assert len(seen) == BEST + OTHERS + len(running)
    done = np.array([each.number for each in of if each.results])
    rank = ranks(VALUES[done], OBJECTIVES)
    sure = done[rank < np.sort(rank)[BEST]]  # the rank that the bound cuts is seen in part
    assert len(sure) > BEST / 2
    assert {*sure.tolist(), *running} <= {*seen} & {*again}
    assert len({*seen} & {*again}) < len(seen)  # the others are drawn anew


def test_a_stopped_search_sees_what_the_undisturbed_one_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEST", 10)
    monkeypatch.setattr(module, "OTHERS", 8)
    plan = toy_plan(trials=32)
    with Study.open(tmp_path / "whole", plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
        whole = essence(study.records())
    for at in (25, 29):
        with pytest.raises(KeyboardInterrupt), Study.open(tmp_path / "cut", plan) as study:
            search(plan, study, InlineExecutor(interrupted_at(train, at)), make_job, ignore)
    with Study.open(tmp_path / "cut", plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
        assert essence(study.records()) == whole
