"""Decides from the predictions of a log: `seesaw decide`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.fronts import MOST_MODELS, print_served, show_expression, show_verdict
from bench.app.cli.options import Formula, Home, read_bound
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError, shortened
from bench.core.formula_languages import language_of
from bench.core.system.content import read_toml
from bench.core.system.home import resolve_home
from bench.core.validation import validate

if TYPE_CHECKING:
    from bench.deciding.logged.asked import Asked
    from bench.deciding.logged.decision import LogResult


def decide(
    log: Annotated[
        list[str] | None, typer.Argument(metavar="LOG..", help="CSV or parquet files, or folders.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="decide.toml, in place of other options.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Column of a task's label. Repeat.")
    ] = None,
    parent: Annotated[
        list[str] | None, typer.Option(metavar="TASK=TASK", help="What happens first: buy=click.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN,..",
            help="A model's predictions by label; seeds as NAME#0=.. Repeat.",
        ),
    ] = None,
    today: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model that serves today.")
    ] = None,
    score: Annotated[str | None, typer.Option(metavar="COLUMN", help="Today's score.")] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FORMULA", help='As "3 p_click + 40 p_click p_buy".')
    ] = None,
    value: Annotated[
        list[str] | None, typer.Option(metavar="TASK=NUMBER", help="Value of one event. Repeat.")
    ] = None,
    amount: Annotated[
        list[str] | None, typer.Option(metavar="TASK=COLUMN", help="A row's amount: click=bid.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=KIND",
            help="A label: binary or value; else probability, log-odds, order, value.",
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose rows are ranked together: a request.")
    ] = None,
    units: Annotated[
        str | None, typer.Option(help="Column whose rows belong together: a user.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column: earlier rows choose weights, later ones judge.")
    ] = None,
    part: Annotated[str | None, typer.Option(help="Column with choose and judge.")] = None,
    segment: Annotated[list[str] | None, typer.Option(help="Column of segments. Repeat.")] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="What is shown: author=author_id. Repeat."),
    ] = None,
    item_number: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="Its numbers: age=age_days. Repeat."),
    ] = None,
    random: Annotated[
        str | None, typer.Option(help="Column: 1 in rows shown at random, which then judge.")
    ] = None,
    propensity: Annotated[
        str | None, typer.Option(help="Column: the chance that a row was shown.")
    ] = None,
    trained_until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Leave rows out up to it.")
    ] = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="No model was trained on these rows.")
    ] = False,
    given: Annotated[
        list[str] | None, typer.Option(help="Task that is predicted given its parent.")
    ] = None,
    joint: Annotated[
        list[str] | None, typer.Option(help="Task that is predicted with its parent.")
    ] = None,
    sampling: Annotated[
        float | None, typer.Option(help="Share of rows without a positive that was kept.")
    ] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(help="What is served: click.ndcg@5. Repeat.")
    ] = None,
    no_recalibration: Annotated[
        bool, typer.Option("--no-recalibration", help="Try no recalibrated models.")
    ] = False,
    policy: Annotated[Path | None, typer.Option("--policy", help="TOML file.")] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTCOME=BOUND", help='Lower bound: "click.recall@10%=98% of current". Repeat.'
        ),
    ] = None,
    at_most: Annotated[
        list[str] | None, typer.Option(metavar="OUTCOME=BOUND", help="Upper bound. Repeat.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all that is drawn.")] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Write page, cells and JSON there."),
    ] = None,
    tracking: Annotated[
        str | None, typer.Option(help="MLflow address to log all of it to; needs --to.")
    ] = None,
    formula: Formula = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print the options as decide.toml, and stop.")
    ] = False,
    home: Home = None,
) -> CommandOutput:
    """Decide from a log's predictions which model and weights to serve; nothing is trained."""
    options: dict[str, Any] = {
        "log": log,
        "labels": label,
        "parents": _pairs("--parent", "TASK=TASK as in buy=click", parent),
        "models": _pairs("--model", "NAME=COLUMN,COLUMN as in today=p_click,p_buy", model),
        "today": today,
        "score": score,
        "weights": weights,
        "group": group,
        "units": units,
        "time": time,
        "part": part,
        "values": _pairs("--value", "TASK=NUMBER as in buy=40", value),
        "segments": segment,
        "seed": seed,
        "amounts": _pairs("--amount", "TASK=COLUMN as in click=bid", amount),
        "trained_until": trained_until,
        "kinds": _pairs("--kind", "COLUMN=KIND as in p_click=log-odds", kind),
        "unseen": unseen or None,
        "given": given,
        "joint": joint,
        "sampling": sampling,
        "outcomes": outcome,
        "items": _pairs("--item", "NAME=COLUMN as in author=author_id", item),
        "item_numbers": _pairs("--item-number", "NAME=COLUMN as in age=age_days", item_number),
        "random": random,
        "propensity": propensity,
        "recalibrate": False if no_recalibration else None,
    }
    bounds = {"at_least": _bounds("--at-least", at_least), "at_most": _bounds("--at-most", at_most)}
    asked = _asked(
        {name: each for name, each in options.items() if each is not None}, file, policy, bounds
    )
    language = None if formula is None else language_of(formula, "--formula")
    if toml:
        yield {"toml": asked.toml}
        say(asked.toml.rstrip(), whole=True)
        return
    from bench.app.report.log_page import target, write

    folder = None if to is None else target(to)
    if tracking is not None and folder is None:
        raise UserError("--tracking: expected --to FOLDER beside it, whose files it logs")
    progress = TerminalProgress()
    progress.note(f"reading {', '.join(asked.log)}")
    from bench.deciding.logged.decision import decide as decision_of
    from bench.deciding.logged.log import read

    result = decision_of(asked, read(asked, progress))
    decision = result.decision
    if policy is not None and decision.pick is None and decision.serving.served is not None:
        raise UserError(decision.no_pick)
    page = None if folder is None else write(result, folder)
    if tracking is not None and folder is not None:
        from bench.app.tracking.decisions import log_decision

        name = Path(asked.log[0]).name
        log_decision(
            name,
            decision.verdict.sentence,
            decision.verdict.changes,
            folder,
            tracking,
            resolve_home(home),
        )
    more = {"page": str(page)} if page else {}
    if language is not None:
        more["expression"] = decision.expression(language)
    yield result.document | more
    _show(result, page)
    if language is not None:
        show_expression(decision, language)


