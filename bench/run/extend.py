"""Changes a run between two executions: raises limits, confirms more, or moves jobs to another executor."""

from __future__ import annotations

from dataclasses import replace

from bench.confirm.baselines import check_static
from bench.data.card import shape_of
from bench.errors import UserError
from bench.run.folder import Run
from bench.suite import Budget, Confirm
from bench.validation import validate


def extend(
    run: Run,
    trials: int | None = None,
    samples: int | None = None,
    lengths: float | None = None,
    time: str | None = None,
    address: str | None = None,
    device: str | None = None,
) -> Run:
    """The run with higher limits, its jobs at another address or on another device, which `execute` keeps.

    A search that has ended goes on from there where its limits are raised.

    Raises:
        UserError: a limit that is not there, or above the new one; an address or a device that jobs could not use.
    """
    moved = run.at(address).on(device)
    given = {"trials": trials, "samples": samples, "lengths": lengths, "time": time}
    given = {key: value for key, value in given.items() if value is not None}
    if not given and moved == run:
        return run
    before = run.manifest.suite.budget
    after = validate(Budget, before.model_dump() | given, "the command line")
    for key in given:
        old, new = getattr(before, key), getattr(after, key)
        if old is None:
            raise UserError(f"--{key}: expected a limit that '{run.name}' has, found that its {key} are not limited")
        if new < old:
            raise UserError(f"--{key}: expected at least {old:,}, the total of '{run.name}' so far, found {new:,}")
    suite = run.manifest.suite.model_copy(update={"budget": after})
    return replace(moved, manifest=moved.manifest.model_copy(update={"suite": suite}))


def confirm_more(
    run: Run,
    static: int | None = None,
    members: int | None = None,
    replicates: int | None = None,
    budget: int | None = None,
) -> Run:
    """The run with more of what its suite's `[confirm]` says, which `execute` keeps.

    Raises:
        UserError: less than the run has, fewer than 2 static weights, or some where there is nothing to weigh.
    """
    before = run.manifest.suite.confirm
    every = {"static": static, "members": members, "replicates": replicates, "budget": budget}
    given = {key: value for key, value in every.items() if value is not None}
    if static is not None and static < 2:
        raise UserError(f"--static: expected at least 2 weights, found {static}")
    for key, new in given.items():
        old = before.replicates_in_all if key == "budget" else getattr(before, key)
        if new < old:
            raise UserError(f"--{key}: expected at least {old}, which '{run.name}' has already, found {new}")
    after = validate(Confirm, before.model_dump() | given, "the command line")
    if after.static:
        if not after.replicates:
            raise UserError("--static: expected --replicates beside it, as this run confirms nothing, found none")
        for part in run.datasets.values():
            tasks = [task.name for task in part.tasks]
            check_static(part.key, tasks, part.fitted(shape_of(part.card, tasks)).space)
    suite = run.manifest.suite.model_copy(update={"confirm": after})
    return replace(run, manifest=run.manifest.model_copy(update={"suite": suite}))
