"""Makes runs and follows them: `seesaw run`, `status`, and `train` for one configuration."""

from __future__ import annotations

import sys
import time
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import (
    Full,
    Home,
    Json,
    RunName,
    Texts,
    opened,
    options_of,
)
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, quantity, say
from bench.app.runs.request import Request
from bench.core.errors import UserError, count
from bench.core.system.home import resolve_home, shown, writable_home
from bench.core.system.interrupts import interrupted_once
from bench.core.system.progress import duration

if TYPE_CHECKING:
    from bench.app.runs.folder import Run


@options_of(Request)
def run(
    asked: dict[str, Any],
    part: Annotated[
        Texts,
        typer.Option(
            metavar="DATA/SHARING/BALANCING", help="Part of a suite's design to train. Repeat."
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="NAME", help="One balancer or way of sharing of a design.")
    ] = None,
    full: Full = False,
    home: Home = None,
) -> CommandOutput:
    """Search a suite's trade-off frontier, confirm it, and pick a configuration; or go on with a
    run, or extend it.
    """
    request = Request.of(asked)
    from bench.app.runs.extend import create_or_open, names_run
    from bench.app.runs.suite import load_suite

    folder = resolve_home(home)
    if not names_run(folder, request.suite):
        folder = writable_home(home)
        is_design = load_suite(request.suite).design is not None and not request.dataset
        if part or only or is_design:
            _check_design(request, full)
            yield from _run_design(request, part or [], only, home)
            return
    elif part or only:
        option = "--part" if part else "--only"
        raise UserError(
            f"{option}: expected a suite's name, whose design has parts, found the run "
            f"'{request.suite}'"
        )
    command = ["seesaw", *sys.argv[1:]]
    yield from _execute(create_or_open(folder, request, TerminalProgress(), command), full)


def _check_design(request: Request, full: bool) -> None:
    """Refuses options of a search beside a design."""
    options = [*request.model_dump(exclude_unset=True, exclude={"suite", "raw", "workers"})]
    if full:
        options.append("full")
    if options:
        raise UserError(
            f"--{options[0].replace('_', '-')}: expected a search, found the design of "
            f"{request.suite}, whose trainings it does not change; `seesaw run {request.suite} "
            "--dataset DATA` searches"
        )


def _run_design(
    request: Request, parts: list[str], only: str | None, home: Path | None
) -> CommandOutput:
    from bench.app.reference.design_runs import run_design

    with interrupted_once(), redirect_stdout(sys.stderr):
        done = run_design(
            writable_home(home),
            request.suite,
            parts,
            only,
            request.raw,
            request.workers,
            TerminalProgress(),
        )
    yield {"suite": request.suite} | asdict(done)
    say(f"{done.new:,} trainings, {done.there:,} more were there already, {done.failed:,} failed")
    say(*done.answer)
    rows = []
    for compared in done.compared:
        lead = [compared.verdict, compared.value, compared.margin]
        rows.append([compared.data, compared.sharing, *lead])
    print_table(["data", "sharing", "beats static weights", "lead", "margin"], rows)
    if not done.answer:
        say(f"next: python studies/publish.py {request.suite}  # in a clone", whole=True)


def _execute(run: Run, full: bool) -> CommandOutput:
    """Carries out a run. The end is short: the verdict, the page, and one command to go on with."""
    from bench.app.cli.fronts import show_front, show_pick, show_verdict
    from bench.app.runs.execute import execute
    from bench.app.runs.folder import PAGE
    from bench.app.runs.result import documents
    from bench.app.runs.run_page import next_step

    try:
        # Ray says on stdout what happens to machines; there belongs nothing but results.
        with interrupted_once(), redirect_stdout(sys.stderr):
            results = execute(run, TerminalProgress())
    except KeyboardInterrupt:
        TerminalProgress().note(f"stopped; `{run.go_on}` goes on where it was")
        raise
    about = {"run": run.name, "folder": str(run.folder), "page": str(run.folder / PAGE)}
    yield lambda: about | documents(results)
    for result in results:
        if full:
            show_front(result, full=True)
            show_pick(result, full=True)
        else:
            if len(results) > 1:
                say(f"{result.run.key}:")
            show_verdict(result.decision)
            say(result.incomplete, result.decision.serving.note, result.asked)
    if full:
        show_tracking(run)
    say(f"page: {shown(run.folder / PAGE)}", whole=True)
    say(f"next: {next_step(results)}", whole=True)


