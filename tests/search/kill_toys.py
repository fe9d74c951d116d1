"""Kills drivers and workers at random during one search. A script, so that what it forks and spawns
is its own.

    kill_toys.py FOLDER inline|process KILLS SEED BUDGET

It imports what a driver needs once and forks a driver for each life. On stdout, one JSON document:
how many were killed, how often each job was begun, and how often one was begun after it had an
outcome on disk.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from bench.core.records import TrialResult  # noqa: E402  (workers import this file, so nothing heavy here)

LADDER = (4, 16, 64)


def train(job):
    """As `rung_toys.train` in small, with marks of when it begins and ends; a checkpoint is
    appended to all along.
    """
    until = LADDER[-1] if job.until is None else job.until
    mark(job, f"begin {job.trial} {until} {os.getpid()}")
    samples, chain = 0, f"{job.trial} {job.seed}"
    if job.resume is not None:
        state = json.loads(Path(job.resume).read_text())
        assert (state["trial"], state["seed"]) == (job.trial, job.seed)
        samples, chain = state["at"], state["chain"]
    while samples < until:
        samples, chain = samples + 1, hashlib.md5(chain.encode()).hexdigest()
        time.sleep(0.0002)
    if job.checkpoint is not None:
        path = Path(job.checkpoint)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(
            json.dumps({"trial": job.trial, "seed": job.seed, "at": samples, "chain": chain})
        )
        temporary.replace(path)
    first, second = int(chain[:6], 16) / 16**6, int(chain[6:12], 16) / 16**6
    values = {"click.auc": first - 2 / samples, "like.auc": second - 2 / samples}
    metrics = {f"{split}/{name}": value for split in job.splits for name, value in values.items()}
    return TrialResult(
        metrics, {"samples_trained": float(samples)}, [], dict(job.config), samples == LADDER[-1]
    )


def mark(job, text):
    """One line, whole, whoever else writes."""
    with open(job.store, "ab", buffering=0) as file:
        file.write(f"{text}\n".encode())


def main(folder, executor, kills, seed, budget):
    from rung_toys import rung_plan

    from bench.search.study import Study

    folder.mkdir(parents=True, exist_ok=True)
    plan = rung_plan(budget=budget, ladder=LADDER)
    marks, chance = folder / "marks", random.Random(seed)
    marks.touch()
    killed: Counter[str] = Counter()
    settled: dict[tuple[int, int], int] = {}
    while True:
        driver = os.fork()
        if driver == 0:
            drive(folder, plan, executor, marks)
        if sum(killed.values()) < kills:
            killed += Counter(disturb(driver, marks, executor, chance))
        code = os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1])
        assert code in (0, -signal.SIGKILL), f"the driver exited with {code}"
        begun = begins(marks)
        if (folder / "study.jsonl").exists() and (folder / "study.jsonl").stat().st_size:
            study = Study.read(folder)
            for number in study.finished:
                step = study.history.steps[number]
                key = step.trial, LADDER[step.rung]
                settled.setdefault(key, begun[key])
        if code == 0:
            break
    again = {
        f"{key}": begun[key] - before for key, before in settled.items() if begun[key] != before
    }
    print(
        json.dumps({"killed": killed, "jobs": len(settled), "begun": begun.total(), "again": again})
    )


def drive(folder, plan, name, marks):
    """A driver's life; does not return."""
    from functools import partial

    from search_toys import ignore, make_job

    from bench.search.driver import search
    from bench.search.executors import EXECUTORS
    from bench.search.executors.base import Options
    from bench.search.study import Study

    code = 1
    try:
        import kill_toys  # by the name under which workers find it

        run = EXECUTORS[name](kill_toys.train, 2, Options(retries=1000))
        with Study.open(folder, plan) as study:
            search(plan, study, run, partial(make_job, store=str(marks)), ignore)
        run.close()
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        os._exit(code)


def disturb(driver, marks, executor, chance):
    """Kills workers of a driver and at last itself, each after a few more jobs were begun and a
    random moment.
    """
    killed = []
    victims = ["worker"] * chance.randrange(4) if executor == "process" else []
    for victim in [*victims, "driver"]:
        before, jobs = begins(marks).total(), chance.randrange(3)
        while begins(marks).total() <= before + jobs:
            if os.waitid(os.P_PID, driver, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return killed
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.012))
        victim_pid = driver if victim == "driver" else last_worker(marks, chance)
        try:
            os.kill(victim_pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed.append(victim)
    return killed


def last_worker(marks, chance):
    """One of the two processes that began the last jobs."""
    lines = marks.read_text().splitlines()
    return int(chance.choice(lines[-2:]).split()[3])


def begins(marks):
    """How often each job was begun, by trial and samples."""
    words = [line.split() for line in marks.read_text().splitlines()]
    return Counter((int(trial), int(until)) for _, trial, until, _ in words)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6]))
