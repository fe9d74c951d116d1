"""The next command after a run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.home import resolve_home, shown
from bench.run.folder import Run
from bench.run.results import DatasetResult, picked_network

MOST_REPLICATES = 20
"""Replicates of each point that are still worth asking for."""


def next_step(results: Sequence[DatasetResult]) -> str:
    """A command, with what it does behind `#`.

    More replicates where they would settle the verdict; to deploy the pick where there is one that can be; else the
    tables.
    """
    run = results[0].run.run
    name = run_argument(run)
    needed = max((result.verdict.needed or 0 for result in results), default=0)
    if run.manifest.suite.confirm.replicates < needed <= MOST_REPLICATES:
        return f"seesaw confirm {name} --replicates {needed}  # would show the gain that is seen"
    if len(results) == 1 and results[0].pick and results[0].pick.role == "trial" and picked_network(results[0]):
        return f"seesaw deploy {name}  # trains the pick for good and packages it"
    return f"seesaw frontier {name} --full  # all tables"


def run_argument(run: Run) -> str:
    """How a command names the run: by its name, or by its path where its home is not the usual one."""
    return run.name if run.home == resolve_home() else shown(run.folder)
