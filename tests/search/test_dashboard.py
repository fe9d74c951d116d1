"""The Optuna journal beside the log: what Optuna and optuna-dashboard read of it, while a driver writes and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from rung_toys import rung_plan
from rung_toys import train as train_by_rungs
from search_toys import essence, ignore, make_job, toy_plan, train, train_with_failures

from bench.confirm.race import confirm
from bench.records import Job, TrialResult
from bench.search.dashboard import FILE
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.study import Study


def trials(folder: Path, study: str = "search") -> list[optuna.trial.FrozenTrial]:
    """As Optuna reads them."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / FILE))
    storage = optuna.storages.JournalStorage(backend)
    return storage.get_all_trials(storage.get_study_id_from_name(study))


def get(app: Any, path: str) -> Any:
    """What a WSGI application answers to a request."""
    status: list[str] = []
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": "after=0"}
    setup_testing_defaults(environ)
    body = b"".join(app(environ, lambda line, headers, info=None: status.append(line)))
    assert status[0].startswith("200"), body
    return json.loads(body)


def test_optuna_dashboard_shows_our_trials_as_they_come(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard", reason="no optuna-dashboard: the extra `ui`")
    from optuna_dashboard._storage_url import get_storage  # as its command reads its argument

    plan = toy_plan(trials=6)
    Study.open(tmp_path, plan).close()
    storage = get_storage(str(tmp_path / FILE), None)
    found = storage.get_study_id_from_name("search")
    seen = []

    def look(record: object) -> None:
        seen.append([trial.state.name for trial in storage.get_all_trials(found)])

    with Study.open(tmp_path, plan) as study:
        search(plan, study, InlineExecutor(train), make_job, look)
    assert seen == [["COMPLETE"] * number for number in range(1, 7)]
    answer = get(dashboard.wsgi(storage), f"/api/studies/{found}")
    assert answer["objective_names"] == ["click.auc", "like.auc"]
    shown = answer["trials"]
    records = Study.read(tmp_path).records()
    for trial, record in zip(shown, records, strict=True):
        assert (trial["number"], trial["state"]) == (record.number, "Complete")
        assert trial["values"] == [record.metrics["valid/click.auc"], record.metrics["valid/like.auc"]]
        assert {each["name"]: each["param_external_value"] for each in trial["params"]} == {
            key: str(value) for key, value in record.params.items()
        }


def test_a_search_by_rungs_and_its_replicates(tmp_path: Path) -> None:
    plan = rung_plan()

    def fails(job: Job) -> TrialResult:
        if job.trial == 4:
            raise FloatingPointError("nan")
        return train_by_rungs(job)

    with Study.open(tmp_path, plan) as study:
        search(plan, study, InlineExecutor(fails), make_job, ignore)
        waiting = [record.number for record in study.records() if record.state == "waiting"]
        running = optuna.trial.TrialState.RUNNING
        assert [trial.number for trial in trials(tmp_path) if trial.state == running] == waiting
        study.conclude()
        records = study.records()
        confirm(study, InlineExecutor(train_by_rungs), make_job, [records[0].points[0]], 2, ignore)
    for record, trial in zip(records, trials(tmp_path), strict=True):
        assert trial.params == record.params
        assert trial.values == (list(record.metrics.values()) if record.rungs else None)
        assert trial.state.name == ("FAIL" if record.number == 4 else "COMPLETE")
        rungs = {f"rung {at}": rung.metrics for at, rung in enumerate(record.rungs)}
        assert trial.user_attrs.items() >= rungs.items()
    assert [trial.user_attrs["replicate"] for trial in trials(tmp_path, "confirm")] == [1, 2]
    more = rung_plan(budget=2 * (plan.budget or 0))  # trials that were over go on: it stays readable
    with Study.open(tmp_path, more) as study:
        search(more, study, InlineExecutor(fails), make_job, ignore)
        assert len(trials(tmp_path)) == study.ledger.trials > len(records)


def test_it_is_a_view_that_can_be_remade(tmp_path: Path) -> None:
    plan = toy_plan(trials=12)
    with Study.open(tmp_path, plan) as study:
        search(plan, study, InlineExecutor(train_with_failures), make_job, ignore)
        records = essence(study.records())
    text = (tmp_path / FILE).read_bytes()
    for broken in (None, b"", text[:1000], text[:-1], text + b"{", text.replace(b"mmoe", b"ple", 1)):
        if broken is None:
            (tmp_path / FILE).unlink()
        else:
            (tmp_path / FILE).write_bytes(broken)
        assert essence(Study.read(tmp_path).records()) == records  # whatever became of it
        Study.open(tmp_path, plan).close()
        assert (tmp_path / FILE).read_bytes() == text
