"""Results of runs, rebuilt from their logs: `seesaw show`, `pick`, `diagnose` and `compare`."""

from __future__ import annotations

import math
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.app.cli.fronts import (
    experiment_front,
    show_expression,
    show_front,
    show_pick,
    show_verdict,
)
from bench.app.cli.options import (
    Formula,
    Full,
    Home,
    RunName,
    Texts,
    opened,
    read_bounds,
    read_language,
    results_of,
)
from bench.app.cli.output import CommandOutput, print_table, say
from bench.core.errors import UserError, shortened
from bench.core.rows import NAMES
from bench.core.system.atomic import atomic_path

if TYPE_CHECKING:
    from bench.ledger.comparison.comparison import Compared, Group


MOST_TESTS = 16
"""Tests of a comparison that a terminal shows."""


def show(
    run_: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's name or path.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Merge all runs of this MLflow experiment instead.")
    ] = None,
    tracking: Annotated[
        str | None,
        typer.Option(help="MLflow's address, with --experiment; default: a file at home."),
    ] = None,
    heads: Annotated[
        bool, typer.Option("--heads", help="Show the front of heads, task against task.")
    ] = False,
    full: Full = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write all cells as one long table to this file."
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="Write the page, one HTML file, here, too."),
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """Show whether to switch and the front that is served; with --heads that of heads; or of an
    MLflow experiment.
    """
    import pandas as pd

    from bench.app.report.text import csv_text
    from bench.app.runs.result import documents

    if (run_ is None) == (experiment is None):
        found = "neither" if run_ is None else "both"
        raise UserError(f"expected a RUN or --experiment NAME, found {found}")
    if experiment is not None:
        for option, file in {"--csv": csv, "--page": page}.items():
            if file is not None:
                raise UserError(f"{option}: expected a RUN beside it, found --experiment")
        yield from experiment_front(experiment, tracking, home)
        return
    if tracking is not None or run_ is None:
        raise UserError(
            "--tracking: expected --experiment NAME beside it; a run's front is read from its own "
            "storage"
        )
    run = opened(run_, home)
    results = results_of(run)
    if page is not None:
        from bench.app.runs.run_page import write_report

        write_report(results, page.expanduser().resolve(), run.name)
    if csv is not None:
        cells = [result.decision.cells.assign(dataset=result.run.key) for result in results]
        table = pd.concat(cells, ignore_index=True)
        with atomic_path(csv.expanduser().resolve()) as temporary:
            temporary.write_text(csv_text(table), encoding="utf-8")
    yield lambda: documents(results)
    for result in results:
        show_front(result, heads, full)
        if result.decision.pick is None:
            show_pick(result, full)


def pick(
    run_: RunName,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="TOML file; default: the suite's policy.")
    ] = None,
    maximize: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="Pick the choice with the most of this; replaces the rule."
        ),
    ] = None,
    value: Annotated[
        Texts,
        typer.Option(
            metavar="TASK=NUMBER", help="Value of one event of a task: click=1; replaces the rule."
        ),
    ] = None,
    at_least: Annotated[
        Texts,
        typer.Option(
            metavar="METRIC=BOUND",
            help='Lower bound: "click.recall@10%=98% of current", or a number.',
        ),
    ] = None,
    at_most: Annotated[
        Texts,
        typer.Option(metavar="METRIC=BOUND", help="Upper bound: cost/latency_ms=5."),
    ] = None,
    formula: Formula = None,
    save: Annotated[
        bool, typer.Option("--save", help="Make the answer the run's pick, which deploy trains.")
    ] = False,
    full: Full = False,
    home: Home = None,
) -> CommandOutput:
    """Answer which configuration, and weights that fuse its tasks, a policy or your question picks;
    --save keeps it.
    """
    from bench.app.runs.folder import PAGE
    from bench.app.runs.picked import write_pick
    from bench.app.runs.result import policy_of, result_of, suite_policy
    from bench.app.runs.run_page import write_report
    from bench.deciding.policy import read_policy

    language = read_language(formula)
    floors, ceilings = read_bounds("--at-least", at_least), read_bounds("--at-most", at_most)
    worth = dict(map(_value, value or ()))
    if worth and maximize is not None:
        raise UserError("--value: expected no --maximize beside it, which is another rule")
    file_policy = policy and read_policy(policy)
    asks = bool(policy or maximize is not None or floors or ceilings or worth)
    results = []
    run = opened(run_, home)
    for part in run.datasets.values():
        followed = (file_policy or suite_policy(part)).asked(maximize, floors, ceilings, worth)
        followed.check(part.tasks, part.card.item_kinds)
        result = result_of(part, followed)
        if asks and result.decision.pick is None:
            raise UserError(result.decision.no_pick)
        results.append(result)
    if save:
        for result in results:
            write_pick(result)
        page = run.folder / PAGE
        if page.exists():  # a page is a sign that the run has ended
            write_report(results, page, run.name)

    saved = save or all(
        result.decision.policy.toml == policy_of(result.run).toml for result in results
    )
    documents = []
    for result in results:
        document = result.decision.picked
        if language is not None:
            document = document | {"expression": result.decision.expression(language)}
        documents.append(document)
    answer = documents[0] if len(documents) == 1 else {"picks": documents}
    saving = shlex.join(["seesaw", *sys.argv[1:], "--save"])
    if not saved:
        answer = answer | {"save": saving}
    yield answer

    for result in results:
        if result.decision.pick is not None:  # else `show_pick` has the reason
            show_verdict(result.decision)
            if language is not None:
                show_expression(result.decision, language)
        say(result.incomplete, result.asked)
        show_pick(result, full)
    if not saved:
        say(f"not saved; to make it the pick that `deploy` trains: {saving}", whole=True)


