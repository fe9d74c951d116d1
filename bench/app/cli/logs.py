"""Logs of predictions: `seesaw decide` decides from one, `seesaw data export` writes a run's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.fronts import MOST_MODELS, print_served, show_expression, show_verdict
from bench.app.cli.judged import fail_by_rules, judged_document, show_judged
from bench.app.cli.options import (
    Formula,
    Home,
    RunName,
    Texts,
    only_part,
    opened,
    options_of,
    read_bounds,
    read_language,
    validated,
)
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError
from bench.core.plain import names
from bench.core.system.content import read_toml
from bench.core.system.home import resolve_home
from bench.core.validation import validate
from bench.deciding.logged.asked import Asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.deciding.logged.log_decision import LogResult
    from bench.serve.fail_if import Rule, RuleResult
    from bench.serve.log_judging import LogJudgement


@options_of(Asked, without=("log", "rates", "baselines", "policy"), defaults=False)
def decide(
    asked: dict[str, Any],
    log: Annotated[
        Texts,
        typer.Argument(metavar="LOG..", help="CSV or parquet files, folders or quoted patterns."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="decide.toml, in place of other options.")
    ] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="TOML file.")] = None,
    at_least: Annotated[
        Texts,
        typer.Option(
            metavar="OUTCOME=BOUND", help='Lower bound: "click.recall@10%=98% of current". Repeat.'
        ),
    ] = None,
    at_most: Annotated[
        Texts, typer.Option(metavar="OUTCOME=BOUND", help="Upper bound. Repeat.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Write page, cells and JSON there."),
    ] = None,
    tracking: Annotated[
        str | None,
        typer.Option(help="MLflow address: of packages; beside --to all is logged."),
    ] = None,
    fail_if: Annotated[
        Texts,
        typer.Option(
            help="Exit with 1 if so: a gain 'buy.recall@10% < -1%', a value 'buy.recall@10% < "
            "0.3'. Repeat."
        ),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For a nightly job: keep what rules measure there, and ask them over all nights.",
        ),
    ] = None,
    formula: Formula = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print the options as decide.toml, and stop.")
    ] = False,
    home: Home = None,
) -> CommandOutput:
    """Decide from a log's predictions which model and weights to serve; nothing is trained."""
    if log is not None:
        asked = {"log": log, **asked}
    bounds = {
        "at_least": read_bounds("--at-least", at_least),
        "at_most": read_bounds("--at-most", at_most),
    }
    request = _request(asked, file, policy, bounds)
    language = read_language(formula)
    if toml:
        yield {"toml": request.toml}
        say(request.toml.rstrip(), whole=True)
        return
    from bench.app.report.log_page import target, write

    rules = _rules(fail_if or ())
    if watch is not None and not rules:
        raise UserError("--watch: expected --fail-if beside it, found none")
    folder = to and target(to)
    if tracking is not None and folder is None and not request.packages:
        raise UserError("--tracking: expected --to FOLDER beside it, whose files it logs")
    progress = TerminalProgress()
    progress.note(f"reading {', '.join(request.log)}")
    from bench.app.runs.log import decide_on

    result = decide_on(request, progress, resolve_home(home), tracking=tracking)
    decision = result.decision
    if policy is not None and decision.pick is None and decision.serving.served is not None:
        raise UserError(decision.no_pick)
    document = result.document
    judged, results = None, list["RuleResult"]()
    if rules or (request.packages and decision.serving.served is not None):
        from bench.serve.log_judging import judged_in

        judged = judged_in(result, rules)
        results = _asked(rules, judged, result, watch)
        document["judged"] = judged_document(judged, results)
    page = None
    if folder is not None:
        page = write(result, folder)
        document["page"] = str(page)
        if tracking is not None:
            _track(result, folder, tracking, home)
    if language is not None:
        document["expression"] = decision.expression(language)
    try:
        yield document
    except GeneratorExit:  # no words follow a document
        fail_by_rules(results)
        raise
    _show(result, page)
    if language is not None:
        show_expression(decision, language)
    if judged is not None:
        show_judged(judged, results)
    fail_by_rules(results)


