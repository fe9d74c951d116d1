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
from search_toys import (
    essence,
    ignore,
    job_of,
    make_job,
    report_threads,
    say_pid_and_sleep,
    toy_plan,
    train_with_failures,
    wait_until,
)

from bench.search.driver import search
from bench.search.executors import InlineExecutor, ProcessExecutor
from bench.search.study import Study
from bench.system.machine import WAITING, WORKER

CONFIG = {"sharing.kind": "single_task", "optim.lr": 1e-3, "tower.layers": "", "balancing.static.weight.like": 1.0}

DRIVER = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from search_toys import job_of, make_job, say_pid_and_sleep
from bench.search.executors import ProcessExecutor
if __name__ == "__main__":
    executor = ProcessExecutor(say_pid_and_sleep, 2)
    for trial in range(2):
        executor.submit(job_of(trial, 0, {}, ("valid",), sys.argv[1]))
    executor.next()
"""


def job(trial, store="-", **config):
    return job_of(trial, 0, {**CONFIG, **config}, ("valid",), str(store))


@pytest.fixture
def pool(request):
    run, workers = request.param
    with closing(ProcessExecutor(run, workers)) as executor:
        yield executor


@pytest.mark.parametrize("pool", [(report_threads, 2)], indirect=True)
def test_workers_are_kept_and_limited_to_the_jobs_threads(pool):
    before = os.environ.get("OMP_NUM_THREADS")
    for trial in range(6):
        pool.submit(replace(job(trial), threads=3))
    metrics = [outcome.result.metrics for outcome in (pool.next() for _ in range(6)) if outcome.result]
    assert len(metrics) == 6
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        assert {one[name] for one in metrics} == {3.0}
    for name, value in WAITING.items():
        assert {one[name] for one in metrics} == {float(value)}
    pids = {one["pid"] for one in metrics}
    assert len(pids) <= 2
    assert sorted(number for _, number in {(one["pid"], one[WORKER]) for one in metrics}) == [0, 1][: len(pids)]
    assert os.getpid() not in pids
    assert os.environ.get("OMP_NUM_THREADS") == before


@pytest.mark.parametrize("pool", [(say_pid_and_sleep, 2)], indirect=True)
def test_closing_ends_workers_in_the_middle_of_their_jobs(pool, tmp_path):
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


@pytest.mark.parametrize("pool", [(say_pid_and_sleep, 1)], indirect=True)
def test_workers_ignore_ctrl_c_and_the_driver_gets_it(pool, tmp_path, ctrl_c):
    pool.submit(job(0, tmp_path))
    (pid,) = wait_for_pids(tmp_path, 1)
    os.kill(pid, signal.SIGINT)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        pool.next()
    assert running(pid)


def test_no_worker_outlives_a_killed_driver(tmp_path):
    """Though both are in the middle of a job of ten minutes."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER, encoding="utf-8")
    here = Path(__file__).parents[1]
    driver = subprocess.Popen([sys.executable, str(script), str(tmp_path), str(here), str(here.parents[1])])
    try:
        pids = wait_for_pids(tmp_path, 2)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert wait_until(lambda: not any(running(pid) for pid in pids))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_over_processes_repeats_and_with_one_worker_equals_the_inline_one(tmp_path, workers):
    plan = toy_plan(trials=14)

    def run(name, executor):
        with closing(executor), Study.open(tmp_path / name, plan) as study:
            search(plan, study, executor, make_job, ignore)
            return list(map(str, essence(study.records())))

    first = run("first", ProcessExecutor(train_with_failures, workers))
    again = InlineExecutor(train_with_failures) if workers == 1 else ProcessExecutor(train_with_failures, workers)
    assert first == run("again", again)


def running(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"


def wait_for_pids(folder, count):
    def written():
        return [path for path in folder.glob("pid-*") if path.read_text()]

    assert wait_until(lambda: len(written()) >= count)
    return [int(path.read_text()) for path in written()]
