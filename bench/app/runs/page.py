"""A run's page: where it is, what it shows, and the commands that a result suggests."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.app.report import text
from bench.app.report.page import write_page
from bench.app.report.section import PageSection
from bench.app.runs.changes import drift_of
from bench.app.runs.folder import CONFIG, DAYS, EXPLAINED, LIVE, PICK, Run
from bench.app.runs.picked import picked_network
from bench.app.runs.result import DatasetResult, result_of
from bench.app.runs.status import in_words
from bench.core.errors import UserError
from bench.core.plain import read_json
from bench.core.system.content import is_path
from bench.core.system.home import resolve_home, shown
from bench.core.system.lock import is_held
from bench.ledger import drift
from bench.ledger.within import area_table


def write_report(results: Sequence[DatasetResult], page: Path, title: str) -> None:
    """Writes a run's page, a section for each data set."""
    write_page([section_of(result) for result in results], page, title)


AGAIN = 5
"""Seconds after which a live page loads itself again."""


def write_live(run: Run, progress: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the page of what is there by now, how far the run is, and what it trains; once more
    when it has ended.

    Args:
        progress: by data set, see `bench.app.runs.status.status_of`.
    """
    going, sections = is_held(run.folder), []
    for part in run.datasets.values():
        with suppress(UserError):  # nothing has a result yet, or a file is only half there
            sections.append(section_of(result_of(part)))
    parts = [f"{text.dataset(name)}: {in_words(status)}" for name, status in progress.items()]
    ended = all(status["search"] and status["search"]["left"] == 0 for status in progress.values())
    told = (
        " ".join(["This run goes on.", *parts])
        if going
        else ""
        if ended
        else (
            f"Nothing works on this run, which has not ended; `seesaw resume {run_argument(run)}` "
            "goes on."
        )
    )
    write_page(sections, run.folder / LIVE, run.name, told, AGAIN if going else 0)


def section_of(result: DatasetResult) -> PageSection:
    """What a page shows of a data set's part."""
    run = result.run.run
    manifest, request = run.manifest, run.request
    made = {
        "data set": result.run.key,
        "fingerprint": result.run.fingerprint or "-",
        "space": f"{run.suite.space} ({run.space.digest()})",
        "sampler": run.suite.search.sampler,
        "rungs": _rungs(result),
        "seed": str(request.seed),
        "workers": f"{request.workers} x {request.threads} threads ({request.executor})",
        "started": manifest.created,
        "command": manifest.command,
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
    }
    commands = {}
    if picked_network(result):
        config = shlex.quote(shown(result.run.folder / CONFIG))
        commands["Train the pick"] = f"seesaw train {shlex.quote(result.run.key)} --config {config}"
    if result.decision.pick and result.decision.pick.config:
        commands["Deploy the pick"] = (
            f"seesaw deploy {shlex.quote(shown(result.run.folder / PICK))}"
        )
    return PageSection(
        decision=result.decision,
        records=result.records,
        title=result.run.card.title,
        dataset=result.run.card.key,
        about=_about(result),
        run=run.name,
        current=result.current,
        asked=bool(result.asked),
        remarks=[
            *result.decision.readings,
            *drift.sentences(drift_of(result)),
            *(
                [result.decision.frontier.answer.sentence]
                if result.decision.frontier.answer
                else []
            ),
        ],
        commands=commands,
        provenance=made,
        incomplete=result.incomplete,
        explained=read_json(owed) if (owed := result.run.folder / EXPLAINED).is_file() else {},
        days=read_json(days) if (days := result.run.folder / DAYS).is_file() else {},
        areas=area_table(result.areas, result.decision.frontier.table, str(result.run.card.group)),
    )


def _about(result: DatasetResult) -> str:
    """Data set, rows, suite and day. A suite or a card of the user's own has a path, which says
    nothing to a reader.
    """
    run = result.run.run
    facts = [
        result.run.card.key,
        f"{result.decision.serving.rows:,} rows of test" if result.decision.serving.rows else "",
    ]
    facts += [
        "" if is_path(run.request.suite) else f"suite {run.request.suite}",
        run.manifest.created[:10],
    ]
    return ", ".join(filter(None, facts))


def _rungs(result: DatasetResult) -> str:
    ladder = dict.fromkeys(rung.samples for record in result.records for rung in record.rungs)
    return (
        ", ".join(f"{samples:,}" for samples in sorted(ladder)) + " samples"
        if ladder
        else "full length only"
    )


def next_step(results: Sequence[DatasetResult]) -> str:
    """A command, with what it does behind `#`: to deploy the pick if the verdict switches to it,
    else the tables.

    After a suite of ours on its own data the user's own log comes first.
    """
    run = results[0].run.run
    name = run_argument(run)
    if not run.request.dataset and not is_path(run.request.suite):
        return "seesaw card log.csv --label click  # now your own log, by the names of its columns"
    told = results[0].decision.verdict
    switch = (
        len(results) == 1
        and told.kind == "model"
        and results[0].decision.pick
        and told.row == results[0].decision.pick.row
    )
    if (
        switch
        and results[0].decision.pick
        and results[0].decision.pick.point in results[0].run.given_names
    ):  # which nobody can train
        return f"seesaw plan {name}  # how long its A/B test takes"
    if switch and results[0].decision.pick and results[0].decision.pick.role != "current":
        return f"seesaw deploy {name}  # trains the pick for good and packages it"
    return f"seesaw frontier {name} --full  # all tables"


def run_argument(run: Run) -> str:
    """How a command names the run: by its name, or by its path where its home is not the usual
    one.
    """
    return run.name if run.home == resolve_home() else shlex.quote(shown(run.folder))
