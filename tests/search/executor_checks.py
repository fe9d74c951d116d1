"""What every executor must do, with jobs that train nothing. A worker imports this module to run them."""

import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import SkipTest

from bench.core.errors import UserError
from bench.core.records import Job, TrialResult
from bench.search.executors import EXECUTORS
from bench.search.executors.base import attempt

WORKERS = 2
FAILING = {1: UserError("expected this, found that"), 3: FloatingPointError("nan at step 7"), 4: KeyError("boom")}
"""Trial -> the error that it raises."""
RETRIES = 2
LIMIT, LONG = 1.0, 60.0  # seconds


@cache
def store():
    """A home with a store of one small file, which jobs name but do not read; executors may copy it elsewhere."""
    home = tempfile.TemporaryDirectory()
    folder = Path(home.name, "store", "none@1", "print")
    (folder / "train").mkdir(parents=True)
    for name in ("manifest.json", "train/ids.npy"):
        (folder / name).write_text("{}")
    return home


def store_path():
    """The store's path."""
    return str(Path(store().name, "store", "none@1", "print"))


def job_of(trial, **config):
    """A job at full length, without checkpoint and plug-ins."""
    return Job(trial, 0, dict(config), store_path(), 7 * trial, ("valid",), ("click.auc",), ("click",), 1)


def measure(job):
    """The result depends only on the job; the trials of `FAILING` raise their errors."""
    if job.trial in FAILING:
        raise FAILING[job.trial]
    return TrialResult({"valid/click.auc": 1 / (2 + job.seed)}, {"train_seconds": 0.5}, [{"samples": 10.0}], job.config)


def lack_a_machine(job):
    """Raises an infrastructure fault in each of the first `faults` attempts, which it counts in `folder`."""
    attempts = len(list(Path(str(job.config["folder"])).glob(f"{job.trial}-*")))
    Path(str(job.config["folder"]), f"{job.trial}-{attempts}").touch()
    if attempts < int(job.config["faults"] or 0):
        raise OSError(28, "No space left on device")
    return measure(replace(job, trial=0))


def take_long(job):
    """Sleeps for the configured number of seconds."""
    time.sleep(float(job.config["seconds"] or 0))
    return measure(job)


@contextmanager
def opened(name, run, options):
    """Opens an executor with up to two workers and closes it; raises SkipTest if it refuses or lacks modules."""
    try:
        executor = EXECUTORS[name](run, WORKERS, options.model_copy(update={"store": store_path()}))
    except UserError as error:
        raise SkipTest(str(error)) from None
    try:
        yield executor
    finally:
        executor.close()


def _all(executor, jobs):
    for job in jobs:
        executor.submit(job)
    finished = [executor.next() for _ in jobs]
    ended = [outcome.job.trial for outcome in finished]
    assert sorted(map(str, ended)) == sorted(str(job.trial) for job in jobs), f"each job must end once, found {ended}"
    return {outcome.job.trial: outcome for outcome in finished}


def _is_idle(executor):
    """Checks that `next` without a submitted job raises at once."""
    try:
        outcome = executor.next()
    except RuntimeError:
        return
    raise AssertionError(f"expected a RuntimeError of next() without a submitted job, found {outcome}")


def each_job_ends_once_as_it_does_in_this_process(name, options):
    """Its result, or its failure with its kind and reason. More jobs than slots wait; one that fails harms no other."""
    with opened(name, measure, options) as executor:
        assert executor.slots >= 1
        jobs = [job_of(trial) for trial in range(2 * executor.slots + len(FAILING) + 1)]
        for job, outcome in ((outcome.job, outcome) for outcome in _all(executor, jobs).values()):
            expected = attempt(measure, job)
            assert job == jobs[job.trial or 0], f"expected the job that was submitted, found {job}"
            assert outcome.result == expected.result, f"expected {expected.result}, found {outcome.result}"
            assert (outcome.failure and outcome.failure.kind) == (expected.failure and expected.failure.kind)
            if outcome.failure and expected.failure:
                assert outcome.failure.reason.partition(" (")[0] == expected.failure.reason.partition(" (")[0]
            assert outcome.started > 0, "expected the time at which a worker took the job up, found none"
            assert outcome.seconds >= 0
        _is_idle(executor)


def a_fault_of_the_machine_is_tried_again(name, options):
    """As often as `Options.retries` says; then it is the job's failure. Each retry is noted."""
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        options = options.model_copy(update={"retries": RETRIES, "note": notes.append})
        with opened(name, lack_a_machine, options) as executor:
            jobs = [job_of(trial, folder=folder, faults=faults) for trial, faults in enumerate((0, RETRIES, 99))]
            found = _all(executor, jobs)
            for trial, tries in ((0, 1), (1, RETRIES + 1), (2, RETRIES + 1)):
                attempts = len(list(Path(folder).glob(f"{trial}-*")))
                assert attempts == tries, f"expected {tries} attempts at trial {trial}, found {attempts}"
            assert found[0].result, f"expected a result, found {found[0].failure}"
            assert found[1].result, f"expected a result after {RETRIES} faults, found {found[1].failure}"
            failure = found[2].failure
            assert failure, "expected a failure, found a result"
            assert failure.kind == "infrastructure", f"expected an infrastructure fault, found {failure}"
            assert len([note for note in notes if "tried again" in note]) == 2 * RETRIES, f"found the notes {notes}"


def a_job_out_of_time_is_ended(name, options):
    """Long before it would end by itself, and it harms no other job."""
    with opened(name, take_long, options.model_copy(update={"job_seconds": LIMIT, "retries": 0})) as executor:
        began = time.monotonic()
        found = _all(executor, [job_of(0, seconds=0), job_of(2, seconds=int(LONG)), job_of(5, seconds=0)])
        assert time.monotonic() - began < LONG, f"expected a job of {LONG:g} s to be ended after {LIMIT:g} s"
        failure = found[2].failure
        assert failure, "expected a failure, found a result"
        assert failure.kind == "infrastructure", f"expected an infrastructure fault, found {failure}"
        assert found[0].result, f"expected a result, found {found[0].failure}"
        assert found[5].result, f"expected a result, found {found[5].failure}"


def closing_forgets_jobs_and_may_be_done_twice(name, options):
    """Also while jobs run and wait."""
    with opened(name, measure, options) as executor:
        for trial in range(4 * executor.slots):
            executor.submit(job_of(trial))
        executor.close()
        executor.close()
        _is_idle(executor)


OF_ALL = (
    each_job_ends_once_as_it_does_in_this_process,
    a_fault_of_the_machine_is_tried_again,
    a_job_out_of_time_is_ended,
    closing_forgets_jobs_and_may_be_done_twice,
)
