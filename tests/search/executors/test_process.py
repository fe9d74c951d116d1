import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from search_toys import job_of, report_threads, say_pid_and_sleep, wait_until

from bench.search.executors import ProcessExecutor
from bench.system.machine import WAITING, WORKER

CONFIG = {"sharing.kind": "single_task", "optim.lr": 1e-3, "tower.layers": "", "balancing.static.weight.like": 1.0}


def job(trial, store="-", **config):
    return job_of(trial, 0, {**CONFIG, **config}, ("valid",), str(store))


def test_workers_are_kept_and_limited_to_the_jobs_threads():
    before = os.environ.get("OMP_NUM_THREADS")
    with closing(ProcessExecutor(report_threads, 2)) as pool:
        for trial in range(6):
            pool.submit(replace(job(trial), threads=3))
        metrics = [pool.next().result.metrics for _ in range(6)]
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        assert {one[name] for one in metrics} == {3.0}
    for name, value in WAITING.items():
        assert {one[name] for one in metrics} == {float(value)}
    pids = {one["pid"] for one in metrics}
    assert len(pids) <= 2
    assert sorted(number for _, number in {(one["pid"], one[WORKER]) for one in metrics}) == [0, 1][: len(pids)]
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
    """Ctrl-C as on a terminal: a shell starts background jobs, in which tests may run, with the signal ignored."""
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
    command = [sys.executable, "-c", "import search_toys; search_toys.drive_sleepers()", str(tmp_path)]
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
