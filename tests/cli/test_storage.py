"""`--storage`, end to end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))

from postgres import PASSWORD, Server

from bench.run.folder import Run
from bench.search.study import Study

SECRETS = (PASSWORD, "s3cret%2Fand%40odd", "s3cret")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGPASSWORD", "")  # put back afterwards
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studies.db'}"
    server: Server = request.getfixturevalue("postgres")
    return server.url_with_password


def essence(home: Path, name: str) -> list[tuple[Any, ...]]:
    (part,) = Run.open(home, name).datasets.values()
    return [(record.number, record.state, record.params) for record in Study.read(part.folder).records()]


@pytest.mark.slow
def test_a_run_over_a_database(seesaw, shop, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["run", shop.suite, "--raw", shop.raw, "--executor", "inline", "--trials", 4]
    monkeypatch.setattr(sys, "argv", ["seesaw", *map(str, command), "--storage", url])  # what is kept as the command
    said = seesaw(*command, "--name", "in-database", "--storage", url)
    assert said.code == 0, said.err
    assert seesaw(*command, "--name", "in-journal").code == 0
    home = next(shop.folder.parent.rglob("runs")).parent
    assert essence(home, "in-database") == essence(home, "in-journal")
    for command in ("status", "frontier", "report", "pick"):
        again = seesaw(command, "in-database", "--json")
        assert again.code == 0, again.err
    assert json.loads(seesaw("status", "in-database", "--json").out)["completed"] == 4
    monkeypatch.delenv("PGPASSWORD")
    resumed = seesaw("resume", "in-database", "--storage", url, "--json")
    assert resumed.code == 0, resumed.err
    folder = home / "runs" / "in-database"
    assert not list(folder.rglob("study.log"))
    for text in (
        said.out,
        said.err,
        resumed.out,
        *(f.read_text(errors="replace") for f in folder.rglob("*.*") if f.is_file()),
    ):
        assert not any(secret in text for secret in SECRETS)


@pytest.mark.slow
def test_another_database_is_not_resumed(seesaw, shop, tmp_path: Path) -> None:
    command = ["run", shop.suite, "--raw", shop.raw, "--executor", "inline", "--trials", 2, "--name", "journal"]
    assert seesaw(*command).code == 0
    said = seesaw("resume", "journal", "--storage", f"sqlite:///{tmp_path / 'x.db'}")
    assert (said.code, "expected none: the run keeps journals, found sqlite" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:s3cret@127.0.0.1:1/x", "expected a database that can be used"),
        ("mysql://me:s3cret@h/x", "found mysql://"),
    ],
)
def test_a_database_that_cannot_be_had_is_one_sentence(seesaw, shop, url: str, message: str, monkeypatch) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="no psycopg: the extra `postgresql`")
    monkeypatch.setenv("PGPASSWORD", "")
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--storage", url, "--name", "none")
    assert said.code == 2
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert "s3cret" not in said.err
    assert not list(shop.folder.parent.rglob("runs/none"))
