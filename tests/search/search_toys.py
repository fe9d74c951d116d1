"""A search whose outcome is known in closed form, and what tests of the driver need around it."""

import json
import math
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import Job, Point, TrialResult
from bench.core.schema import Field, Schema, Task
from bench.core.seeds import derive
from bench.core.system.machine import WAITING, WORKER
from bench.search.executors import ProcessExecutor
from bench.search.executors.base import attempt
from bench.search.plan import SearchPlan
from bench.search.space import load_space

TASKS = ("click", "like")
SCHEMA = Schema((Field("user", 40),), (), tuple(map(Task, TASKS)))
OBJECTIVES = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))


def toy_space():
    return load_space(str(Path(__file__).with_name("toy.toml")))


def objectives(config):
    """Weight of `like` trades one objective for the other; all else has one best value. Both lie in
    (-inf, 1].
    """
    kind = config["sharing.kind"]
    if kind == "single_task":
        loss = 0.3
    elif kind == "mmoe":
        loss = (
            0.1
            + 0.02 * (math.log2(config["sharing.mmoe.experts"]) - 3) ** 2
            + (config["sharing.mmoe.dropout"] - 0.2) ** 2
        )
    else:
        loss = (
            0.05 * (config["sharing.ple.levels"] - 3) ** 2
            + (config["sharing.ple.dropout"] - 0.5) ** 2
        )
    loss += (
        0.1 * (math.log10(config["optim.lr"]) + 2.5) ** 2
        + {"": 0.1, "32": 0.0, "64": 0.05}[config["tower.layers"]]
    )
    lean = math.log2(config["balancing.static.weight.like"]) / 4  # in [-1, 1]
    return 1 - loss - (lean + 0.5) ** 2 / 4, 1 - loss - (lean - 0.5) ** 2 / 4


def train(job):
    """The closed form; replicates differ a little by their seed."""
    noise = random.Random(job.seed).gauss(0, 0.001) if job.replicate else 0.0
    values = dict(zip(("click.auc", "like.auc"), objectives(job.config), strict=True))
    metrics = {
        f"{split}/{name}": value + noise for split in job.splits for name, value in values.items()
    }
    config = {**job.config, "funnel.kind": "independent"}
    return TrialResult(metrics, {"train_seconds": 0.5}, [{"samples": 10, "epoch": 1.0}], config)


def train_with_failures(job):
    """As `train`, but trials 3, 5, 6, 8 and 9 go wrong, each in its own way."""
    match job.trial:
        case 3:
            raise FloatingPointError("the loss of click became nan at step 7")
        case 5:
            result = train(job)
            return TrialResult(
                {**result.metrics, "valid/like.auc": math.nan},
                result.speed,
                result.curve,
                result.config,
            )
        case 6:
            raise UserError("sharing.kind = 'ple' does not fit this data: no reason")
        case 8:
            return TrialResult({"valid/click.auc": math.inf, "valid/like.auc": 0.5}, {}, [], {})
        case 9:
            raise KeyError("boom")
    return train(job)


def report_threads(job):
    """What the worker's environment says of threads, its number and its process id."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", WORKER, *WAITING)
    return TrialResult(
        {name: float(os.environ[name]) for name in names} | {"pid": float(os.getpid())}, {}, [], {}
    )


def say_pid_and_sleep(job):
    """Leaves its process id in the store's folder and works for long."""
    (Path(job.store) / f"pid-{job.trial}").write_text(str(os.getpid()))
    time.sleep(600)
    return train(job)


def drive_sleepers():
    """A driver by itself, whose two workers work for long."""
    executor = ProcessExecutor(say_pid_and_sleep, 2)
    for trial in range(2):
        executor.submit(job_of(trial, 0, {}, ("valid",), sys.argv[1]))
    executor.next()


def toy_plan(**changes):
    options: dict[str, Any] = {
        "space": toy_space(),
        "tasks": TASKS,
        "objectives": OBJECTIVES,
        "trials": 20,
        "seed": 7,
        "sampler": "tpe",
        "tries": 1,
    }
    return SearchPlan(**{**options, **changes})


def make_job(point, replicate, splits, store="-"):
    purpose = (
        ("replicate", replicate)
        if replicate
        else (point.kind if point.number is None else point.number, 0)
    )
    names = ("click.auc", "like.auc")
    job = Job(
        point.number,
        replicate,
        point.config,
        store,
        derive(7, *purpose),
        splits,
        names,
        TASKS,
        1,
        point.until,
    )
    return replace(job, kind=point.kind)


def job_of(trial, replicate, config, splits, store="-"):
    """That of a trial at full length."""
    return make_job(Point("trial", dict(config), "", trial), replicate, splits, store)


class ShuffledExecutor:
    """Runs jobs here, and lets them end in a random order among those that would run at once."""

    def __init__(self, run, slots, seed):
        self.slots = slots
        self.jobs: list[Job] = []
        self._run = run
        self._random = random.Random(seed)

    def submit(self, job):
        self.jobs.append(job)

    def next(self):
        return attempt(self._run, self.jobs.pop(self.choose(min(self.slots, len(self.jobs)))))

    def choose(self, running):
        return self._random.randrange(running)

    def close(self):
        pass


class YoungestFirst(ShuffledExecutor):
    """As when the oldest job takes forever."""

    def choose(self, running):
        return running - 1


def interrupted_after(jobs, run):
    """A worker that Ctrl-C reaches after some jobs."""
    remaining = [jobs]

    def stops(job):
        remaining[0] -= 1
        if remaining[0] < 0:
            raise KeyboardInterrupt
        return run(job)

    return stops


def interrupted_at(run, trial):
    """Ctrl-C while a trial trains."""

    def interrupted(job):
        if job.trial == trial:
            raise KeyboardInterrupt
        return run(job)

    return interrupted


def essence(records):
    """Records as JSON, in which one NaN is another, without what time they took."""
    documents = json.loads(json.dumps([asdict(record) for record in records]))
    for document in (*documents, *(rung for record in documents for rung in record["rungs"])):
        for name in ("started", "seconds"):
            document.pop(name, None)
    return documents


def ignore(record):
    pass


def wait_until(condition, seconds=20.0):
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def printed_under_other_hashes(code):
    """What code prints in two processes whose hashes of text differ, and with them the order of
    sets.
    """
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1])])
    return [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
