"""What Optuna's samplers see of a search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from search_toys import (
    OBJECTIVES,
    ShuffledExecutor,
    essence,
    ignore,
    interrupted_at,
    make_job,
    objectives,
    toy_plan,
    train,
)

from bench.frontier.dominance import ranks
from bench.search import asking as module
from bench.search.asking import BEST, OTHERS, shown
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.samplers import NSGA2, TPE
from bench.search.standing import Standing
from bench.search.study import FILE, Study

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
    assert shown(of, OBJECTIVES, 0) == [each.number for each in of if each.progress != "failed"]


def test_of_a_long_one_the_best_are_seen_some_others_and_all_that_run() -> None:
    of = standings(600)
    seen, again = shown(of, OBJECTIVES, 1), shown(of, OBJECTIVES, 2)
    assert seen == shown(of, OBJECTIVES, 1) == sorted(set(seen))
    running = {each.number for each in of if each.progress == "running"}
    assert len(seen) == BEST + OTHERS + len(running)
    done = np.array([each.number for each in of if each.results])
    rank = ranks(VALUES[done], OBJECTIVES)
    sure = done[rank < np.sort(rank)[BEST]]  # the rank that the bound cuts is seen in part
    assert len(sure) > BEST / 2
    assert {*sure.tolist(), *running} <= {*seen} & {*again}
    assert len({*seen} & {*again}) < len(seen)  # the others are drawn anew


@pytest.mark.parametrize("sampler", [TPE, NSGA2])
def test_a_stopped_search_sees_what_the_undisturbed_one_saw(
    tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEST", 10)
    monkeypatch.setattr(module, "OTHERS", 8)
    plan = toy_plan(trials=32, sampler=sampler)
    with Study.open(tmp_path / "whole", plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
        whole = essence(study.records())
    for at in (25, 29):
        with pytest.raises(KeyboardInterrupt), Study.open(tmp_path / "cut", plan) as study:
            search(plan, study, InlineExecutor(interrupted_at(train, at)), make_job, ignore)
    with Study.open(tmp_path / "cut", plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
        assert essence(study.records()) == whole


def test_what_optuna_keeps_between_generations_is_read_again(tmp_path: Path) -> None:
    """With several slots a generation's parents are chosen before all of the one before are known."""
    plan = toy_plan(trials=44, sampler=NSGA2)
    with Study.open(tmp_path / "whole", plan) as study:
        search(plan, study, ShuffledExecutor(train, 3, 0), make_job, ignore)
        whole = essence(study.records())
    lines = (tmp_path / "whole" / FILE).read_bytes().splitlines(keepends=True)
    parents = [number for number, line in enumerate(lines) if b'"NSGAIISampler:parent:' in line]
    assert len(parents) >= 2  # each with the trial that needed it first
    for end in (parents[1], parents[1] + 1, parents[1] + 9):
        (folder := tmp_path / f"{end}").mkdir()
        (folder / FILE).write_bytes(b"".join(lines[:end]))
        with Study.open(folder, plan) as study:
            search(plan, study, ShuffledExecutor(train, 3, end), make_job, ignore)
            assert essence(study.records()) == whole


def test_what_is_kept_from_one_trial_to_the_next_changes_no_answer() -> None:
    plan, trials, standings = toy_plan(sampler=NSGA2), [], []
    kept = module.Asking(plan)
    for number in range(45):
        found = [asking.ask({}, trials, standings) for asking in (kept, module.Asking(plan))]
        assert found[0] == found[1]
        trials.append(found[0])
        standings.append(Standing(number, "mmoe", (objectives(found[0]["config"]),), "waiting"))
