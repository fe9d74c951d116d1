"""Sends a run to MLflow: during the run, without waiting for it, and afterwards the rest (`seesaw
sync`).

Records of trials are sent as they are. The results of a search add a front, a pick, tables and a
page (`front_of`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any

import pandas as pd

from bench.app.report.picture import PLOTS, standalone
from bench.app.report.text import markdown_table
from bench.app.runs.folder import MLFLOW, PAGE, PICK, DatasetRun, Run
from bench.app.runs.result import DatasetResult, result_of
from bench.app.runs.run_page import section_of
from bench.app.tracking.logbook import Ending, Logbook, Section
from bench.app.tracking.mlflow_store import TrackingError
from bench.app.tracking.target_state import (
    OBJECTIVES,
    PICKED,
    REFERENCE,
    UNTIL,
    VERDICT,
    Front,
    MetricValue,
    word,
)
from bench.core.objectives import names_of
from bench.core.records import TrialRecord
from bench.core.rows import CONFIRM, TEST
from bench.core.system.atomic import write_text
from bench.core.system.credentials import plain_address, remember
from bench.core.system.lock import FolderLock
from bench.core.system.machine import versions_in_words
from bench.core.system.progress import Progress
from bench.deciding.pick import Pick
from bench.deciding.words.verdict import EXPECTED
from bench.ledger.course import History
from bench.ledger.fusion import in_words
from bench.ledger.heads import Frontier
from bench.ledger.ledger import CELLS, Ledger
from bench.ledger.pareto import resolve_reference
from bench.search.study import Study

PATIENCE = 10.0  # seconds without an answer, at the end of a run
AT_THE_END = 120.0  # seconds in all, however slowly it answers
AT_A_STOP = 10.0  # seconds in all, where a run was stopped
# seconds without an answer, where nothing else is done: twice what a request may take
SYNC_PATIENCE = 40.0


class Reporter(AbstractContextManager["Reporter"]):
    """Logs a run while it is carried out. One a run: it holds the run's lock.

    Raises:
        UserError: another driver works on the run, or it is being sent; or as `Run.store_address`.
    """

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run = run
        self._progress = progress
        address = run.store_address
        self._lock = FolderLock(run.folder)
        self._logbook = Logbook(address, run.home)
        self._told_of_trouble = False

    def begin(self, part: DatasetRun, study: Study, fingerprint: str) -> None:
        """Opens a data set's part, with what an earlier execution found."""
        _section(self._logbook, part, study, fingerprint).log(study.records(), study.told)

    def log(self, part: DatasetRun, records: Sequence[TrialRecord], recorded: int) -> None:
        """Logs trials whose job is recorded, or whose replicates are there; `recorded` is the
        number of such jobs.
        """
        self._logbook.sections[part.key].log(records, recorded)
        trouble = self._logbook.trouble
        if trouble and not self._told_of_trouble:
            self._told_of_trouble = True
            self._progress.note(
                f"the search goes on without MLflow, which is tried again and again: {trouble}"
            )

    def conclude(self, results: Sequence[DatasetResult]) -> None:
        """Takes what came of the run; the page is written."""
        for result in results:
            self._logbook.sections[result.run.key].front = _ending(result)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ending: Ending = "FINISHED"
        if error is not None:
            ending = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        limit = AT_THE_END if error is None else AT_A_STOP
        try:
            if not self._logbook.finish(ending, time.time(), PATIENCE, limit):
                self._progress.note(self._missing())
            _keep_places(self._run, self._logbook)
        finally:
            self._lock.release()

    def _missing(self) -> str:
        stored = total = 0
        for section in self._logbook.sections.values():
            stored += section.there
            total += len(section.records)
        count = "all trials, but not what came of them"
        if stored < total:
            count = f"{stored} of {total} trials"
        reason = self._logbook.trouble or "it did not answer in time"
        command = f"seesaw status {self._run.name} --sync"
        return f"MLflow has {count}; `{command}` sends what is missing ({reason})"


def sync(run: Run, uri: str | None = None) -> dict[str, int]:
    """Sends what MLflow does not have of a run, once; gives how many trials, replicates, points and
    fronts were sent.

    Args:
        uri: another address than the run's.

    Raises:
        UserError: a driver works on the run, or there is nothing to send.
        TrackingError: MLflow could not be reached, or not all the time.
    """
    if uri is not None:
        uri = plain_address(uri)
        remember(uri, run.home)
    with FolderLock(run.folder):
        begun = []
        finished = (run.folder / PAGE).is_file()
        for part in run.datasets.values():
            finished &= (part.folder / CELLS).is_file()
            fingerprint = part.fingerprint
            if fingerprint and Study.exists(part.folder):
                study = Study.read(part.folder)
                finished &= study.confirmed
                begun.append((part, fingerprint, study))
        logbook = Logbook(uri or run.store_address, run.home, live=False)
        try:
            for part, fingerprint, study in begun:
                section = _section(logbook, part, study, fingerprint)
                section.log(study.records(), study.told)
                section.front = _ending(result_of(part)) if finished else None
        finally:
            ending: Ending = "FINISHED" if finished else "KILLED"
            done = logbook.finish(ending, time.time(), SYNC_PATIENCE, math.inf)
        if uri is None:
            _keep_places(run, logbook)
        if not done:
            raise TrackingError(
                logbook.trouble or f"the MLflow store at {uri or run.tracking_uri} does not answer"
            )
    return {kind: logbook.sent[kind] for kind in ("trials", "replicates", "hypervolumes", "fronts")}


