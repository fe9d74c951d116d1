"""`seesaw plan`: the A/B test of a run's verdict, or of a decision's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.app.cli.options import Home, Point, RunName, opened
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError, shortened
from bench.core.system.content import read_toml
from bench.core.system.home import shown
from bench.core.validation import validate

if TYPE_CHECKING:
    from bench.deciding.decision import Decision


def plan(
    run_: RunName,
    point: Point = None,
    traffic: Annotated[
        str | None, typer.Option(metavar="N/day", help="Units that enter the test, both arms.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Column of what has one arm. Default: the card's units.")
    ] = None,
    guardrail: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK=-0.5%", help="The most that a task may lose. Repeat."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Default: that of RUN.")
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """Plan the A/B test of a verdict, or of --point: of a run or a folder of `seesaw decide`:
    users, days, looks.
    """
    from bench.app.report.plan_page import planned, tables, write

    daily = (
        None
        if traffic is None
        else _number("--traffic", traffic, "(.*)/day", "N/day, as in 200000/day")
    )
    losses = {}
    for each in guardrail or ():
        loss = _number("--guardrail", each, "[^=]*=(-.*)%", "TASK=-N%, as in click=-0.5%")
        losses[each.partition("=")[0].strip()] = loss / 100
    folder, decision = _decided(run_, home)
    told = planned(decision, traffic=daily, unit=unit, guardrails=losses, point=point)
    page = write(told, (to or folder).expanduser().resolve())
    yield told | {"page": str(page)}
    say(told["sentence"], *told["notes"])
    for title, (headers, rows) in tables(told).items():
        print_table(headers, rows, title)
    say(f"page: {shown(page)}", whole=True)


def _decided(name: str, home: Path | None) -> tuple[Path, Decision]:
    """The folder, and its decision: that on a log is made again, in seconds, as nothing keeps its
    rows.
    """
    from bench.app.report.log_page import ASKED

    if (file := Path(name).expanduser() / ASKED).is_file():
        from bench.deciding.logged.asked import Asked
        from bench.deciding.logged.log_decision import decide
        from bench.deciding.logged.logged_rows import read

        asked = validate(Asked, read_toml(file), str(file))
        if not asked.log:
            raise UserError(
                f"{file}: expected the files of a log, found none; in Python the decision has "
                "`plan`"
            )
        return file.parent, decide(asked, read(asked, TerminalProgress())).decision
    from bench.app.runs.result import result_of

    run = opened(name, home)
    if len(run.datasets) > 1:
        raise UserError(f"{run.name}: expected a run of one data set, found {len(run.datasets)}")
    return run.folder, result_of(next(iter(run.datasets.values()))).decision


def _number(option: str, text: str, form: str, wanted: str) -> float:
    match = re.fullmatch(form, text.strip())
    try:
        return float(match[1] if match else "")
    except ValueError:
        raise UserError(f"{option}: expected {wanted}, found '{shortened(text)}'") from None
