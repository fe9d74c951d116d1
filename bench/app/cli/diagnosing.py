"""What holds a trial's tasks back: `seesaw diagnose`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import Home, RunName, opened
from bench.app.cli.output import CommandOutput, print_table, say
from bench.core.errors import UserError

if TYPE_CHECKING:
    from bench.app.runs.result import DatasetResult
    from bench.core.records import Point
    from bench.ledger.diagnosis import References


def diagnose(
    run_: RunName,
    trial: Annotated[
        int | None,
        typer.Argument(metavar="[TRIAL]", help="Number of the trial; default: the picked one."),
    ] = None,
    all_trials: Annotated[
        bool, typer.Option("--all", help="Every trial with a result, by number.")
    ] = False,
    home: Home = None,
) -> CommandOutput:
    """Say what holds a trial's tasks back, with the evidence."""
    from bench.app.runs.result import by_dataset, result_of
    from bench.app.runs.run_page import drift_of
    from bench.ledger import drift
    from bench.ledger.diagnosis import References

    if all_trials and trial is not None:
        raise UserError(f"expected either a trial or --all, found both: trial {trial}")
    documents: dict[str, dict[str, Any]] = {}
    drift_sentences: dict[str, list[str]] = {}
    for key, part in opened(run_, home).datasets.items():
        result = result_of(part)
        references = References(result.decision.frontier.points, result.objectives)
        changes = drift_of(result)
        drift_sentences[key] = drift.sentences(changes, len(changes))
        document: dict[str, Any]
        if all_trials:
            points = [record.points[-1] for record in result.records if record.measured]
            document = {"trials": [_diagnosed(point, references, result) for point in points]}
        else:
            point = _chosen(result) if trial is None else _numbered(result, trial)
            document = _diagnosed(point, references, result)
        documents[key] = document | {"drift": list(map(vars, changes))}
    yield by_dataset(documents)
    for key, document in documents.items():
        for diagnosed in document["trials"] if all_trials else [document]:
            _show_diagnosed(key, diagnosed)
        say(*drift_sentences[key])


def _diagnosed(point: Point, references: References, result: DatasetResult) -> dict[str, Any]:
    from bench.ledger.diagnosis import sentences
    from bench.ledger.within import warning

    causes = [*sentences(point.diagnosis, references.gaps(point))]
    blind = warning(result.areas, point.id, str(result.run.card.group))
    if blind:
        causes.append(blind)
    return {
        "trial": point.number,
        "samples": point.until,
        "architecture": point.architecture,
        "balancing": point.balancing,
        "sentences": causes,
        "diagnosis": point.diagnosis,
        "rungs": [{"samples": rung.samples, "diagnosis": rung.diagnosis} for rung in point.rungs],
    }


def _chosen(result: DatasetResult) -> Point:
    """The picked point; where no trial was picked, the best in the first objective."""
    from bench.ledger.points import best

    points, picked = result.decision.frontier.points, result.decision.pick
    if picked is not None and picked.trial is not None:
        return next(point for point in points if point.id == picked.point)
    trials = [point for point in points if point.number is not None]
    best_trial = best(trials, result.objectives[0])
    if best_trial is None:
        raise UserError(f"{result.run.key}: expected a trial with a result, found none")
    return best_trial


def _numbered(result: DatasetResult, trial: int) -> Point:
    if not 0 <= trial < len(result.records):
        raise UserError(
            f"expected a trial of {result.run.key}, 0 to {len(result.records) - 1}, found {trial}"
        )
    record = result.records[trial]
    if not record.measured:
        raise UserError(
            f"expected a trial with a result, found trial {trial} of {result.run.key}, "
            f"{record.state}"
        )
    return record.points[-1]


def _show_diagnosed(dataset: str, document: dict[str, Any]) -> None:
    model = f"{document['architecture']}, {document['balancing']}"
    if document["samples"] is not None:
        model += f", stopped after {document['samples']:,} samples"
    say(f"trial {document['trial']} on {dataset}: {model}", *document["sentences"])
    if document["diagnosis"]:
        _show_gradients(document["diagnosis"])
        _show_course(document["diagnosis"]["course"])
        _show_experts(document["diagnosis"]["experts"])


def _show_gradients(diagnosis: dict[str, Any]) -> None:
    probes = (
        f"{diagnosis['probes']} probes of {diagnosis['rows']} rows, one in "
        f"{diagnosis['every']} steps"
    )
    angles = []
    for pair in diagnosis["pairs"]:
        tasks = " and ".join(pair["tasks"])
        for block, angle in pair["blocks"].items():
            below_zero = _per_cent([angle["below_zero"]])
            angles.append([tasks, block, angle["cosine"], below_zero, angle["probes"]])
    headers = ["tasks", "block", "mean cosine", "below 0", "probes"]
    print_table(headers, angles, f"gradients: {probes}")
    sizes = []
    for task, sums in diagnosis["tasks"].items():
        losses = [sums["loss"], sums["loss_over_base"]]
        for block, norm in sums["norm"].items():
            sizes.append([task, block, norm, sums["weight"], sums["pull"][block], *losses])
    headers = ["task", "block", "norm", "weight", "weight x norm", "loss", "loss / base rate's"]
    print_table(headers, sizes, f"sizes: {probes}")


def _show_course(course: dict[str, Any]) -> None:
    rows = []
    for objective, facts in course.items():
        rows.append([objective, facts["best"], facts["best_samples"], facts["lost"]])
    print_table(["objective", "best", "after samples", "lost since"], rows, "course")


def _show_experts(experts: dict[str, Any]) -> None:
    gates = []
    for name, gate in experts["gates"].items():
        facts = zip(gate["of"], gate["share"], gate["entropy"], gate["collapsed"], strict=True)
        for task, shares, entropy, collapsed in facts:
            answer = "yes" if collapsed else "no"
            gates.append([name, task, _per_cent(shares), entropy, answer])
    print_table(["gate", "of", "share of each expert", "entropy", "collapsed"], gates, "experts")
    units = []
    for name, unit in experts["units"].items():
        units.append([name, _per_cent(unit["dead"]), sum(unit["silent"])])
    print_table(["hidden units", "dead, in each expert", "experts silent"], units)


def _per_cent(shares: Iterable[float | None]) -> str:
    return ", ".join("-" if share is None else f"{share:.0%}" for share in shares)