def _keep_places(run: Run, logbook: Logbook) -> None:
    """Writes where the run is in MLflow, so that a link can be shown without asking it."""
    places = {}
    for key, section in logbook.sections.items():
        if section.place:
            places[key] = section.place
    if places:
        write_text(run.folder / MLFLOW, json.dumps(places, indent=2))


def _section(logbook: Logbook, part: DatasetRun, study: Study, fingerprint: str) -> Section:
    manifest = part.run.manifest
    request = part.run.request
    suite = part.run.suite
    budget = suite.budget.model_dump(include={"trials", "samples", "lengths"})
    budget["seconds"] = suite.budget.time
    limits = []
    for name, limit in budget.items():
        if limit is not None:
            limits.append(f"{limit:,} {name}")
    objectives = part.objectives
    reference = resolve_reference(objectives, part.dataset.reference)
    return logbook.section(
        History(objectives, reference, bool(study.ladder)),
        experiment=part.run.experiment,
        identity={
            "run": part.run.name,
            "suite": request.suite,
            "dataset": part.key,
            "space": suite.space,
            "fingerprint": fingerprint,
            "seed": str(request.seed),
            "created": manifest.created,
        },
        dataset=part.card.key,
        params={
            "sampler": suite.search.sampler,
            "objectives": ", ".join(names_of(objectives)),
            "replicates": str(suite.confirm.replicates),
            "executor": f"{request.executor}, {request.workers} x {request.threads} threads",
        },
        tags={
            "seesaw.budget": ", ".join(limits),
            "seesaw.versions": versions_in_words(manifest.versions),
        },
        source=json.dumps({"card": str(part.folder / "card.toml"), "homepage": part.card.homepage}),
    )


SERVED = "serving_front.json"
TABLE = "frontier.json"
PICTURE = "front.svg"
LINKS = {"served front": SERVED, "front of heads": TABLE, "page": PAGE, "pick": PICK}
"""By their titles the files that a description links to."""
CHOSEN = "chosen/"
"""Metrics of the pick on the parent; charts of this name come before all others."""


def _ending(result: DatasetResult) -> Callable[[str, str, float], Front]:
    """What MLflow gets at the end, see `front_of`."""
    section = section_of(result)
    plots = {}
    for name, plot in PLOTS.items():
        svg = plot(section)
        if svg:
            plots[name] = standalone(svg).svg
    return partial(front_of, result, plots)


def on_trials(
    frontier: Frontier, pick: Pick | None, when: float = 0.0
) -> dict[int, tuple[list[MetricValue], Mapping[str, str]]]:
    """What the front says of each trial that was compared, by number: replicate means and
    deviations as metrics, and its place as tags. `when` is the time of the metrics, in seconds
    since 1970; 0 is the beginning of the trial.
    """
    columns = {}
    for split in (CONFIRM, TEST):
        means = frontier.at(split, "value")
        deviations = frontier.at(split, "sd")
        for column, measure in enumerate(frontier.measures):
            columns[f"{measure.key(split)}.mean"] = means[:, column]
            columns[f"{measure.key(split)}.sd"] = deviations[:, column]
    columns["front.p_nondominated"] = frontier.table["p_nondominated"].to_numpy(float)
    by_trial: dict[int, tuple[list[MetricValue], Mapping[str, str]]] = {}
    for number, row in frontier.by_trial.items():
        values = []
        for name, column_values in columns.items():
            values.append(MetricValue(name, float(column_values[row]), time=when))
        picked = pick is not None and pick.trial == number
        by_trial[number] = values, _front_tags(frontier.table.iloc[row], picked)
    return by_trial


def _front_tags(facts: pd.Series[Any], picked: bool) -> dict[str, str]:
    chance = float(facts["p_nondominated"])
    return {
        "front.on_front": word(bool(facts["on_front"])),
        "front.rank": "none" if pd.isna(facts["rank"]) else str(facts["rank"]),
        "front.p_nondominated": "none" if math.isnan(chance) else f"{chance:.4f}",
        UNTIL: facts["point"].partition("@")[2] or word(None),
        PICKED: word(picked),
    }


