"""Goes on with a run that is there: what its request may still change, and what it may not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bench.app.runs.create import create, definite_request, with_request
from bench.app.runs.folder import MANIFEST, Run, names_of_runs
from bench.app.runs.request import Request
from bench.app.runs.suite import Confirm
from bench.core.errors import UserError, check_known, listed
from bench.core.system import content
from bench.core.system.credentials import plain_address, remember
from bench.core.system.progress import Progress
from bench.core.validation import validate
from bench.search.confirm.baselines import check_static

LIMITS = ("trials", "samples", "lengths", "time")
"""Of a search; they are totals, and only grow."""
CHANGEABLE = (*LIMITS, "confirm", "address", "device", "tracking", "current")
"""Options of a run that may be given again with another value."""
CONFIRMED = ("static", "members", "replicates", "budget")
"""Keys of `[confirm]` that may grow."""


def create_or_open(
    home: Path, request: Request, progress: Progress, words: list[str] | None = None
) -> Run:
    """The run of a request: a new one, or one that is there, with what the request changes of it.

    A run is there if `suite` names it, by its folder or by a name that no suite has, or if its
    suite was asked before under the same `--name`. `execute` then keeps what changes.

    Raises:
        UserError: as `create` and `extended`.
    """
    if names_run(home, request.suite):
        return extended(Run.open(home, request.suite), request)
    name = request.name
    if name is not None and (home / "runs" / name / MANIFEST).is_file():
        return extended(Run.open(home, name), request)
    return create(home, request, progress, words or ())


def names_run(home: Path, suite: str) -> bool:
    """Whether this is a run's folder, or a name that a run has and no suite.

    Raises:
        UserError: a name that neither has.
    """
    if os.path.isfile(Path(suite).expanduser() / MANIFEST):
        return True
    suites = content.names("reports")
    if content.is_path(suite) or suite in suites:
        return False
    check_known("suite or run", suite, [*suites, *names_of_runs(home)])
    return True


def extended(run: Run, request: Request) -> Run:
    """The run with what a request changes of it, which `execute` keeps.

    A search that has ended goes on from there where its limits are raised. `tracking` is MLflow's
    address from now on.

    Raises:
        UserError: an option that cannot change any more; a limit that is not there, or above the
            new one; an address or a device that jobs could not use; less than was confirmed.
    """
    if names_run(run.home, request.suite):
        request = request.model_copy(update={"suite": run.request.suite})
    asked = request.model_dump(exclude_unset=True)
    _check_unchanged(run, request, asked)
    changed = {name: asked[name] for name in CHANGEABLE if name in asked}
    confirmed = changed.pop("confirm", {})
    current = changed.pop("current", None)
    if "tracking" in changed:
        changed["tracking"] = plain_address(changed["tracking"])
    with_limits = _with_limits(run, changed)
    with_confirmed = _with_confirmed(with_limits, confirmed) if confirmed else with_limits
    extended_run = with_confirmed.with_current(current)
    if "tracking" in changed:
        remember(changed["tracking"], run.home)
    return extended_run


def _check_unchanged(run: Run, request: Request, asked: dict[str, Any]) -> None:
    """Refuses an option that differs from the one with which the run was made."""
    if request.suite == run.request.suite:
        del asked["suite"]
    fixed = [name for name in asked if name not in CHANGEABLE]
    if not fixed:
        return
    definite = definite_request(request, with_request(request))
    for name in fixed:
        before, now = getattr(run.request, name), getattr(definite, name)
        if name == "name":
            before = run.name
        if now != before:
            option = "SUITE" if name == "suite" else f"--{name.replace('_', '-')}"
            raise UserError(
                f"{option}: expected {before}, with which the run '{run.name}' "
                f"was made, found {now}; another --name begins another run"
            )


def _with_limits(run: Run, changed: dict[str, Any]) -> Run:
    limits = run.suite.budget.model_dump(include=set(LIMITS), exclude_none=True)
    raised = [key for key in changed if key in LIMITS]
    for key in raised:
        if key not in limits:
            options = listed([f"--{limit}" for limit in limits])
            verb = "is" if key == "time" else "are"
            raise UserError(
                f"--{key}: expected a limit that '{run.name}' has ({options}), found that its "
                f"{key} {verb} not limited"
            )
    request = validate(Request, run.request.model_dump() | changed, "")
    request.check()
    new_limits = request.model_dump(include=set(raised))
    for key in raised:
        old, new = limits[key], new_limits[key]
        if new < old:
            raise UserError(
                f"--{key}: expected at least {old:,}, the total of '{run.name}' so far, found "
                f"{new:,}"
            )
    budget = run.suite.budget.model_copy(update=new_limits)
    suite = run.suite.model_copy(update={"budget": budget})
    return run.changed(request=request, suite=suite)


def _with_confirmed(run: Run, asked: dict[str, Any]) -> Run:
    """The run with more of what its suite's `[confirm]` says."""
    before = run.suite.confirm
    after = validate(Confirm, before.model_dump() | asked, "--confirm")
    for key in asked:
        if key not in CONFIRMED:
            raise UserError(
                f"--confirm: expected {', '.join(CONFIRMED)} for a run that is there, found '{key}'"
            )
        old, new = getattr(before, key), getattr(after, key)
        if key == "budget":
            old = before.replicates_in_all
        if new < old:
            raise UserError(
                f"--confirm {key}: expected at least {old}, which '{run.name}' has already, found "
                f"{new}"
            )
    if after.static:
        if not after.replicates:
            raise UserError(
                "--confirm static: expected replicates beside it, as this run confirms nothing, "
                "found none"
            )
        for part in run.datasets.values():
            check_static(part.key, part.task_names, part.fitted().space)
    request = run.request.model_copy(update={"confirm": run.request.confirm | asked})
    return run.changed(request=request, suite=run.suite.model_copy(update={"confirm": after}))