def status(
    run_: RunName,
    watch: Annotated[
        bool, typer.Option("--watch", help="Refresh live, until no driver works on it.")
    ] = False,
    page: Annotated[
        bool,
        typer.Option(
            "--page", help="Refresh live, and write the page of the run so far each time."
        ),
    ] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="Send what is missing to MLflow, and say what that was.")
    ] = False,
    tracking: Annotated[
        str | None, typer.Option(help="With --sync: MLflow's address, in place of the run's.")
    ] = None,
    json: Json = False,
    home: Home = None,
) -> CommandOutput:
    """Show what is running, done, and failed, and why; with --sync send it to MLflow."""
    from bench.app.cli.output import watch as keep_watching
    from bench.app.runs.folder import LIVE
    from bench.app.runs.run_page import write_live
    from bench.app.runs.status import has_ended, status_of
    from bench.core.system.lock import is_held

    run = opened(run_, home)
    if sync:
        yield from _sync(run, tracking)
        return
    if tracking is not None:
        raise UserError("--tracking: expected --sync beside it, found none")

    def look() -> dict[str, dict[str, Any]]:
        parts = {dataset: status_of(part) for dataset, part in run.datasets.items()}
        if page:
            write_live(run, parts)
        return parts

    if (watch or page) and json:
        raise UserError(
            f"--{'page' if page else 'watch'}: expected no --json beside it, which is one document"
        )
    if page:
        say(f"page: {shown(run.folder / LIVE)}", whole=True)
    if watch or page:
        keep_watching(look, _show_status, lambda: is_held(run.folder))
        say(f"no driver works on the run: it has ended, or was stopped; `{run.go_on}` goes on")
        return
    parts = look()
    totals = dict.fromkeys(_counts(parts), 0)
    failures = []
    unfinished = False
    for part in parts.values():
        for key in totals:
            totals[key] += part[key]
        failures += part["failures"]
        unfinished |= not has_ended(part)
    yield totals | {"failures": failures, "datasets": parts}
    _show_status(parts)
    if unfinished and not is_held(run.folder):
        say(f"no driver works on the run; `{run.go_on}` goes on")
    show_tracking(run)


def show_tracking(run: Run) -> None:
    """How to see a run in MLflow."""
    steps = filter(None, [run.look_command, run.look_link])
    say(f"MLflow: {'  then open  '.join(steps)}", whole=True)


def _show_status(parts: dict[str, dict[str, Any]]) -> None:
    counts = _counts(parts)
    rows, failures = [], []
    for dataset, part in parts.items():
        rows.append([dataset, *map(part.get, counts)])
        for failure in part["failures"]:
            failures.append([dataset, failure["trial"], failure["kind"], failure["reason"]])
    print_table(["data set", *counts], rows)
    print_table(["data set", "trial", "kind", "reason"], failures, "failed")
    for dataset, part in parts.items():
        for branch, reason in part["left_out"].items():
            say(f"{dataset}: left out: {branch}: {reason}")
        if part["search"]:
            _show_search(dataset, part["search"])


def _counts(parts: dict[str, dict[str, Any]]) -> list[str]:
    keys = next(iter(parts.values()))
    return [key for key in keys if key not in ("failures", "left_out", "search")]


def _show_search(dataset: str, search: dict[str, Any]) -> None:
    """How many trials of each kind of sharing have a result at each rung, and how much of the
    budget is spent.
    """
    rungs = [f"{rung['samples']:,} samples" for rung in search["rungs"]] or ["full length"]
    kinds = [[kind, *reached] for kind, reached in search["kinds"].items()]
    print_table(["sharing", *rungs], kinds, f"trials with a result on {dataset}")
    say("; ".join(_spent(search)), search["ended"])
    running = []
    for job in search["begun"]:
        begun = f"{duration(max(0.0, time.time() - job['since']))} ago"
        running.append([job["trial"], job["sharing"], job["to"], begun])
    print_table(["trial", "sharing", "to samples", "begun"], running, "running, or interrupted")
    if search["failures"]:
        failures = ", ".join(f"{count} {kind}" for kind, count in search["failures"].items())
        say(f"failed: {failures}")


def _spent(search: dict[str, Any]) -> list[str]:
    """What a search has reached, and how much of its budget it has spent."""
    samples, seconds, checkpoints = search["samples"], search["seconds"], search["checkpoints"]
    parts = [f"hypervolume so far {search['hypervolume']:.6f}"]
    if samples["used"]:
        used = f"{samples['used']:,}"
        if samples["budget"]:
            used += f" of {samples['budget']:,}"
        parts.append(f"{used} training samples begun")
    if seconds["budget"]:
        searched = f"searched for {duration(seconds['used'])}"
        if not search["ended"]:
            searched += f", nothing is begun after {duration(seconds['budget'])}"
        parts.append(searched)
    if checkpoints["bytes"]:
        size = quantity(checkpoints["bytes"], "B")
        parts.append(f"{size} of checkpoints of {checkpoints['trials']} trials")
    parts.append(f"{search['share']:.0%} of the budget")
    if search["left"]:
        parts.append(f"about {duration(search['left'])} left")
    return parts


def _sync(run: Run, tracking: str | None) -> CommandOutput:
    """Sends the missing records of a run to MLflow."""
    from bench.app.runs.reporting import sync
    from bench.core.system.credentials import plain_address

    uri = plain_address(tracking) if tracking else run.tracking_uri
    sent = sync(run, tracking)
    yield {"run": run.name, "tracking": uri, "sent": sent}
    counted = []
    for kind, number in sent.items():
        if number:
            counted.append(count(number, kind.removesuffix("s")))
    if counted:
        say(f"sent to {uri}: {', '.join(counted)}")
    else:
        say(f"nothing was missing at {uri}")
