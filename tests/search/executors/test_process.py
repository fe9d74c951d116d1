"""Executors of this machine: workers as processes, and jobs in this process with their failures."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from search_toys import job_of, report_threads, say_pid_and_sleep, train, wait_until

from bench.core.errors import UserError
from bench.core.system.atomic import Unwritable
from bench.core.system.machine import WAITING, WORKER
from bench.search.executors import ProcessExecutor
from bench.search.executors.base import InlineExecutor, Options, attempt

CONFIG = {
    "sharing.kind": "single_task",
    "optim.lr": 1e-3,
    "tower.layers": "",
    "balancing.static.weight.like": 1.0,
}


def job(trial, store="-", **config):
    return job_of(trial, 0, {**CONFIG, **config}, ("valid",), str(store))


def test_workers_are_kept_and_limited_to_the_jobs_threads():
    before = os.environ.get("OMP_NUM_THREADS")
    with closing(ProcessExecutor(report_threads, 2)) as pool:
        for trial in range(6):
            pool.submit(replace(job(trial), threads=3))
        metrics = [pool.next().result.metrics for _ in range(6)]
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        assert {values[name] for values in metrics} == {3.0}
    for name, value in WAITING.items():
        assert {values[name] for values in metrics} == {float(value)}
    pids = {values["pid"] for values in metrics}
    assert len(pids) <= 2
    assert (
        sorted(number for _, number in {(values["pid"], values[WORKER]) for values in metrics})
        == [0, 1][: len(pids)]
    )
    assert os.getpid() not in pids
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_closing_ends_workers_in_the_middle_of_their_jobs(tmp_path):
    pool = ProcessExecutor(say_pid_and_sleep, 2)
    for trial in range(3):
        pool.submit(job(trial, tmp_path))
    pids = wait_for_pids(tmp_path, 2)
    pool.close()
    pool.close()
    assert not any(running(pid) for pid in pids)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as on a terminal: a shell starts background jobs, in which tests may run, with the
    signal ignored.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_workers_ignore_ctrl_c_and_the_driver_gets_it(tmp_path, ctrl_c):
    with closing(ProcessExecutor(say_pid_and_sleep, 1)) as pool:
        pool.submit(job(0, tmp_path))
        (pid,) = wait_for_pids(tmp_path, 1)
        os.kill(pid, signal.SIGINT)
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            pool.next()
        assert running(pid)


def test_no_worker_outlives_a_killed_driver(tmp_path):
    """Though both are in the middle of a job of ten minutes."""
    here = Path(__file__).parents[1]
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    command = [
        sys.executable,
        "-c",
        "import search_toys; search_toys.drive_sleepers()",
        str(tmp_path),
    ]
    driver = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
    try:
        pids = wait_for_pids(tmp_path, 2)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert wait_until(lambda: not any(running(pid) for pid in pids))


def running(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"


def wait_for_pids(folder, count):
    def written():
        return [path for path in folder.glob("pid-*") if path.read_text()]

    assert wait_until(lambda: len(written()) >= count)
    return [int(path.read_text()) for path in written()]


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


def test_a_store_that_was_removed_fails_no_trial(tmp_path):
    store = tmp_path / "store"
    store.mkdir()

    def needs_it(job):
        if not store.is_dir():
            raise UserError("no store")
        return train(job)

    executor = InlineExecutor(needs_it, options=Options(store=str(store)))
    for trial in range(2):
        executor.submit(job_of(trial, 0, CONFIG, ("valid",)))
    assert executor.next().failure is None
    store.rmdir()
    with pytest.raises(
        UserError, match=r"expected the prepared data at .*, found none: they were removed"
    ):
        executor.next()


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (UserError("expected this,\nfound that"), "configuration", "expected this, found that"),
        (FloatingPointError("nan at step 3"), "diverged", "nan at step 3"),
        (MemoryError(), "infrastructure", "out of memory"),
        (
            Unwritable("a/b", 28),
            "infrastructure",
            "a/b: cannot be written: No space left on device",
        ),
        (
            OutOfMemoryError("CUDA out of memory"),
            "infrastructure",
            "out of memory: CUDA out of memory",
        ),
        (RuntimeError("shapes"), "bug", r"RuntimeError: shapes \(test_process\.py:\d+ in run\)"),
        (
            ValueError("out of memory"),
            "bug",
            r"ValueError: out of memory \(test_process\.py:\d+ in run\)",
        ),
        (ValueError("no"), "bug", r"ValueError: no \(test_process\.py:\d+ in run\)"),
        (AssertionError(), "bug", r"AssertionError \(test_process\.py:\d+ in run\)"),
    ],
)
def test_an_exception_becomes_a_failure_of_its_kind(error, kind, reason):
    def run(job):
        raise error

    outcome = attempt(run, job_of(0, 0, CONFIG, ("valid",)))
    assert outcome.result is None
    assert outcome.failure.kind == kind
    assert re.fullmatch(reason, outcome.failure.reason)
    assert outcome.started > 0


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_nobodys_failure(interrupt):
    def run(job):
        raise interrupt

    with pytest.raises(interrupt):
        attempt(run, job_of(0, 0, CONFIG, ("valid",)))


def _without_room(job):
    raise Unwritable("a/b", 28)


@pytest.mark.parametrize("executor", [InlineExecutor, ProcessExecutor])
def test_a_full_disk_ends_the_search_and_is_no_failure_of_the_job(executor):
    with closing(executor(_without_room, 1, Options(retries=1))) as pool:
        pool.submit(job(0))
        sentence = r"trial 0: tried 2 times; at last a/b: cannot be written: No space left on device; make room, then "
        with pytest.raises(UserError, match=sentence + "`seesaw run RUN` goes on"):
            pool.next()
