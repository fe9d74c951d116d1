"""Sends a run to MLflow: during the run, without waiting for it, and afterwards the rest (`seesaw sync`)."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from bench.atomic import write_text
from bench.frontier.history import History
from bench.frontier.pareto import resolve_reference
from bench.progress import Progress
from bench.records import TrialRecord
from bench.report.picture import standalone
from bench.run.folder import MLFLOW, DatasetRun, Run
from bench.run.results import DatasetResult, page_path, result_of, view_of
from bench.search.lock import FolderLock
from bench.search.study import Study
from bench.suite import resolve_objectives
from bench.tracking import Ending, Found, Logbook, Section, TrackingError, plain_address

PATIENCE = 10.0  # seconds without an answer, at the end of a run
AT_THE_END = 120.0  # seconds in all, however slowly it answers
AT_A_STOP = 10.0  # seconds in all, where a run was stopped
SYNC_PATIENCE = 40.0  # seconds without an answer, where nothing else is done: twice what a request may take


class Reporter:
    """Logs a run while it is carried out. One a run: it holds the run's lock.

    Raises:
        UserError: another driver works on the run, or it is being sent.
    """

    def __init__(self, run: Run, progress: Progress) -> None:
        self._run, self._progress = run, progress
        self._lock = FolderLock(run.folder)
        self._logbook = Logbook(run.manifest.tracking_uri, run.home)
        self._parts: dict[str, Section] = {}
        self._told_of_trouble = False

    def begin(self, part: DatasetRun, study: Study, fingerprint: str) -> None:
        """Opens a data set's part, with what an earlier execution found."""
        self._parts[part.key] = _section(self._logbook, part, study, fingerprint)
        self._parts[part.key].log(study.records(), study.told)

    def log(self, part: DatasetRun, records: Sequence[TrialRecord], told: int) -> None:
        """Logs trials whose job was told, or whose replicates are there; `told` is how many jobs are."""
        self._parts[part.key].log(records, told)
        trouble = self._logbook.trouble
        if trouble and not self._told_of_trouble:
            self._told_of_trouble = True
            self._progress.note(f"the search goes on without MLflow, which is tried again and again: {trouble}")

    def conclude(self, results: Sequence[DatasetResult]) -> None:
        """Takes what came of the run; the page is written."""
        for result in results:
            self._parts[result.run.key].front = found(result)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending: Ending = "FINISHED"
        if error is not None:
            ending = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        try:
            if not self._logbook.finish(ending, time.time(), PATIENCE, AT_THE_END if error is None else AT_A_STOP):
                self._progress.note(self._left())
            _keep_places(self._run, self._parts)
        finally:
            self._lock.release()

    def _left(self) -> str:
        sections = self._parts.values()
        have, of = sum(section.there for section in sections), sum(len(section.records) for section in sections)
        count = f"{have} of {of} trials" if have < of else "all trials, but not what came of them"
        reason = self._logbook.trouble or "it did not answer in time"
        return f"MLflow has {count}; `seesaw sync {self._run.name}` sends what is missing ({reason})"


def sync(run: Run, uri: str | None = None) -> dict[str, int]:
    """Sends what MLflow does not have of a run, once; gives how many trials, replicates, points and fronts were sent.

    Args:
        uri: another address than the run's.

    Raises:
        UserError: a driver works on the run, or there is nothing to send.
        TrackingError: MLflow could not be reached, or not all the time.
    """
    uri = uri if uri is None else plain_address(uri)
    with FolderLock(run.folder):
        logbook = Logbook(uri or run.manifest.tracking_uri, run.home, live=False)
        finished = page_path(run).is_file()
        for part in run.datasets.values():
            finished &= (part.folder / "frontier.parquet").is_file()
        parts = {}
        try:
            for part in run.datasets.values():
                if part.fingerprint is not None and Study.exists(part.folder):
                    study = Study.read(part.folder)
                    section = parts[part.key] = _section(logbook, part, study, part.fingerprint)
                    section.log(study.records(), study.told)
                    section.front = found(result_of(part)) if finished else None
        finally:
            done = logbook.finish("FINISHED" if finished else "KILLED", time.time(), SYNC_PATIENCE, math.inf)
        if uri is None:
            _keep_places(run, parts)
        if not done:
            raise TrackingError(logbook.trouble or f"the MLflow store at {uri or run.tracking_uri} does not answer")
    return {kind: logbook.sent[kind] for kind in ("trials", "replicates", "hypervolumes", "fronts")}


def _keep_places(run: Run, parts: Mapping[str, Section]) -> None:
    """Writes where the run is in MLflow, so that a link can be shown without asking it."""
    places = {key: section.place for key, section in parts.items() if section.place}
    if places:
        write_text(run.folder / MLFLOW, json.dumps(places, indent=2))


def found(result: DatasetResult) -> Found:
    """The results that MLflow gets at the end."""
    run = result.run.run
    commands = [run.manifest.command, f"seesaw frontier {run.name}", f"seesaw pick {run.name}"]
    commands += [f"seesaw deploy {run.name}"] if result.pick else []
    return Found(
        result.frontier,
        result.pick,
        page_path(run),
        standalone(view_of(result)).svg,
        verdict=result.verdict.to_json(),
        served=result.serving.served,
        commands=tuple(commands),
        policy=result.policy.toml,
        note=result.asked,
    )


def _section(logbook: Logbook, part: DatasetRun, study: Study, fingerprint: str) -> Section:
    manifest = part.run.manifest
    suite = manifest.suite
    budget = suite.budget.model_dump(include={"trials", "samples", "lengths"}) | {"seconds": suite.budget.time}
    objectives = resolve_objectives(part.dataset, part.tasks)
    return logbook.section(
        History(objectives, resolve_reference(objectives, part.dataset.reference), bool(study.ladder)),
        run=part.run.name,
        suite=manifest.suite_name,
        dataset=part.key,
        space=manifest.space_name,
        fingerprint=fingerprint,
        seed=manifest.seed,
        created=manifest.created,
        params={
            "sampler": suite.search.sampler,
            "objectives": ", ".join(each.name for each in objectives),
            "replicates": str(suite.confirm.replicates),
            "executor": f"{manifest.executor}, {manifest.workers} x {manifest.threads} threads",
        },
        tags={
            "seesaw.budget": ", ".join(f"{value:,} {name}" for name, value in budget.items() if value is not None),
            "seesaw.versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
        },
        source=json.dumps({"card": str(part.folder / "card.toml"), "homepage": part.card.homepage}),
    )
