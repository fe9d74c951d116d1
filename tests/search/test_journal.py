from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from bench.errors import UserError
from bench.search.journal import Journal
from bench.search.samplers import quiet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.log"


def begin(path: Path) -> tuple[Journal, optuna.Study]:
    journal = Journal(path, write=True)
    storage = JournalStorage(journal)
    with quiet():
        return journal, optuna.create_study(storage=storage, study_name="s", load_if_exists=True)


def params(path: Path) -> list[dict[str, float]]:
    """As a plain Optuna journal, read by Optuna alone."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return [trial.params for trial in storage.get_all_trials(storage.get_study_id_from_name("s"))]


def test_a_transaction_is_seen_inside_at_once_and_outside_at_its_end(path: Path) -> None:
    journal, study = begin(path)
    with journal.transaction():
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        assert study.trials[0].params == trial.params
        assert params(path) == []
    assert params(path) == [trial.params]


def test_a_failed_transaction_leaves_no_trace(path: Path) -> None:
    journal, study = begin(path)
    before = path.read_bytes()

    def interrupted() -> None:
        with journal.transaction():
            study.ask().suggest_float("x", 0, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert begin(path)[1].trials == []


def test_work_goes_on_after_transactions_and_between_them(path: Path) -> None:
    journal, study = begin(path)
    for number in range(5):
        with journal.transaction():
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
        study.tell(number, 0.5)
    _, again = begin(path)
    assert [(trial.params, trial.state) for trial in again.trials] == [(p, TrialState.COMPLETE) for p in params(path)]
    assert len(again.trials) == 5


def test_cut_anywhere_the_file_holds_whole_transactions_only(path: Path) -> None:
    journal, study = begin(path)
    for _ in range(2):
        with journal.transaction():
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            trial.suggest_float("y", 0, 1)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    seen = set()
    for end in (*range(first, len(whole), 9), len(whole)):
        path.write_bytes(whole[:end])
        Journal(path, write=True)
        left = params(path)
        assert all(set(trial) == {"x", "y"} for trial in left)
        assert whole.startswith(path.read_bytes())
        seen.add(len(left))
    assert seen == {0, 1, 2}


def test_what_is_damaged_in_the_middle_is_refused_and_left_alone(path: Path) -> None:
    begin(path)[1].ask()
    damaged = path.read_bytes().replace(b"{", b"[", 1)
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"study\.log: line 1 is damaged"):
        Journal(path, write=True)
    assert path.read_bytes() == damaged


def test_a_journal_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with quiet():
        optuna.create_study(storage=JournalStorage(JournalFileBackend(str(path))))
    before = path.read_bytes()
    with pytest.raises(UserError, match="without any committed line"):
        Journal(path, write=True)
    assert path.read_bytes() == before


def test_a_reader_cannot_write(path: Path) -> None:
    begin(path)
    with pytest.raises(RuntimeError, match="opened to be read"):
        optuna.create_study(storage=JournalStorage(Journal(path, write=False)), study_name="t")