def _value(text: str) -> tuple[str, float]:
    """A task and its value, of `--value buy=40`."""
    task, _, value = text.partition("=")
    with suppress(ValueError):
        if task.strip() and 0 < float(value) < math.inf:
            return task.strip(), float(value)
    raise UserError(
        f"--value: expected TASK=NUMBER above 0, as in buy=40, found '{shortened(text)}'"
    )


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN..", help="Names or paths of one or more runs.")
    ],
    by: Annotated[
        str,
        typer.Option(help="By sharing, balancing, architecture, trainer, run, sampler or dataset."),
    ] = "balancing",
    metric: Annotated[
        str | None,
        typer.Option(help="Metric to test, as in click.logloss; default: each objective."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="test, or confirm: rows that the search did not see.")
    ] = "test",
    out: Annotated[Path | None, typer.Option(help="Also write FILE.html or FILE.csv.")] = None,
    home: Home = None,
) -> CommandOutput:
    """Compare families of points within or across runs: by how much, and how sure that is."""
    from bench.app.report.comparison_page import write_comparison
    from bench.app.runs.comparing import compare_runs

    if out is not None and out.suffix not in (".html", ".csv"):
        raise UserError(f"--out: expected a file named .html or .csv, found '{out.name}'")
    result = compare_runs([opened(run, home) for run in runs], by, metric, split)
    if out is not None:
        write_comparison(result, out)
    document = result.to_json()
    if out is not None:
        document = document | {"file": str(out)}
    yield document
    for group in result.groups:
        _show_group(group, result)
    ranking = result.ranking
    if ranking is not None:
        rows = zip(ranking.names, ranking.ranks, strict=True)
        title = f"ranks by hypervolume over {ranking.datasets} data sets"
        print_table([result.by, "mean rank"], rows, title)
        say(ranking.sentence)
    say(*result.notes)
    if out is not None:
        say(f"written: {out}", whole=True)


def _show_group(group: Group, result: Compared) -> None:
    from bench.ledger.comparison.comparison import FAMILY_HEADS, TEST_HEADS, family_rows, texts_of
    from bench.ledger.effect import LEVEL

    compared, rows = group.comparison, NAMES[result.split]
    say(
        f"{group.dataset}, {rows}: does any gradient method lie beyond the front of static weights?"
    )
    say(group.answer.sentence, group.reason)
    if not group.reason:
        title = f"families on {group.dataset}, {rows}"
        print_table([result.by, *FAMILY_HEADS], family_rows(compared), title)
    title = (
        f"tests on {rows}, {LEVEL:.0%} intervals; in a metric each family stands for the average "
        f"of its {compared.members} best confirmed trials"
    )
    print_table(TEST_HEADS, map(texts_of, compared.tests[:MOST_TESTS]), title)
    not_shown = len(compared.tests) - MOST_TESTS
    if not_shown > 0:
        say(f"and {not_shown} more rows: --out FILE.html or FILE.csv has them")
    say(*compared.notes)
    if group.unconfirmed:
        say(f"without a confirmed point: {', '.join(group.unconfirmed)}")
