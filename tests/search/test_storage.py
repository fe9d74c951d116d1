"""A search kept in a database: SQLite always, a real PostgreSQL server where one is installed."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy
from postgres import Server
from rung_toys import FULL, essence, rung_plan, train
from search_toys import ignore, make_job, toy_plan
from search_toys import train as train_whole
from statement_toys import whole

from bench.errors import UserError
from bench.records import Job, TrialResult
from bench.search import storage_connection, storage_database
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.executors.base import Run
from bench.search.plan import Plan
from bench.search.storage_address import Address, without_password
from bench.search.study import Study

NAMES = itertools.count()
SCRIPT = Path(__file__).with_name("statement_toys.py")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    if request.param == "sqlite":
        return Address(f"sqlite:///{tmp_path / 'studies.db'}", "run/shop")
    request.getfixturevalue("password")
    url = without_password(request.getfixturevalue("postgres").url)
    return Address(url, f"run-{next(NAMES)}/shop")


def placed(folder: Path, address: Address) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    address.write(folder)
    return folder


@pytest.mark.parametrize(
    ("plan", "run"),
    [
        pytest.param(rung_plan(budget=6 * FULL), train, marks=pytest.mark.slow),
        (toy_plan(trials=24, sampler="tpe"), train_whole),
        (toy_plan(trials=30, sampler="nsga2"), train_whole),
    ],
    ids=["rungs", "tpe", "nsga2"],
)
def test_one_seed_is_one_search_wherever_it_is_kept(tmp_path: Path, address: Address, plan: Plan, run: Run) -> None:
    journal = essence(whole(tmp_path / "journal", plan, run))
    folder = placed(tmp_path / "database", address)
    kept = whole(folder, plan, run)
    assert essence(kept) == journal
    assert not (folder / "study.log").exists()
    reader = Study.read(folder)
    assert reader.records() == kept
    assert essence(whole(folder, plan, run)) == journal  # nothing is left to do
    if plan.budget:  # what came to its end goes on
        more = replace(plan, budget=plan.budget + 3 * FULL)
        longer = whole(folder, more, run)
        assert essence(longer) == essence(whole(tmp_path / "journal", more, run)) != journal
        assert Study.read(folder).records() == longer


@pytest.mark.slow
def test_a_search_stopped_anywhere_goes_on_as_if_nothing_had_happened(tmp_path: Path, address: Address) -> None:
    """NSGA-II, too, which notes numbers of trials beside its study."""
    for plan, run in ((rung_plan(budget=4 * FULL), train), (toy_plan(trials=30, sampler="nsga2"), train_whole)):
        journal = essence(whole(tmp_path / f"journal-{plan.sampler}", plan, run))
        folder = placed(tmp_path / plan.sampler, Address(address.url, f"{address.name}-{plan.sampler}"))
        for at in (3, 7, 12):
            calls = itertools.count()

            def stops(job: Job, run: Run = run, at: int = at, calls: Iterator[int] = calls) -> TrialResult:
                if next(calls) == at:
                    raise KeyboardInterrupt
                return run(job)

            with pytest.raises(KeyboardInterrupt):
                whole(folder, plan, stops)
        assert essence(whole(folder, plan, run)) == journal


@pytest.mark.slow
def test_what_others_see_at_any_statement_is_a_step_whole_or_not_at_all(tmp_path: Path, monkeypatch) -> None:
    """Every state that a crash could leave, each resumed: the file is copied wherever a statement starts."""
    plan = rung_plan(budget=2 * FULL)
    journal = essence(whole(tmp_path / "journal", plan))
    file, states = tmp_path / "studies.db", {}

    def seen(*arguments: object) -> None:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as other:
                rows = other.execute("SELECT * FROM study_user_attributes WHERE key = 'transactions'").fetchall()
        except sqlite3.OperationalError:
            return  # no file, or no tables yet
        if (key := str(rows)) not in states:
            states[key] = tmp_path / f"state-{len(states)}.db"
            shutil.copy(file, states[key])  # the first statement of a step changes nothing yet

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", seen)
    try:
        whole(placed(tmp_path / "whole", Address(f"sqlite:///{file}", "run/shop")), plan)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", seen)
    assert len(states) > 30
    for copy in states.values():
        folder = placed(tmp_path / copy.stem, Address(f"sqlite:///{copy}", "run/shop"))
        assert essence(whole(folder, plan)) == journal


@pytest.mark.slow
def test_a_killed_driver_is_gone_on_from(tmp_path: Path, address: Address) -> None:
    """SIGKILL again and again, in the middle of transactions, each time some statements further."""
    plan = rung_plan(budget=2 * FULL)
    journal = essence(whole(tmp_path / "journal", plan))
    folder = placed(tmp_path / "killed", address)
    command = [sys.executable, str(SCRIPT), str(folder), str(plan.budget), "60", "23"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=240)
    assert int(done.stdout) >= 5
    assert essence(Study.read(folder).records()) == journal
    assert essence(whole(folder, plan)) == journal  # nothing is left to do


@pytest.mark.slow
def test_a_second_driver_is_refused_even_from_another_folder(tmp_path: Path, postgres: Server, password: None) -> None:
    address, plan = Address(without_password(postgres.url), "shared/shop"), rung_plan()
    with Study.open(placed(tmp_path / "one", address), plan):
        assert Study.read(tmp_path / "one").records() == []
        with pytest.raises(UserError, match="expected no other driver, found one at work on 'shared/shop'"):
            Study.open(placed(tmp_path / "two", address), plan)
        Study.open(placed(tmp_path / "three", Address(address.url, "other/shop")), plan).close()
    Study.open(tmp_path / "two", plan).close()


def test_a_driver_that_got_past_the_locks_is_found_out(tmp_path: Path) -> None:
    address, plan = Address(f"sqlite:///{tmp_path / 'studies.db'}", "run/shop"), rung_plan()
    with Study.open(placed(tmp_path / "one", address), plan) as one:
        with Study.open(placed(tmp_path / "two", address), plan) as two:
            two.ask(plan, None)
        with pytest.raises(UserError, match="expected nobody else to write to 'run/shop', found 1 transactions"):
            one.ask(plan, None)
    assert len(Study.read(tmp_path / "two").configs()) == 1


@pytest.mark.slow
class TestAway:
    """The database goes away in the middle of a search."""

    def search(self, folder: Path, plan: Plan, at: int, then: Callable[[], None], notes: list[str]) -> None:
        calls = itertools.count()

        def run(job: Job) -> TrialResult:
            if next(calls) == at:
                then()
            return train(job)

        with Study.open(folder, plan, notes.append) as study:
            search(plan, study, InlineExecutor(run), make_job, ignore)

    @pytest.fixture
    def plan(self) -> Plan:
        return rung_plan(budget=3 * FULL)

    @pytest.fixture
    def folder(self, tmp_path: Path, postgres: Server, password: None) -> Iterator[Path]:
        yield placed(tmp_path / "database", Address(without_password(postgres.url), f"away-{next(NAMES)}/shop"))
        with contextlib.suppress(RuntimeError):  # it runs
            postgres.start()

    def test_for_a_moment_it_is_waited_for(self, tmp_path, plan, folder, postgres, monkeypatch) -> None:
        monkeypatch.setattr(storage_database.time, "sleep", lambda seconds: postgres.start())
        notes: list[str] = []
        self.search(folder, plan, 5, postgres.stop, notes)
        self.search(tmp_path / "journal", plan, 5, lambda: None, [])
        assert essence(Study.read(folder).records()) == essence(Study.read(tmp_path / "journal").records())
        (note,) = notes
        assert "trying again for 300 s" in note

    def test_for_too_long_the_search_stops_in_a_sentence_and_is_resumed(
        self, tmp_path, plan, folder, postgres, monkeypatch
    ) -> None:
        monkeypatch.setattr(storage_database, "PATIENCE", 0.3)
        with pytest.raises(UserError, match=r"expected an answer within 0 s, found none .* `seesaw resume` goes on"):
            self.search(folder, plan, 5, postgres.stop, [])
        with pytest.raises(UserError, match=r"expected a database that can be used, found: .*refused"):
            Study.open(folder, plan)
        postgres.start()
        self.search(folder, plan, -1, lambda: None, [])
        self.search(tmp_path / "journal", plan, -1, lambda: None, [])
        assert essence(Study.read(folder).records()) == essence(Study.read(tmp_path / "journal").records())

    def test_a_commit_whose_answer_is_lost_is_not_made_twice(self, tmp_path, plan, folder, monkeypatch) -> None:
        transaction = storage_connection.Connection.transaction
        lost = []

        def loses(connection):
            @storage_connection.contextmanager
            def within():
                with transaction(connection) as storage:
                    yield storage
                if len(lost) == 20:  # it is kept by now
                    lost.append(0)
                    raise sqlalchemy.exc.OperationalError("COMMIT", {}, OSError("the connection was reset"))
                lost.append(0)

            return within()

        monkeypatch.setattr(storage_connection.Connection, "transaction", loses)
        self.search(folder, plan, -1, lambda: None, [])
        self.search(tmp_path / "journal", plan, -1, lambda: None, [])
        assert essence(Study.read(folder).records()) == essence(Study.read(tmp_path / "journal").records())


class TestAddress:
    def test_a_password_is_taken_out_and_handed_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGPASSWORD", "before")
        assert without_password("postgresql://me:p%40ss/w@db:5433/x?sslmode=require") == (
            "postgresql+psycopg://me@db:5433/x?sslmode=require"
        )
        assert os.environ["PGPASSWORD"] == "p@ss/w"
        assert without_password("postgresql://me:p@ss@w@db/x") == "postgresql+psycopg://me@db/x"
        assert os.environ["PGPASSWORD"] == "p@ss@w"
        assert without_password("postgresql://me@db/x?password=other") == "postgresql+psycopg://me@db/x"
        assert os.environ["PGPASSWORD"] == "other"

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("mysql://me:secret@db/x", "found mysql://"),
            ("secret", "found something else"),
            ("sqlite://", "found sqlite without a path"),
            ("postgresql://db/x?sslpassword=secret", "expected no sslpassword"),
            ("postgresql://me:a?secret@db/x", "expected '\\?' and '#' in a password"),
            ("postgresql://me:secret", "found something else"),
            ("postgresql://[::1/x", "found something else"),
            ("http://[::1/x", "found something else"),
        ],
    )
    def test_another_address_is_refused_without_its_secrets(self, url: str, message: str) -> None:
        with pytest.raises(UserError, match=message) as caught:
            without_password(url)
        assert "secret" not in str(caught.value)

    @pytest.mark.slow
    def test_a_wrong_password_is_a_sentence_without_it(self, tmp_path: Path, postgres: Server, monkeypatch) -> None:
        monkeypatch.setenv("PGPASSWORD", "wrong-secret")
        with pytest.raises(UserError, match="password authentication failed") as caught:
            Study.open(placed(tmp_path, Address(without_password(postgres.url), "run/shop")), rung_plan())
        assert "wrong-secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
