"""Kills a driver before its n-th statement to a database, again and again. A script, so that what it forks is its own:

a process of tests has threads, and a child that is forked while one of them holds a lock waits for it forever.

    statement_toys.py FOLDER BUDGET FIRST STEP

The folder has the study's address. Drivers are killed before their FIRST statement, their FIRST + STEP, and so on,
until one comes to its end before that. On stdout, how many were killed.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import sqlalchemy  # noqa: E402
from rung_toys import rung_plan, train  # noqa: E402
from search_toys import ignore, make_job  # noqa: E402

from bench.records import TrialRecord  # noqa: E402
from bench.search.confirm import Race, confirm  # noqa: E402
from bench.search.driver import search  # noqa: E402
from bench.search.executors import InlineExecutor  # noqa: E402
from bench.search.executors.base import Run  # noqa: E402
from bench.search.plan import Plan  # noqa: E402
from bench.search.study import Study  # noqa: E402


def whole(folder: Path, plan: Plan, run: Run = train) -> list[TrialRecord]:
    """A search, its end, and the confirmation of two trials."""
    with Study.open(folder, plan) as study:
        search(plan, study, InlineExecutor(run), make_job, ignore)
        study.conclude()
        chosen = [record.points[-1] for record in study.records() if record.state == "completed"][:2]
        confirm(study, InlineExecutor(run), make_job, chosen, Race(2), ignore)
        return study.records()


def main(folder: Path, budget: int, first: int, step: int) -> None:
    plan, kills = rung_plan(budget=budget), 0
    for statement in itertools.count(first, step):
        driver = os.fork()
        if driver == 0:
            drive(folder, plan, statement)
        code = os.waitstatus_to_exitcode(os.waitpid(driver, 0)[1])
        assert code in (0, -signal.SIGKILL), f"the driver exited with {code}"
        if code == 0:
            break
        kills += 1
    print(kills)


def drive(folder: Path, plan: Plan, statement: int) -> None:
    """A driver's life; does not return."""
    left = itertools.count(1)

    def kill_itself(*_: object) -> None:
        if next(left) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", kill_itself)
    code = 1
    try:
        whole(folder, plan)
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
