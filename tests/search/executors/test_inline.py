from __future__ import annotations

import gc
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from search_toys import job_of, train

from bench.errors import UserError
from bench.full_disk import Unwritable
from bench.records import Job, TrialResult
from bench.search.executors import inline
from bench.search.executors.base import Options, attempt
from bench.search.executors.inline import InlineExecutor

CONFIG = {
    "sharing.kind": "single_task",
    "optim.lr": 1e-3,
    "tower.layers": "",
    "balancing.static.weight.like": 1.0,
}


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


def test_jobs_run_in_the_order_of_their_submission() -> None:
    executor = InlineExecutor(train)
    for trial in range(3):
        executor.submit(job_of(trial, 0, CONFIG, ("valid",)))
    outcomes = [executor.next() for _ in range(3)]
    assert [outcome.job.trial for outcome in outcomes] == [0, 1, 2]
    assert all(outcome.result == train(outcome.job) and outcome.failure is None for outcome in outcomes)


def test_asking_without_a_job_is_a_bug_and_closing_forgets_jobs() -> None:
    executor = InlineExecutor(train)
    executor.submit(job_of(0, 0, CONFIG, ("valid",)))
    executor.close()
    executor.close()
    with pytest.raises(RuntimeError, match="without a submitted job"):
        executor.next()


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (UserError("expected this,\nfound that"), "configuration", "expected this, found that"),
        (FloatingPointError("nan at step 3"), "diverged", "nan at step 3"),
        (FloatingPointError(), "diverged", "a number left its range"),
        (MemoryError(), "infrastructure", "out of memory"),
        (Unwritable("a/b", 28), "infrastructure", "a/b: cannot be written: No space left on device"),
        (OutOfMemoryError("CUDA out of memory"), "infrastructure", "out of memory: CUDA out of memory"),
        (ValueError("no"), "bug", r"ValueError: no \(test_inline\.py:\d+ in run\)"),
        (AssertionError(), "bug", r"AssertionError \(test_inline\.py:\d+ in run\)"),
    ],
)
def test_an_exception_becomes_a_failure_of_its_kind(error: Exception, kind: str, reason: str) -> None:
    def run(job: Job) -> TrialResult:
        raise error

    outcome = attempt(run, job_of(0, 0, CONFIG, ("valid",)))
    assert outcome.result is None
    assert outcome.failure is not None
    assert outcome.failure.kind == kind
    assert re.fullmatch(reason, outcome.failure.reason)
    assert outcome.started > 0


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_nobodys_failure(interrupt: type[BaseException]) -> None:
    def run(job: Job) -> TrialResult:
        raise interrupt

    with pytest.raises(interrupt):
        attempt(run, job_of(0, 0, CONFIG, ("valid",)))


@pytest.mark.slow
def test_an_alarm_that_rings_in_a_callback_rings_again(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: dropped.append(found.exc_type.__name__))
    rung = []

    def run(job: Job) -> TrialResult:
        def callback(phase: str, info: dict[str, int]) -> None:
            if not rung:
                rung.append(phase)
                time.sleep(0.2)  # the alarm comes here, and Python drops what it raises

        gc.callbacks.append(callback)
        try:
            gc.collect()
            time.sleep(5)
        finally:
            gc.callbacks.remove(callback)
        raise AssertionError("the limit was not kept")

    executor = InlineExecutor(run, 1, Options(job_seconds=0.1))
    executor.submit(job_of(0, 0, {}, ("valid",)))
    outcome = executor.next()
    assert rung
    assert set(dropped) == {"_TimeIsUp"}
    assert outcome.failure is not None
    assert "longer than 0.1 s" in outcome.failure.reason


class Borrowed:
    """Holds something that is the whole process's; takes its time to take it and to give it back."""

    def __init__(self, held: list[str], entering: float, leaving: float) -> None:
        self.held, self.entering, self.leaving = held, entering, leaving

    def __enter__(self) -> None:
        self.held.append("it")
        time.sleep(self.entering)

    def __exit__(self, *error: object) -> None:
        time.sleep(self.leaving)
        self.held.clear()


@contextmanager
def borrowed(held: list[str], entering: float, leaving: float) -> Iterator[None]:
    """The same as a generator that looks after no error of its own body."""
    held.append("it")
    time.sleep(entering)
    yield
    time.sleep(leaving)
    held.clear()


@pytest.mark.parametrize("make", [Borrowed, borrowed])
@pytest.mark.parametrize(("entering", "leaving"), [(0.3, 0.0), (0.0, 0.3)])
def test_an_alarm_leaves_nothing_set_that_a_context_manager_sets_back(
    make: Callable[[list[str], float, float], AbstractContextManager[None]], entering: float, leaving: float
) -> None:
    held: list[str] = []

    def run(job: Job) -> TrialResult:
        with make(held, entering, leaving):
            pass
        time.sleep(5)
        raise AssertionError("the limit was not kept")

    executor = InlineExecutor(run, 1, Options(job_seconds=0.1))
    executor.submit(job_of(0, 0, {}, ("valid",)))
    outcome = executor.next()
    assert not held
    assert outcome.failure is not None
    assert "longer than 0.1 s" in outcome.failure.reason
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_one_that_does_not_come_to_an_end_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "PATIENCE", 0.2)

    def run(job: Job) -> TrialResult:
        with Borrowed([], 30.0, 0.0):
            raise AssertionError("the limit was not kept")

    executor = InlineExecutor(run, 1, Options(job_seconds=0.1))
    executor.submit(job_of(0, 0, {}, ("valid",)))
    outcome = executor.next()
    assert outcome.failure is not None
    assert "longer than 0.1 s" in outcome.failure.reason