def _bounds(option: str, given: list[str] | None) -> dict[str, float | str]:
    return dict(read_bound(option, text) for text in given or ())


def _asked(
    options: dict[str, Any],
    file: Path | None,
    policy: Path | None,
    bounds: dict[str, dict[str, float | str]],
) -> Asked:
    from bench.deciding.logged.asked import Asked

    bounds = {name: limits for name, limits in bounds.items() if limits}
    if file is not None:
        if others := [name for name in (*options, *bounds) if name != "log"]:
            raise UserError(
                f"--file: expected no other options beside it, found {', '.join(others)}"
            )
        more = {} if policy is None else {"policy": read_toml(policy)}
        return validate(Asked, read_toml(file) | options | more, str(file))
    if policy is not None:
        options["policy"] = read_toml(policy)
    if bounds:
        asked_policy = options.setdefault("policy", {})
        guard = asked_policy.setdefault("guard", {})
        for name, limits in bounds.items():
            guard[name] = guard.get(name, {}) | limits
    for name, option in (("log", "LOG"), ("labels", "--label"), ("models", "--model")):
        if not options.get(name):
            raise UserError(
                f"expected {option}, found none; as in: seesaw decide log.csv --label click "
                "--label buy --model today=p_click,p_buy"
            )
    return validate(Asked, options, "")


def _pairs(option: str, form: str, given: list[str] | None) -> dict[str, str] | None:
    pairs: dict[str, str] = {}
    for text in given or ():
        name, equals, value = (each.strip() for each in text.partition("="))
        if not (name and equals and value):
            raise UserError(f"{option}: expected {form}, found '{shortened(text)}'")
        if name in pairs:
            raise UserError(f"{option}: expected each name once, found '{name}' twice")
        pairs[name] = value
    return pairs or None


def _show(result: LogResult, page: Path | None) -> None:
    decision = result.decision
    show_verdict(decision)
    say(*decision.verdict.notes)
    if decision.serving.served is not None:
        print_served(decision, "served front on the rows that judge,")
    else:
        say(decision.no_pick)
    say(*decision.readings)
    for note in result.notes:
        say(note)
    from bench.app.report.log_page import HEADERS

    rows = list(result.calibration)
    if len({each.model for each in rows}) > MOST_MODELS:
        shown = {each.point for each in decision.verdict.models[:MOST_MODELS]} | {
            result.asked.served
        }
        rows = [each for each in rows if each.model in shown]
    print_table(HEADERS, [list(each) for each in rows], "predictions on the rows that judge")
    if left := len(result.calibration) - len(rows):
        say(f"{left:,} more rows are on the page that --to writes")
    if page is not None:
        say(f"page: {page}", whole=True)
