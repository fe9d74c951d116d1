"""What Optuna's samplers see of a long search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.search_space import IntersectionSearchSpace
from optuna.storages import InMemoryStorage
from search_toys import (
    OBJECTIVES,
    TASKS,
    essence,
    ignore,
    interrupted_at,
    make_job,
    objectives,
    toy_plan,
    toy_space,
    train,
)

from bench.frontier.dominance import ranks
from bench.search import shown as module
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.promotion import Standing
from bench.search.samplers import NSGA2, TPE, make_sampler, quiet
from bench.search.shown import BEST, OTHERS, PartlyShown, shown
from bench.search.study import Study

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


class Memory(PartlyShown, InMemoryStorage):
    """A storage that can be shown in part."""


def proposed(study: optuna.Study) -> dict[str, object]:
    study.sampler = make_sampler(TPE, 5, 0)
    trial = study.ask()
    toy_space().suggest(trial, TASKS)
    return trial.params


def test_tpe_proposes_what_it_would_were_there_nothing_else() -> None:
    with quiet():
        whole = optuna.create_study(storage=Memory(), directions=["maximize"] * 2)
        for number in range(60):
            whole.sampler = make_sampler("random", 3, number)
            trial = whole.ask()
            whole.tell(trial, objectives(toy_space().suggest(trial, TASKS)))
        part = optuna.create_study(directions=["maximize"] * 2)
        part.add_trials(kept := whole.get_trials()[10:40])
        storage = whole._storage
        assert isinstance(storage, Memory)
        with storage.showing(kept):
            found = proposed(whole)
        assert found == proposed(part) != proposed(whole)
        assert len(whole.get_trials()) == 62


def test_what_is_kept_between_generations_changes_no_proposal() -> None:
    def sequence(keep: bool) -> list[dict[str, object]]:
        study, common = optuna.create_study(directions=["maximize"] * 2), IntersectionSearchSpace()
        for number in range(45):
            study.sampler = make_sampler(NSGA2, 3, number, common if keep else None)
            trial = study.ask()
            study.tell(trial, objectives(toy_space().suggest(trial, TASKS)))
        return [trial.params for trial in study.get_trials()]

    with quiet():
        assert sequence(keep=True) == sequence(keep=False)


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
