"""The sentence about a search that is over, and the command that a run ends with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.core.records import Failure, Point, Replicate, TrialRecord
from bench.core.schema import Schema, Task
from bench.run import page as steps
from bench.run.limits import ended, failed, unfinished
from bench.run.request import Request
from bench.run.suite import Budget
from bench.search.space import fitting, load_space
from bench.system.lock import FolderLock

LADDER = (100, 400, 1600)


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        ("limit of 3,200 training samples: 3,150 used by 9 trials", {"samples": 3150, "trials": 9, "lengths": 2}),
        ("limit of 3,100 training samples", {"samples": 3100, "trials": 9, "budget": 3100}),
        ("limit of 9 trials", {"samples": 0, "trials": 9, "ladder": (), "most": 9}),
        ("limit of 9 trials", {"samples": 1000, "trials": 9, "most": 9, "lengths": 2}),
        ("too small for another job", {"samples": 3000, "trials": 9, "lengths": 2}),
        (
            "time limit of 1 min 00 s ended the search at 900 of 3,200 training samples; `seesaw resume a --time`",
            {"samples": 900, "trials": 4, "lengths": 2, "time": 60, "cut_short": True},
        ),
    ],
)
def test_what_ended_a_search_is_said(said: str, facts: dict[str, Any]) -> None:
    renamed = {"most": "trials", "budget": "samples"}
    budget = {renamed[key]: facts[key] for key in renamed if key in facts}
    budget |= {key: facts[key] for key in ("lengths", "time") if key in facts}
    ladder = facts.get("ladder", LADDER)
    own = {"cut_short": facts.get("cut_short", False), "ladder": ladder}
    assert said in over(facts["samples"], facts["trials"], own, budget)


def over(samples: int, trials: int, own: dict[str, Any], budget: dict[str, Any]) -> str:
    run = SimpleNamespace(run=SimpleNamespace(name="a", suite=SimpleNamespace(budget=Budget(**budget))))
    ledger = SimpleNamespace(trials=trials, samples=lambda ladder: samples)
    return ended(run, SimpleNamespace(ledger=ledger, **own))  # type: ignore[arg-type]


def result(
    role: str | None = "trial",
    home: Path | None = None,
    kind: str = "model",
    row: int | None = 3,
    ahead: tuple[str, ...] = (),
    dataset: tuple[str, ...] = ("card.toml",),
    space: str = "quick",
) -> Any:
    fitted = fitting(load_space(space), Schema((), ("age",), (Task("click"), Task("buy"))))
    home = home or Path.cwd() / ".seesaw"
    request = Request(suite="quick", dataset=dataset)
    run = SimpleNamespace(name="a", home=home, folder=home / "runs" / "a", request=request, space=fitted.space)
    pick = None if role is None else SimpleNamespace(role=role, row=3)
    verdict = SimpleNamespace(kind=kind, row=row, ahead=ahead)
    return SimpleNamespace(run=SimpleNamespace(run=run, fitted=lambda: fitted), verdict=verdict, pick=pick)


def test_the_next_command_deploys_what_the_verdict_advises_or_shows_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    monkeypatch.setattr(steps, "picked_network", lambda result: object())
    assert steps.next_step([result()]).startswith("seesaw deploy a  #")
    for other in (
        [result(role="current")],
        [result(role=None)],
        [result(), result()],
        [result(kind="unknown")],
        [result(kind="weights", row=5)],
        [result(kind="keep", row=None)],
    ):
        assert steps.next_step(other).startswith("seesaw frontier a --full  #")
    assert steps.next_step([result(home=tmp_path)]).startswith(f"seesaw deploy {tmp_path}/runs/a  #")
    monkeypatch.chdir(tmp_path)
    assert steps.run_argument(result(home=tmp_path / "my home").run.run) == "'my home/runs/a'"


def test_after_a_suites_own_data_the_next_command_is_for_the_users_log() -> None:
    for ahead in ((), ("boosted trees",)):
        told = steps.next_step([result(ahead=ahead, dataset=())])
        assert told.startswith("seesaw card log.csv --label click  # now your own log")


def test_that_replicates_failed_is_said() -> None:
    """Boosted trees may be ahead of every network: a verdict without them must say so."""
    run: Any = SimpleNamespace(run=SimpleNamespace(name="a"))
    good, bad = Replicate(1, 7, {}), Replicate(2, 8, {}, Failure("infrastructure", "out of memory"))
    trial = TrialRecord(3, "completed", {}, {}, "ple", replicates=(good, bad))
    trees = Point("trees", {}, "trees", replicates=(bad, bad))
    assert failed(run, [trial], [trees]) == (
        "Replicates failed and are missing here: 1 of trial 3 and 2 of boosted trees; `seesaw status a` says why."
    )
    assert failed(run, [replace(trial, replicates=(good,))], []) == ""


def test_that_a_run_has_not_ended_is_said(tmp_path: Path) -> None:
    run: Any = SimpleNamespace(folder=tmp_path, run=SimpleNamespace(folder=tmp_path, name="a"))
    study: Any = SimpleNamespace(confirmed=False)
    assert unfinished(run, study).endswith("missing here; `seesaw resume a` goes on.")
    with FolderLock(tmp_path):
        assert unfinished(run, study).endswith("missing here; a driver works on it.")
    study.confirmed = True
    assert unfinished(run, study) == ""
