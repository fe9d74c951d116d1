"""What every executor must do, with jobs that train nothing. A worker imports this module to run
them.
"""

import math
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.errors import UserError
from bench.core.records import Job, TrialResult
from bench.search.executors import EXECUTORS
from bench.search.executors.base import attempt

FAILING = {
    1: UserError("expected this, found that"),
    3: FloatingPointError("nan at step 7"),
    4: KeyError("boom"),
}
"""Trial -> the error that it raises."""
RETRIES = 2
LIMIT, LONG = 1.0, 60.0  # seconds


def job_of(trial, **config):
    """A job at full length, without checkpoint and plug-ins."""
    return Job(trial, 0, dict(config), "-", 7 * trial, ("valid",), ("click.auc",), ("click",), 1)


def measure(job):
    """The result depends only on the job; the trials of `FAILING` raise their errors."""
    if job.trial in FAILING:
        raise FAILING[job.trial]
    metrics = {
        "valid/click.auc": 1 / (2 + job.seed),
        "valid/like.auc": math.nan,
        "valid/ne": math.inf,
    }
    return TrialResult(metrics, {"train_seconds": 0.5}, [{"samples": 10.0}], job.config)


def lack_a_machine(job):
    """Raises an infrastructure fault in each of the first `faults` attempts, which it counts in
    `folder`.
    """
    attempts = len(list(Path(str(job.config["folder"])).glob(f"{job.trial}-*")))
    Path(str(job.config["folder"]), f"{job.trial}-{attempts}").touch()
    if attempts < int(job.config["faults"] or 0):
        raise OSError(28, "No space left on device")
    return measure(replace(job, trial=0))


def take_long(job):
    """Sleeps for the configured number of seconds."""
    time.sleep(float(job.config["seconds"] or 0))
    return measure(job)


def opened(name, run, options, **changes):
    """An executor with up to two workers, which is closed at the end of its block."""
    return closing(EXECUTORS[name](run, 2, options.model_copy(update=changes)))


def ended(executor, jobs):
    """The outcomes of jobs by trial, each of which ends once."""
    for job in jobs:
        executor.submit(job)
    outcomes = [executor.next() for _ in jobs]
    assert sorted(outcome.job.trial for outcome in outcomes) == sorted(job.trial for job in jobs)
    return {outcome.job.trial: outcome for outcome in outcomes}


def each_job_ends_once_as_it_does_in_this_process(name, options, folder):
    """Its result, or its failure with its kind and reason. More jobs than slots wait; one that
    fails harms no other.
    """
    with opened(name, measure, options) as executor:
        jobs = [job_of(trial) for trial in range(2 * executor.slots + len(FAILING) + 1)]
        for trial, outcome in ended(executor, jobs).items():
            expected = attempt(measure, jobs[trial])
            # one NaN is another
            assert (outcome.job, str(outcome.result)) == (
                jobs[trial],
                str(expected.result),
            )
            assert (outcome.failure and outcome.failure.kind) == (
                expected.failure and expected.failure.kind
            )
            if outcome.failure and expected.failure:
                assert (
                    outcome.failure.reason.partition(" (")[0]
                    == expected.failure.reason.partition(" (")[0]
                )
            assert outcome.started > 0
            assert outcome.seconds >= 0
        with pytest.raises(RuntimeError):
            executor.next()


def a_fault_of_the_machine_is_tried_again(name, options, folder):
    """As often as `Options.retries` says; then it is the job's failure. Each retry is noted."""
    notes: list[str] = []
    with opened(name, lack_a_machine, options, retries=RETRIES, note=notes.append) as executor:
        jobs = [
            job_of(trial, folder=str(folder), faults=faults)
            for trial, faults in enumerate((0, RETRIES, 99))
        ]
        outcomes = ended(executor, jobs)
    assert [len(list(folder.glob(f"{trial}-*"))) for trial in range(3)] == [
        1,
        RETRIES + 1,
        RETRIES + 1,
    ]
    assert outcomes[0].result
    assert outcomes[1].result
    assert outcomes[2].failure.kind == "infrastructure"
    assert len([note for note in notes if "tried again" in note]) == 2 * RETRIES


def a_job_out_of_time_is_ended(name, options, folder):
    """Long before it would end by itself, and it harms no other job."""
    if name == "inline":  # a run's creation refuses the limit
        return
    with opened(name, take_long, options, job_seconds=LIMIT, retries=0) as executor:
        began = time.monotonic()
        outcomes = ended(
            executor, [job_of(0, seconds=0), job_of(2, seconds=int(LONG)), job_of(5, seconds=0)]
        )
        assert time.monotonic() - began < LONG
    assert outcomes[2].failure.kind == "infrastructure"
    assert outcomes[0].result
    assert outcomes[5].result


def closing_forgets_jobs_and_may_be_done_twice(name, options, folder):
    """Also while jobs run and wait."""
    with opened(name, measure, options) as executor:
        for trial in range(4 * executor.slots):
            executor.submit(job_of(trial))
        executor.close()
        executor.close()
        with pytest.raises(RuntimeError):
            executor.next()


OF_ALL = (
    each_job_ends_once_as_it_does_in_this_process,
    a_fault_of_the_machine_is_tried_again,
    a_job_out_of_time_is_ended,
    closing_forgets_jobs_and_may_be_done_twice,
)