def front_of(
    result: DatasetResult, plots: Mapping[str, str], experiment: str, run: str, when: float = 0.0
) -> Front:
    """What is added to the runs of a search at its end; docs/tracking.md lists it.

    Args:
        plots: by name, as SVG.
        experiment, run: their ids, for links.
        when: time of the metrics, in seconds since 1970.
    """
    frontier = result.decision.frontier
    pick = result.decision.pick
    files = _files(result, plots)
    values = []
    for name, value in _chosen(result).items():
        values.append(MetricValue(f"{CHOSEN}{name}", value, time=when))
    values.append(MetricValue("front.hypervolume", frontier.hypervolume, time=when))
    values.append(MetricValue("front.size", float(frontier.front.sum()), time=when))
    folder = f"#/experiments/{experiment}/runs/{run}/artifacts"
    tables = [{"path": name, "type": "table"} for name in (SERVED, TABLE) if name in files]
    measures = [[measure.name, measure.direction] for measure in frontier.measures]
    tags = {
        "mlflow.note.content": _description(result, files, folder, run),
        "mlflow.loggedArtifacts": json.dumps(tables),  # MLflow shows these as tables
        VERDICT: result.decision.verdict.kind,
        PICKED: "none",
        "seesaw.pick_reason": "none",
        "seesaw.pick_by_rule": "unknown",
        "seesaw.answer": frontier.answer.sentence if frontier.answer else "none",
        OBJECTIVES: json.dumps(measures),
        REFERENCE: json.dumps(frontier.reference),
    }
    if pick:
        tags |= {PICKED: pick.point, "seesaw.pick_reason": pick.reason}
        if pick.stability.holds is not None:
            tags["seesaw.pick_by_rule"] = f"{pick.stability.holds:.2f}"
    return Front(on_trials(frontier, pick, when), values, tags, files)


def _chosen(result: DatasetResult) -> dict[str, float]:
    """The pick's values by outcome and its gains over the current point, or what stands for it, as
    fractions, on test: as measured, and as the verdict expects them where it is about the pick.
    Without a served front its head metrics on the frontier's split.
    """
    decision = result.decision
    pick = decision.pick
    served = decision.serving.served
    if pick is None:
        return {}
    chosen = dict(pick.outcomes)
    if not chosen:
        for measure in decision.frontier.measures:
            key = measure.key(decision.frontier.split)
            if key in pick.metrics:
                chosen[measure.name] = pick.metrics[key]
    if served is None:
        return chosen
    chosen |= dict(zip(served.names, served.at(TEST)[pick.row].tolist(), strict=True))
    for name, gain in served.effects(pick.row).items():
        chosen[f"{name}.gain"] = gain.value
    if decision.verdict.about == pick.row:
        for name, gain in decision.verdict.changes.items():
            chosen[f"{name}.expected_gain"] = gain.value
    return chosen


def _description(
    result: DatasetResult, files: Mapping[str, str | bytes], folder: str, run: str
) -> str:
    """The run's description, in Markdown, with links to its files."""
    decision = result.decision
    verdict = result.decision.verdict
    links = []
    for title, file in LINKS.items():
        if file in files:
            links.append(f"[{title}]({folder}/{file})")
    name = result.run.run.name
    commands = [result.run.run.manifest.command, f"seesaw show {name}", f"seesaw pick {name}"]
    if decision.pick and decision.pick.config:
        commands.append(f"seesaw deploy {name}")
    parts = [
        f"**{verdict.sentence}**",
        EXPECTED if verdict.table[1] else "",
        markdown_table(*verdict.table),
        f"`score = {decision.formula}`" if decision.formula else "",
        " ".join(verdict.notes),
        " · ".join(links),
        f"![front](get-artifact?path={PICTURE}&run_uuid={run})" if PICTURE in files else "",
        decision.pick.reason if decision.pick else "",
        result.asked,
        "\n".join(f"- `{command}`" for command in commands),  # a block of code would widen the page
    ]
    return "\n\n".join(part for part in parts if part)


def _files(result: DatasetResult, plots: Mapping[str, str]) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {TABLE: _table(result.decision.frontier)}
    files |= {f"{name}.svg": svg for name, svg in plots.items()}
    if result.decision.serving.served is not None:
        files[SERVED] = _table(result.decision.serving.served)
    if result.decision.pick:
        files[PICK] = json.dumps(result.decision.picked, indent=2)
    page = result.run.run.folder / PAGE
    cells = result.run.folder / CELLS
    if page.is_file():
        files[page.name] = page.read_text(encoding="utf-8")
    if cells.is_file():
        files[CELLS] = cells.read_bytes()
    return files


def _table(front: Ledger) -> str:
    """A front as MLflow shows it: the front first, by gains on test, and these before other
    numbers.
    """
    wide = front.wide.drop(columns="params", errors="ignore")
    if wide["p_nondominated"].isna().all():
        wide = wide.drop(columns="p_nondominated")
    wide = wide.assign(weights=[in_words(weights or {}) for weights in wide["weights"]])
    gains = [name for name in map(str, wide) if name.startswith(f"{TEST}/") and ".gain" in name]
    first = ["name", "weights", *gains, "on_front"]
    if "p_nondominated" in wide:
        first.append("p_nondominated")
    columns = list(dict.fromkeys([*first, *wide]))
    by = ["on_front", *gains[:1]]
    ordered = wide[columns].sort_values(by, ascending=False, kind="stable")
    return str(ordered.to_json(orient="split", index=False))
