"""Carries out a run, or what is left of it: prepare, search, confirm, frontier, pick, page, and MLflow all along."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.atomic import write_text
from bench.data import Store, load_card, prepare
from bench.frontier.shortlist import shortlist
from bench.interrupts import uninterrupted
from bench.progress import Progress
from bench.records import Job, Scalar, Split, TrialRecord
from bench.run.folder import DatasetRun, Run
from bench.run.ladder import rungs_of
from bench.run.results import DatasetResult, page_path, result_of, tasks_of, write_pick, write_report
from bench.search.checkpoints import Checkpoints
from bench.search.confirm import confirm
from bench.search.driver import search
from bench.search.executors import EXECUTORS
from bench.search.executors.base import Options
from bench.search.lock import FolderLock
from bench.search.plan import Plan
from bench.search.study import Study
from bench.seeds import derive
from bench.suite import resolve_objectives
from bench.tracking import Parent, Tracker, TrackingError
from bench.training.job import run_job


def execute(run: Run, progress: Progress) -> list[DatasetResult]:
    """Everything from raw data to the page. Finished parts of an earlier execution are not done again.

    Raises:
        UserError: the data cannot be had or does not fit, or another driver works on the run.
    """
    with FolderLock(run.folder):  # before anything else is touched: MLflow's runs are the first driver's, too
        return _execute(run, progress)


def _execute(run: Run, progress: Progress) -> list[DatasetResult]:
    tracker = Tracker(run.manifest.tracking_uri, run.home)
    results, parents = [], []
    try:
        for part in run.datasets.values():
            store = _prepare(part, progress)
            rungs_of(run.manifest.suite, part.fitted(store.schema).space, len(store.split("train")))  # fits the budget?
            with uninterrupted():
                parent = _open_parent(tracker, part, store)
                parents.append(parent)
            results.append(_search(part, store, parent, progress))
        write_report(run, results)
        for result, parent in zip(results, parents, strict=True):
            parent.log_front(result.frontier, result.pick, page_path(run))
    except BaseException as error:
        for parent in parents:
            try:
                parent.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            except TrackingError as second:  # the first error is the one to report
                progress.note(str(second))
        raise
    for parent in parents:
        parent.close("FINISHED")
    return results


def _prepare(part: DatasetRun, progress: Progress) -> Store:
    manifest = part.run.manifest
    raw = Path(manifest.raw) if manifest.raw else None
    store = prepare(load_card(part.key), part.run.home, raw, progress)
    part.folder.mkdir(parents=True, exist_ok=True)
    facts = {"path": str(store.path), "fingerprint": store.fingerprint, "key": store.key}
    write_text(part.folder / "store.json", json.dumps(facts, indent=2))
    return store.with_tasks([task.name for task in tasks_of(part)])


def _open_parent(tracker: Tracker, part: DatasetRun, store: Store) -> Parent:
    manifest = part.run.manifest
    return tracker.open_parent(
        run=part.run.name,
        suite=manifest.suite_name,
        dataset=part.key,
        space=manifest.space_name,
        fingerprint=store.fingerprint,
        seed=manifest.seed,
        versions=manifest.versions,
        created=manifest.created,
    )


def _search(part: DatasetRun, store: Store, parent: Parent, progress: Progress) -> DatasetResult:
    manifest, suite = part.run.manifest, part.run.manifest.suite
    tasks = store.schema.tasks
    objectives = resolve_objectives(part.dataset, tasks)
    space = part.fitted(store.schema).space
    plan = Plan(
        space=space,
        tasks=tuple(task.name for task in tasks),
        objectives=objectives,
        trials=suite.budget.trials,
        seed=manifest.seed,
        sampler=suite.search.sampler,
        tries=suite.search.tries,
        seconds=suite.budget.time,
        budget=suite.budget.samples,
        ladder=rungs_of(suite, space, len(store.split("train"))),
        eta=suite.search.eta,
        share=suite.search.share,
        tie_break=suite.search.tie_break,
        reference=part.dataset.reference,
    )

    def make_job(trial: int, replicate: int, config: Mapping[str, Scalar], splits: tuple[Split, ...]) -> Job:
        return Job(
            trial=trial,
            replicate=replicate,
            config=dict(config),
            store=str(store.path),
            seed=derive(manifest.seed, trial, replicate),
            splits=splits,
            objectives=tuple(objective.name for objective in objectives),
            tasks=plan.tasks,
            threads=manifest.threads,
        )

    @uninterrupted()
    def on_trial(record: TrialRecord) -> None:
        parent.log_trial(record)
        front = result_of(part, decide=False).frontier
        if plan.by_rungs:
            parent.log_hypervolume_at(study.ledger.samples(study.ladder), front.hypervolume)
        else:
            history = front.history.set_index("trial")["hypervolume"]
            parent.log_hypervolume(record.number, float(history.loc[record.number]))

    log_trial = uninterrupted()(parent.log_trial)
    with Study.open(part.folder, plan) as study:
        options = Options(
            job_seconds=suite.budget.job_time,
            note=progress.note,
            store=str(store.path),
            address=manifest.address,
            threads=manifest.threads,
            gpus=manifest.gpus,
            memory_mb=manifest.memory_mb,
        )
        executor = EXECUTORS[manifest.executor](run_job, manifest.workers, options)
        try:
            search(plan, study, executor, make_job, on_trial, progress)
            study.conclude()
            Checkpoints(part.folder).clear()
            chosen = shortlist(study.records(), objectives, part.dataset.reference, suite.confirm.limit)
            confirm(study, executor, make_job, chosen, suite.confirm.replicates, log_trial, progress)
        finally:
            executor.close()
        for record in study.records():
            log_trial(record)  # what a crash kept from MLflow; nothing is logged twice
    result = result_of(part)
    result.frontier.write(part.folder)
    write_pick(result)
    return result
