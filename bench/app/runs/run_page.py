"""A run's page: where it is, what it shows, and the commands that a result suggests."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.app.report import text
from bench.app.report.page import write_page
from bench.app.report.section import PageSection
from bench.app.runs.folder import CONFIG, DAYS, EXPLAINED, LIVE, PICK, Run
from bench.app.runs.picked import picked_network
from bench.app.runs.ranked import candidates_of
from bench.app.runs.result import DatasetResult, result_of
from bench.app.runs.status import has_ended, in_words
from bench.core.arrays import Floats, Mask
from bench.core.errors import UserError
from bench.core.plain import read_json
from bench.core.rows import CONFIRM, TEST
from bench.core.system.content import is_path
from bench.core.system.home import shown
from bench.core.system.lock import is_held
from bench.core.system.machine import versions_in_words
from bench.data import Store
from bench.data.store import part_of
from bench.ledger import drift
from bench.ledger.within import area_table
from bench.measure.predictions import FOLDER, KeptRows, read_rows

AGAIN = 5
"""Seconds after which a live page loads itself again."""
LOOKED_AT = 200_000
"""Rows of a split that are looked at for unseen values."""


def write_report(results: Sequence[DatasetResult], page: Path, title: str) -> None:
    """Writes a run's page, a section for each data set."""
    write_page([section_of(result) for result in results], page, title)


def write_live(run: Run, progress: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the page of what is there by now, how far the run is, and what it trains; once more
    when it has ended.

    Args:
        progress: by data set, see `bench.app.runs.status.status_of`.
    """
    going = is_held(run.folder)
    sections = []
    for part in run.datasets.values():
        with suppress(UserError):  # nothing has a result yet, or a file is only half there
            sections.append(section_of(result_of(part)))
    if going:
        live = "This run goes on."
        for name, status in progress.items():
            live += f" {text.dataset(name)}: {in_words(status)}"
        write_page(sections, run.folder / LIVE, run.name, live, AGAIN)
        return
    live = ""
    if not all(map(has_ended, progress.values())):
        live = f"Nothing works on this run, which has not ended; `{run.go_on}` goes on."
    write_page(sections, run.folder / LIVE, run.name, live)


def section_of(result: DatasetResult) -> PageSection:
    """What a page shows of a data set's part."""
    part = result.run
    decision = result.decision
    answer = decision.frontier.answer
    remarks = [*decision.readings, *drift.sentences(drift_of(result))]
    if answer:
        remarks.append(answer.sentence)
    return PageSection(
        decision=decision,
        records=result.records,
        title=part.card.title,
        dataset=part.card.key,
        about=_about(result),
        run=part.run.name,
        current=result.current,
        asked=bool(result.asked),
        remarks=remarks,
        commands=_commands(result),
        provenance=_provenance(result),
        incomplete=result.incomplete,
        explained=_document(part.folder / EXPLAINED),
        days=_document(part.folder / DAYS),
        areas=area_table(result.areas, decision.frontier.table, str(part.card.group)),
    )


def _document(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _provenance(result: DatasetResult) -> dict[str, str]:
    run = result.run.run
    manifest = run.manifest
    request = run.request
    return {
        "data set": result.run.key,
        "fingerprint": result.run.fingerprint or "-",
        "space": f"{run.suite.space} ({run.space.digest()})",
        "sampler": run.suite.search.sampler,
        "rungs": _rungs(result),
        "seed": str(request.seed),
        "workers": f"{request.workers} x {request.threads} threads ({request.executor})",
        "started": manifest.created,
        "command": manifest.command,
        "versions": versions_in_words(manifest.versions),
    }


def _rungs(result: DatasetResult) -> str:
    rungs: set[int] = set()
    for record in result.records:
        rungs |= {rung.samples for rung in record.rungs}
    if not rungs:
        return "full length only"
    return ", ".join(f"{samples:,}" for samples in sorted(rungs)) + " samples"


def _commands(result: DatasetResult) -> dict[str, str]:
    commands = {}
    if picked_network(result):
        config = shlex.quote(shown(result.run.folder / CONFIG))
        commands["Train the pick"] = f"seesaw train {shlex.quote(result.run.key)} --config {config}"
    if result.decision.pick and result.decision.pick.config:
        pick = shlex.quote(shown(result.run.folder / PICK))
        commands["Deploy the pick"] = f"seesaw deploy {pick}"
    return commands


def _about(result: DatasetResult) -> str:
    """Data set, rows, suite and day. A suite or a card of the user's own has a path, which says
    nothing to a reader.
    """
    run = result.run.run
    facts = [result.run.card.key]
    if result.decision.serving.rows:
        facts.append(f"{result.decision.serving.rows:,} rows of test")
    if not is_path(run.request.suite):
        facts.append(f"suite {run.request.suite}")
    return ", ".join([*facts, run.manifest.created[:10]])


def drift_of(result: DatasetResult) -> list[drift.Change]:
    """What changed from confirmation rows to test; of unseen values only where the prepared data
    are still there.
    """
    rows: dict[str, KeptRows] = {}
    for split in (CONFIRM, TEST):
        of_split = read_rows(result.run.folder / FOLDER, split)
        if of_split is None:
            return []
        rows[split] = of_split
    return drift.changes(rows, _predictions_of_pick(result, rows), _unseen(result.run.store))


def _predictions_of_pick(
    result: DatasetResult, rows: Mapping[str, KeptRows]
) -> dict[str, Floats] | None:
    """By split, the mean over replicates (n, T); None where none are kept."""
    decision = result.decision
    folder = result.run.folder / FOLDER
    if decision.pick is None:
        return None
    candidates = candidates_of(folder, decision.frontier.points, result.objectives, rows[TEST])
    for candidate in candidates:
        if candidate.id == decision.pick.point:
            means = {}
            for split in rows:
                replicates = range(candidate.replicates)
                predictions = [candidate.predictions(split, place) for place in replicates]
                means[split] = np.mean(predictions, axis=0)
            return means
    return None


def _unseen(store: Store | None) -> dict[str, dict[str, Mask]]:
    """By field and split, which rows have a value that train does not have."""
    if store is None:
        return {}
    unseen = dict[str, dict[str, Mask]]()
    schema = store.schema.without_ranges
    for split in (CONFIRM, TEST):
        ids = part_of(store.split(split), LOOKED_AT).ids
        column = 0
        for field, offset in zip(schema.fields, schema.offsets, strict=True):
            if field.of is None and field.slots == 1:
                unseen.setdefault(field.name, {})[split] = ids[:, column] == offset
            column += field.slots
    return unseen


def next_step(results: Sequence[DatasetResult]) -> str:
    """A command, with what it does behind `#`: to deploy the pick if the verdict switches to it,
    else the tables.

    After a suite of ours on its own data the user's own log comes first.
    """
    run = results[0].run.run
    decision = results[0].decision
    name = run.argument
    if not run.request.dataset and not is_path(run.request.suite):
        return "seesaw data card log.csv --label click  # now your own log, by its columns' names"
    pick = decision.pick
    verdict = decision.verdict
    switches = len(results) == 1 and verdict.kind == "model"
    if switches and pick and verdict.row == pick.row:
        if pick.point in results[0].run.given_names:  # nobody can train it
            return f"seesaw plan {name}  # how long its A/B test takes"
        if pick.role != "current":
            return f"seesaw deploy {name}  # trains the pick for good and packages it"
    return f"seesaw show {name} --full  # all tables"
