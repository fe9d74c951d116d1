"""A poisonous job cannot stop the run: it is recorded with its reason, and no other job notices."""

from contextlib import closing

import psutil
import pytest
from poison_toys import poison
from search_toys import job_of

from bench.core.records import Failure
from bench.search.executors import ProcessExecutor
from bench.search.executors.base import Options

pytestmark = pytest.mark.slow  # workers that die take a second each to start


def job(folder, trial, how="", **config):
    return job_of(trial, 0, {"how": how, **config}, ("valid",), str(folder))


def attempts(folder, trial):
    return len(list(folder.glob(f"{trial}-*")))


def run(executor, jobs):
    with closing(executor):
        for job in jobs:
            executor.submit(job)
        return {outcome.job.trial: outcome for outcome in (executor.next() for _ in jobs)}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("kill", "its worker was killed by SIGKILL, as the system does when memory runs out"),
        (
            "kill, a child lives",
            "its worker was killed by SIGKILL, as the system does when memory runs out",
        ),
        ("leave", "its worker exited with code 4"),
        ("hungry", "out of memory"),
        ("garbage", "its worker's answer was garbled"),
        ("a wrong length", "its worker's answer was garbled"),
        ("another's answer", "its worker's answer was garbled"),
        ("closed pipe", "its worker "),
    ],
)
def test_an_infrastructure_fault_is_tried_again_to_a_limit_and_then_recorded(tmp_path, how, reason):
    notes: list[str] = []
    executor = ProcessExecutor(poison, 2, Options(retries=1, note=notes.append))
    outcomes = run(
        executor, [job(tmp_path, 0), job(tmp_path, 1, how), job(tmp_path, 2), job(tmp_path, 3)]
    )
    failure = outcomes[1].failure
    assert failure.kind == "infrastructure"
    assert failure.reason.startswith(f"tried 2 times; at last {reason}")
    assert attempts(tmp_path, 1) == 2
    (note,) = notes
    assert note.startswith(f"trial 1: {reason}")
    assert note.endswith("; tried again (1 of 1)")
    assert all(outcomes[trial].result for trial in (0, 2, 3))
    assert {attempts(tmp_path, trial) for trial in (0, 2, 3)} == {1}


def test_a_result_that_cannot_be_written_down_is_a_bug_at_once(tmp_path):
    outcomes = run(
        ProcessExecutor(poison, 1), [job(tmp_path, 0, "lock in the result"), job(tmp_path, 1)]
    )
    assert outcomes[0].failure.kind == "bug"
    assert outcomes[0].failure.reason.startswith("expected a result of plain values")
    assert attempts(tmp_path, 0) == 1
    assert outcomes[1].result is not None


def test_a_job_beyond_its_time_is_ended_tried_again_and_recorded_whatever_it_holds(tmp_path):
    executor = ProcessExecutor(poison, 2, Options(job_seconds=0.5, retries=1))
    outcomes = run(
        executor, [job(tmp_path, 0, "spin"), job(tmp_path, 1), job(tmp_path, 2, "spin", times=1)]
    )
    assert outcomes[0].failure == Failure(
        "infrastructure", "tried 2 times; at last it took longer than 0.5 s"
    )
    assert outcomes[0].seconds >= 0.5
    assert outcomes[1].result is not None
    assert outcomes[2].result is not None
    assert (attempts(tmp_path, 0), attempts(tmp_path, 1), attempts(tmp_path, 2)) == (2, 1, 2)
    assert not [
        process for process in psutil.Process().children() if "serve" in " ".join(process.cmdline())
    ]


def test_a_worker_is_replaced_before_a_leak_can_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.search.executors.process.JOBS_A_WORKER", 2)
    outcomes = run(ProcessExecutor(poison, 1), [job(tmp_path, trial) for trial in range(5)])
    pids = [outcome.result.metrics["pid"] for outcome in outcomes.values()]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 1]


def test_what_a_job_prints_goes_to_stderr(tmp_path, capfd):
    """Also what it writes to the first descriptor: on stdout there is nothing but a command's
    result.
    """
    assert run(ProcessExecutor(poison, 1), [job(tmp_path, 0, "chatter")])[0].result
    out, err = capfd.readouterr()
    assert (out, "garbage" in err) == ("", True)
