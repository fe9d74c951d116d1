"""`seesaw status`, `frontier`, `report`, `pick` and `diagnose`: all rebuilt from the log of a
run.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.fronts import (
    experiment_front,
    show_expression,
    show_front,
    show_pick,
    show_verdict,
)
from bench.app.cli.options import Formula, Full, Home, Json, RunName, opened, read_bound, read_value
from bench.app.cli.output import CommandOutput, print_table, quantity, say
from bench.core.errors import UserError
from bench.core.formula import language_of
from bench.core.system.atomic import atomic_path
from bench.core.system.progress import duration

if TYPE_CHECKING:
    from bench.app.runs.folder import Run
    from bench.app.runs.result import DatasetResult
    from bench.core.records import Point
    from bench.ledger.diagnosis import References


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
    json: Json = False,
    home: Home = None,
) -> CommandOutput:
    """Show what is running, done, and failed, and why."""
    from bench.app.cli.output import watch as keep_watching
    from bench.app.runs.folder import LIVE
    from bench.app.runs.run_page import write_live
    from bench.app.runs.status import status_of
    from bench.core.system.home import shown
    from bench.core.system.lock import is_held

    run = opened(run_, home)
    datasets = run.datasets

    def look() -> dict[str, dict[str, Any]]:
        parts = {dataset: status_of(dataset_run) for dataset, dataset_run in datasets.items()}
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
        say("no driver works on the run: it has ended, or was stopped and can be resumed")
        return
    parts = look()
    total = {key: sum(part[key] for part in parts.values()) for key in _counts(parts)}
    failures = [failure for part in parts.values() for failure in part["failures"]]
    yield total | {"failures": failures, "datasets": parts}
    _show_status(parts)
    unfinished = any(not part["search"] or part["search"]["left"] != 0 for part in parts.values())
    if unfinished and not is_held(run.folder):
        say(f"no driver works on the run; `seesaw resume {run.name}` goes on")
    show_tracking(run)


def show_tracking(run: Run) -> None:
    """How to see a run in MLflow."""
    look = f"{run.look_command}  then open  " if run.look_command else ""
    say(f"MLflow: {look}{run.look_link}", whole=True)


def _show_status(parts: dict[str, dict[str, Any]]) -> None:
    counts = _counts(parts)
    print_table(
        ["data set", *counts],
        [[dataset, *(part[key] for key in counts)] for dataset, part in parts.items()],
    )
    failures = [
        [dataset, f["trial"], f["kind"], f["reason"]]
        for dataset, part in parts.items()
        for f in part["failures"]
    ]
    print_table(["data set", "trial", "kind", "reason"], failures, "failed")
    for dataset, part in parts.items():
        say(
            *(
                f"{dataset}: left out: {branch}: {reason}"
                for branch, reason in part["left_out"].items()
            )
        )
        if part["search"]:
            _show_search(dataset, part["search"])


def _counts(parts: dict[str, dict[str, Any]]) -> list[str]:
    return [
        key for key in next(iter(parts.values())) if key not in ("failures", "left_out", "search")
    ]


def _show_search(dataset: str, search: dict[str, Any]) -> None:
    """How many trials of each kind of sharing have a result at each rung, and what was used of the
    budget.
    """
    rungs = [f"{rung['samples']:,} samples" for rung in search["rungs"]] or ["full length"]
    rows = [[kind, *reached] for kind, reached in search["kinds"].items()]
    print_table(["sharing", *rungs], rows, f"trials with a result on {dataset}")
    used = [f"hypervolume so far {search['hypervolume']:.6f}"]
    if search["samples"]["used"]:
        budget = search["samples"]["budget"]
        of = f" of {budget:,}" if budget else ""
        used.append(f"{search['samples']['used']:,}{of} training samples begun")
    if search["seconds"]["budget"]:
        limit = (
            ""
            if search["ended"]
            else f", nothing is begun after {duration(search['seconds']['budget'])}"
        )
        used.append(f"searched for {duration(search['seconds']['used'])}{limit}")
    if (kept := search["checkpoints"])["bytes"]:
        used.append(f"{quantity(kept['bytes'], 'B')} of checkpoints of {kept['trials']} trials")
    used.append(f"{search['share']:.0%} of the budget")
    if search["left"]:
        used.append(f"about {duration(search['left'])} left")
    say("; ".join(used), search["ended"])
    begun = [
        [
            job["trial"],
            job["sharing"],
            job["to"],
            f"{duration(max(0.0, time.time() - job['since']))} ago",
        ]
        for job in search["begun"]
    ]
    print_table(["trial", "sharing", "to samples", "begun"], begun, "running, or interrupted")
    if search["failures"]:
        say("failed: " + ", ".join(f"{count} {kind}" for kind, count in search["failures"].items()))


def frontier_command(
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
    home: Home = None,
) -> CommandOutput:
    """Show whether to switch and the front that is served; with --heads that of heads; or of an
    MLflow experiment.
    """
    import pandas as pd

    from bench.app.report.text import csv_text
    from bench.app.runs.result import documents, result_of

    if (run_ is None) == (experiment is None):
        raise UserError(
            "expected a RUN or --experiment NAME, found " + ("neither" if run_ is None else "both")
        )
    if experiment is not None:
        if csv is not None:
            raise UserError("--csv: expected a RUN beside it, found --experiment")
        yield from experiment_front(experiment, tracking, home)
        return
    if tracking is not None or run_ is None:
        raise UserError(
            "--tracking: expected --experiment NAME beside it; a run's front is read from its own "
            "storage"
        )
    results = [result_of(part) for part in opened(run_, home).datasets.values()]
    if csv is not None:
        table = pd.concat(
            [result.decision.cells.assign(dataset=result.run.key) for result in results],
            ignore_index=True,
        )
        with atomic_path(csv.expanduser().resolve()) as temporary:
            temporary.write_text(csv_text(table), encoding="utf-8")
    yield lambda: documents(results)
    for result in results:
        show_front(result, heads, full)
        if result.decision.pick is None:
            show_pick(result, full)


def report(
    run_: RunName,
    out: Annotated[
        Path | None,
        typer.Option(help="File of the page; default: report.html in the run's folder."),
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """Write one self-contained HTML page."""
    from bench.app.runs.folder import PAGE
    from bench.app.runs.result import result_of
    from bench.app.runs.run_page import write_report

    run = opened(run_, home)
    page = run.folder / PAGE if out is None else out.expanduser().resolve()
    write_report([result_of(part) for part in run.datasets.values()], page, run.name)
    yield {"page": str(page)}
    say(str(page), whole=True)


def pick_command(
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
        list[str] | None,
        typer.Option(
            metavar="TASK=NUMBER", help="Value of one event of a task: click=1; replaces the rule."
        ),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC=BOUND",
            help='Lower bound: "click.recall@10%=98% of current", or a number.',
        ),
    ] = None,
    at_most: Annotated[
        list[str] | None,
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
    from bench.app.runs.picked import write_pick
    from bench.app.runs.result import policy_of, result_of, suite_policy
    from bench.deciding.policy import read_policy

    language = None if formula is None else language_of(formula, "--formula")
    floors = dict(read_bound("--at-least", each) for each in at_least or ())
    ceilings = dict(read_bound("--at-most", each) for each in at_most or ())
    worth = dict(read_value(each) for each in value or ())
    if worth and maximize is not None:
        raise UserError("--value: expected no --maximize beside it, which is another rule")
    given = None if policy is None else read_policy(policy)
    asked = given is not None or maximize is not None or bool(floors or ceilings or worth)
    results = []
    for dataset_run in opened(run_, home).datasets.values():
        followed = (given or suite_policy(dataset_run)).asked(maximize, floors, ceilings, worth)
        followed.check(dataset_run.tasks, dataset_run.card.item_kinds)
        results.append(result_of(dataset_run, followed))
        if asked and results[-1].decision.pick is None:
            raise UserError(results[-1].decision.no_pick)
    for result in results if save else ():
        write_pick(result)
    saved = save or all(
        result.decision.policy.toml == policy_of(result.run).toml for result in results
    )
    saving = "" if saved else shlex.join(["seesaw", *sys.argv[1:], "--save"])
    documents = [result.decision.picked for result in results]
    if language is not None:
        expressions = [{"expression": result.decision.expression(language)} for result in results]
        documents = [document | more for document, more in zip(documents, expressions, strict=True)]
    yield (documents[0] if len(documents) == 1 else {"picks": documents}) | (
        {} if saved else {"save": saving}
    )
    for result in results:
        if result.decision.pick is not None:  # else the sentence below has the reason
            show_verdict(result.decision)
            if language is not None:
                show_expression(result.decision, language)
        say(result.incomplete, result.asked)
        show_pick(result, full)
    if not saved:
        say(f"not saved; to make it the pick that `deploy` trains: {saving}", whole=True)


def diagnose(
    run_: RunName,
    trial: Annotated[
        int | None,
        typer.Argument(metavar="[TRIAL]", help="Number of the trial; default: the picked one."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every trial with a result, by number.")
    ] = False,
    home: Home = None,
) -> CommandOutput:
    """Say what holds a trial's tasks back, with the evidence."""
    from bench.app.runs.result import result_of
    from bench.app.runs.run_page import drift_of
    from bench.ledger import drift
    from bench.ledger.diagnosis import References

    if every and trial is not None:
        raise UserError(f"expected either a trial or --all, found both: trial {trial}")
    documents: dict[str, Any] = {}
    drifts: dict[str, list[str]] = {}
    for key, dataset_run in opened(run_, home).datasets.items():
        result = result_of(dataset_run)
        references = References(result.decision.frontier.points, result.objectives)
        if every:
            points = [record.points[-1] for record in result.records if record.measured]
        else:
            points = [_chosen(result) if trial is None else _numbered(result, trial)]
        trials = [_document(point, references, result) for point in points]
        changed = drift_of(result)
        drifts[key] = drift.sentences(changed, len(changed))
        documents[key] = ({"trials": trials} if every else trials[0]) | {
            "drift": [vars(each) for each in changed]
        }
    yield next(iter(documents.values())) if len(documents) == 1 else {"datasets": documents}
    for key, document in documents.items():
        for own in document["trials"] if every else [document]:
            _show(key, own)
        say(*drifts[key])


