"""`seesaw diagnose`: why a trial's tasks are behind, and the measurements that say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import Home, Json
from bench.cli.output import print_json, print_table, say
from bench.cli.results import RunName
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.frontier.diagnosis import References
    from bench.records import Point
    from bench.run.results import DatasetResult


def diagnose(
    run_: RunName,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="Number of the trial; default: the picked one.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every trial with a result, by number.")] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Say what holds a trial's tasks back, with the evidence."""
    from bench.frontier.diagnosis import References
    from bench.home import resolve_home
    from bench.run.folder import Run
    from bench.run.results import result_of

    if every and trial is not None:
        raise UserError(f"expected either a trial or --all, found both: trial {trial}")
    documents: dict[str, Any] = {}
    for key, dataset_run in Run.open(resolve_home(home), run_).datasets.items():
        result = result_of(dataset_run)
        references = References(result.frontier.points, result.objectives)
        if every:
            points = [record.points[-1] for record in result.records if record.measured]
        else:
            points = [_chosen(result) if trial is None else _numbered(result, trial)]
        found = [_document(point, references) for point in points]
        documents[key] = {"trials": found} if every else found[0]
        for document in [] if json else found:
            _show(key, document)
    if json:
        print_json(next(iter(documents.values())) if len(documents) == 1 else {"datasets": documents})


def _document(point: Point, references: References) -> dict[str, Any]:
    from bench.frontier.diagnosis import sentences

    return {
        "trial": point.number,
        "samples": point.until,
        "architecture": point.architecture,
        "balancing": point.balancing,
        "sentences": sentences(point.diagnosis, references.gaps(point)),
        "diagnosis": point.diagnosis,
        "rungs": [{"samples": rung.samples, "diagnosis": rung.diagnosis} for rung in point.rungs],
    }


def _chosen(result: DatasetResult) -> Point:
    """The picked point; where no trial was picked, the best in the first objective."""
    from bench.frontier.points import best

    if result.pick is not None and result.pick.trial is not None:
        return next(point for point in result.frontier.points if point.id == result.pick.point)
    found = best(result.frontier.points, result.objectives[0])
    if found is None:
        raise UserError(f"{result.run.key}: expected a trial with a result, found none")
    return found


def _numbered(result: DatasetResult, trial: int) -> Point:
    found = [record for record in result.records if record.number == trial]
    if not found:
        raise UserError(f"expected a trial of {result.run.key}, 0 to {len(result.records) - 1}, found {trial}")
    if not found[0].measured:
        raise UserError(f"expected a trial with a result, found trial {trial} of {result.run.key}, {found[0].state}")
    return found[0].points[-1]


def _show(dataset: str, document: dict[str, Any]) -> None:
    length = "" if document["samples"] is None else f", stopped after {document['samples']:,} samples"
    say(f"trial {document['trial']} on {dataset}: {document['architecture']}, {document['balancing']}{length}")
    for sentence in document["sentences"]:
        say(sentence)
    diagnosis = document["diagnosis"]
    if diagnosis:
        _show_measured(diagnosis)


def _show_measured(diagnosis: dict[str, Any]) -> None:
    probes = f"{diagnosis['probes']} probes of {diagnosis['rows']} rows, one in {diagnosis['every']} steps"
    angles = [
        [" and ".join(pair["tasks"]), block, angle["cosine"], _percent([angle["below_zero"]]), angle["probes"]]
        for pair in diagnosis["pairs"]
        for block, angle in pair["blocks"].items()
    ]
    if angles:
        print_table(["tasks", "block", "mean cosine", "below 0", "probes"], angles, f"gradients: {probes}")
    norms = [
        [task, block, of["norm"][block], of["weight"], of["pull"][block], of["loss"], of["loss_over_base"]]
        for task, of in diagnosis["tasks"].items()
        for block in of["norm"]
    ]
    if norms:
        headers = ["task", "block", "norm", "weight", "weight x norm", "loss", "loss / base rate's"]
        print_table(headers, norms, f"sizes: {probes}")
    course = [
        [name, *(of[key] for key in ("best", "best_samples", "lost"))] for name, of in diagnosis["course"].items()
    ]
    if course:
        print_table(["objective", "best", "after samples", "lost since"], course, "course")
    gates = [
        [name, task, _percent(gate["share"][at]), gate["entropy"][at], "yes" if gate["collapsed"][at] else "no"]
        for name, gate in diagnosis["experts"]["gates"].items()
        for at, task in enumerate(gate["of"])
    ]
    if gates:
        print_table(["gate", "of", "share of each expert", "entropy", "collapsed"], gates, "experts")
    units = [[name, _percent(of["dead"]), sum(of["silent"])] for name, of in diagnosis["experts"]["units"].items()]
    if units:
        print_table(["hidden units", "dead, in each expert", "experts silent"], units)


def _percent(shares: Iterable[float | None]) -> str:
    return ", ".join("-" if share is None else f"{share:.0%}" for share in shares)