def _rules(texts: Sequence[str]) -> list[Rule]:
    """Rules of `--fail-if`; without one, nothing loads what only packages need."""
    if not texts:
        return []
    from bench.serve.fail_if import Rule

    return [Rule.parse(text) for text in texts]


def _asked(
    rules: Sequence[Rule], judged: LogJudgement, result: LogResult, file: Path | None
) -> list[RuleResult]:
    """What rules say; with a file over all nights in it."""
    judgements = [*judged.outcomes, *judged.predictions]
    if file is None:
        return [rule.result(judgements) for rule in rules]
    from bench.core.rows import TEST
    from bench.serve.watch import Watch, digest_of

    rows = result.rows[TEST]
    watch = Watch.read(file, digest_of([rows.labels, rows.group]))
    results = [rule.result(judgements, watch) for rule in rules]
    watch.write()
    return results


def _request(
    asked: dict[str, Any],
    file: Path | None,
    policy: Path | None,
    bounds: dict[str, dict[str, float | str]],
) -> Asked:
    bounds = {name: limits for name, limits in bounds.items() if limits}
    if file is not None:
        beside_file = [*asked, *bounds]
        if "log" in asked:
            beside_file.remove("log")
        if beside_file:
            raise UserError(
                f"--file: expected no other options beside it, found {', '.join(beside_file)}"
            )
        asked = read_toml(file) | asked
    if policy is not None:
        asked["policy"] = read_toml(policy)
    if file is not None:
        return validate(Asked, asked, str(file))

    if bounds:
        guard = asked.setdefault("policy", {}).setdefault("guard", {})
        for name, limits in bounds.items():
            guard[name] = guard.get(name, {}) | limits
    for name, option in (("log", "LOG"), ("labels", "--label"), ("models", "--model")):
        if not asked.get(name):
            raise UserError(
                f"expected {option}, found none; as in: seesaw decide log.csv --label click "
                "--label buy --model today=p_click,p_buy"
            )
    return validated(Asked, asked)


def _track(result: LogResult, folder: Path, tracking: str, home: Path | None) -> None:
    from bench.app.tracking.logbook import log_decision

    verdict, name = result.decision.verdict, Path(result.asked.log[0]).name
    log_decision(name, verdict.sentence, verdict.changes, folder, tracking, resolve_home(home))


def _show(result: LogResult, page: Path | None) -> None:
    from bench.app.report.log_page import HEADERS

    decision = result.decision
    show_verdict(decision)
    say(*decision.verdict.notes)
    if decision.serving.served is not None:
        print_served(decision, "served front on the rows that judge,")
    else:
        say(decision.no_pick)
    say(*decision.readings, *result.notes)
    qualities = list(result.calibration)
    if len({quality.model for quality in qualities}) > MOST_MODELS:
        shown_models = {model.point for model in decision.verdict.models[:MOST_MODELS]}
        shown_models.add(result.asked.todays_model)
        qualities = [quality for quality in qualities if quality.model in shown_models]
    print_table(HEADERS, qualities, "predictions on the rows that judge")
    not_shown = len(result.calibration) - len(qualities)
    if not_shown:
        say(f"{not_shown:,} more rows are on the page that --to writes")
    if page is not None:
        say(f"page: {page}", whole=True)


def export(
    run_: RunName,
    points: Annotated[
        str | None,
        typer.Option(
            "--points", "--point", help="Points of `seesaw show`, as in 7,trees; default: all."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="valid, confirm or test; default: all three.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV or parquet file; default: in the run's folder.")
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """Write predictions of a run's points with labels, as a log that `seesaw decide` reads."""
    from bench.app.runs.export import export as export_to
    from bench.app.runs.result import result_of

    part = only_part(opened(run_, home))
    written = export_to(result_of(part), out, names(points), split)
    yield {
        "log": str(written.log),
        "options": str(written.options),
        "rows": written.rows,
        "points": list(written.points),
        "command": written.command,
        "notes": list(written.notes),
    }
    say(
        f"{written.log}: {written.rows:,} rows, predictions of {', '.join(written.points)}",
        whole=True,
    )
    say(*written.notes)
    say(f"next: {written.command}", whole=True)