def _document(point: Point, references: References, result: DatasetResult) -> dict[str, Any]:
    from bench.ledger.diagnosis import sentences
    from bench.ledger.within import warning

    blind = warning(result.areas, point.id, str(result.run.card.group))
    return {
        "trial": point.number,
        "samples": point.until,
        "architecture": point.architecture,
        "balancing": point.balancing,
        "sentences": [
            *sentences(point.diagnosis, references.gaps(point)),
            *([blind] if blind else []),
        ],
        "diagnosis": point.diagnosis,
        "rungs": [{"samples": rung.samples, "diagnosis": rung.diagnosis} for rung in point.rungs],
    }


def _chosen(result: DatasetResult) -> Point:
    """The picked point; where no trial was picked, the best in the first objective."""
    from bench.ledger.points import best

    if result.decision.pick is not None and result.decision.pick.trial is not None:
        return next(
            point
            for point in result.decision.frontier.points
            if point.id == result.decision.pick.point
        )
    trials = [point for point in result.decision.frontier.points if point.number is not None]
    chosen = best(trials, result.objectives[0])
    if chosen is None:
        raise UserError(f"{result.run.key}: expected a trial with a result, found none")
    return chosen


def _numbered(result: DatasetResult, trial: int) -> Point:
    if not 0 <= trial < len(result.records):
        raise UserError(
            f"expected a trial of {result.run.key}, 0 to {len(result.records) - 1}, found {trial}"
        )
    if not (record := result.records[trial]).measured:
        raise UserError(
            f"expected a trial with a result, found trial {trial} of {result.run.key}, "
            f"{record.state}"
        )
    return record.points[-1]


