"""optuna-dashboard reads what a search left, wherever it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from search_toys import ignore, make_job, toy_plan, train

from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.storage_address import Address, without_password
from bench.search.study import FILE, Study


def get(app: Any, path: str) -> Any:
    """What a WSGI application answers to a request."""
    status: list[str] = []
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": "after=0"}
    setup_testing_defaults(environ)
    body = b"".join(app(environ, lambda line, headers, info=None: status.append(line)))
    assert status[0].startswith("200"), body
    return json.loads(body)


@pytest.mark.parametrize("kept", ["journal", "sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_it_shows_our_trials(tmp_path: Path, kept: str, request: pytest.FixtureRequest) -> None:
    dashboard = pytest.importorskip("optuna_dashboard", reason="no optuna-dashboard: the extra `ui`")
    from optuna_dashboard._storage_url import get_storage  # as its command reads its argument

    name = "search"
    shown = str(tmp_path / FILE)
    if kept != "journal":
        url = f"sqlite:///{tmp_path / 'studies.db'}"
        if kept == "postgresql":
            request.getfixturevalue("password")
            url = request.getfixturevalue("postgres").url
        address = Address(without_password(url), "shown/shop")
        address.write(tmp_path)
        name, shown = f"{address.name}/search", address.url
    plan = toy_plan(trials=6)
    with Study.open(tmp_path, plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
    app = dashboard.wsgi(get_storage(shown, None))
    (found,) = [each for each in get(app, "/api/studies")["study_summaries"] if each["study_name"] == name]
    trials = get(app, f"/api/studies/{found['study_id']}")["trials"]
    records = Study.read(tmp_path).records()
    assert len(trials) == len(records) == 6
    for trial, record in zip(trials, records, strict=True):
        assert (trial["number"], trial["state"]) == (record.number, "Complete")
        assert trial["values"] == [record.metrics["valid/click.auc"], record.metrics["valid/like.auc"]]
        assert {each["name"]: each["param_external_value"] for each in trial["params"]} == {
            key: str(value) for key, value in record.params.items()
        }