def _show(dataset: str, document: dict[str, Any]) -> None:
    length = (
        "" if document["samples"] is None else f", stopped after {document['samples']:,} samples"
    )
    model = f"{document['architecture']}, {document['balancing']}{length}"
    say(f"trial {document['trial']} on {dataset}: {model}", *document["sentences"])
    if not (diagnosis := document["diagnosis"]):
        return
    probes = (
        f"{diagnosis['probes']} probes of {diagnosis['rows']} rows, one in "
        f"{diagnosis['every']} steps"
    )
    angles = [
        [
            " and ".join(pair["tasks"]),
            block,
            angle["cosine"],
            _percent([angle["below_zero"]]),
            angle["probes"],
        ]
        for pair in diagnosis["pairs"]
        for block, angle in pair["blocks"].items()
    ]
    print_table(
        ["tasks", "block", "mean cosine", "below 0", "probes"], angles, f"gradients: {probes}"
    )
    norms = [
        [
            task,
            block,
            of["norm"][block],
            of["weight"],
            of["pull"][block],
            of["loss"],
            of["loss_over_base"],
        ]
        for task, of in diagnosis["tasks"].items()
        for block in of["norm"]
    ]
    headers = ["task", "block", "norm", "weight", "weight x norm", "loss", "loss / base rate's"]
    print_table(headers, norms, f"sizes: {probes}")
    course = [
        [name, *(of[key] for key in ("best", "best_samples", "lost"))]
        for name, of in diagnosis["course"].items()
    ]
    print_table(["objective", "best", "after samples", "lost since"], course, "course")
    gates = [
        [
            name,
            task,
            _percent(gate["share"][at]),
            gate["entropy"][at],
            "yes" if gate["collapsed"][at] else "no",
        ]
        for name, gate in diagnosis["experts"]["gates"].items()
        for at, task in enumerate(gate["of"])
    ]
    print_table(["gate", "of", "share of each expert", "entropy", "collapsed"], gates, "experts")
    units = [
        [name, _percent(of["dead"]), sum(of["silent"])]
        for name, of in diagnosis["experts"]["units"].items()
    ]
    print_table(["hidden units", "dead, in each expert", "experts silent"], units)


def _percent(shares: Iterable[float | None]) -> str:
    return ", ".join("-" if share is None else f"{share:.0%}" for share in shares)
