"""Carries out a run, or the rest of it, and extends it: prepare, search, confirm, frontier, pick, page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from bench.balancing import BALANCING, works_on_gradients
from bench.confirm.baselines import baselines_of, check_static, full_lengths, retuned, tries_of, tuned
from bench.confirm.blend import blended
from bench.confirm.race import confirm, kinds, members, shortlist
from bench.confirm.twins import best_twins, tune, twin_of_pick, with_earlier
from bench.core import plugins
from bench.core.errors import UserError, listed
from bench.core.objectives import Objective, of_items
from bench.core.records import Job, Point, SplitName, TrialRecord
from bench.core.rows import CONFIRM
from bench.core.schema import Task
from bench.core.seeds import derive
from bench.core.validation import validate
from bench.data import Store
from bench.measure import predictions
from bench.measure.resampling import RESAMPLES
from bench.results.ledger import CELLS, write_cells
from bench.runs import backtest
from bench.runs.folder import PAGE, STORE, DatasetRun, Run
from bench.runs.given import check_predictions
from bench.runs.limits import ended, rungs_of
from bench.runs.page import write_report
from bench.runs.picked import write_pick
from bench.runs.reporting import Reporter
from bench.runs.request import Request
from bench.runs.result import DatasetResult, result_of
from bench.runs.status import After, Pace, WithLater
from bench.runs.suite import Budget, Confirm, resolve_objectives, resolve_outcomes
from bench.search.driver import Checkpoints, search
from bench.search.executors import EXECUTORS
from bench.search.executors.base import RAY, Options
from bench.search.plan import SHARING, SINGLE_TASK, SearchPlan, learnt
from bench.search.ranking import reduction_factors
from bench.search.space import Space
from bench.search.study import Study
from bench.system.atomic import atomic_path, write_text
from bench.system.credentials import plain_address, remember
from bench.system.progress import Progress
from bench.training.blend import shares_of
from bench.training.config import TrialConfig
from bench.training.evaluation import ranked_in
from bench.training.job import run_job
from bench.training.kept import write_rows
from bench.training.parts import networks_in


def execute(run: Run, progress: Progress) -> list[DatasetResult]:
    """Everything from raw data to the page. Finished parts of an earlier execution are not done again.

    Raises:
        UserError: the data cannot be had or does not fit, data or a plug-in changed since the run began, or another
            driver works on the run. Nothing of the run is changed then.
    """
    plugins.check(run.manifest.plugins, run.name)
    cuts, raw = run.request.backtest, run.request.raw
    with Reporter(run, progress) as reporter:
        parts = [(part, part.prepare(progress, raw)) for part in run.datasets.values()]
        for part, store in parts:
            check_predictions(part.given, store, progress)
        run.keep()  # limits that were raised: everything is checked by now
        results = [_search(part, store, reporter, progress) for part, store in parts]
        for result in results if cuts else ():
            request = run.request
            executor = RAY if request.executor == RAY else "process"
            asked = backtest.BacktestOptions(
                cuts=cuts, threads=request.threads, executor=executor, address=request.address
            )
            backtest.backtest(result, asked, raw, progress)
        if cuts:
            results = [result_of(part) for part, _ in parts]  # their verdicts count days now
        write_report(results, run.folder / PAGE, run.name)
        reporter.conclude(results)
    return results


def plan_of(
    part: DatasetRun, space: Space, tasks: tuple[Task, ...], rows: int, objectives: tuple[Objective, ...]
) -> SearchPlan:
    """The search of a data set as its suite asks for it; raises UserError if tasks or budget do not allow it.

    Args:
        rows: of the train split.
    """
    suite = part.run.suite
    names = tuple(task.name for task in tasks)
    rungs = rungs_of(suite, space, rows)
    return SearchPlan(
        space=space,
        tasks=names,
        objectives=objectives,
        trials=suite.budget.trials,
        seed=part.run.request.seed,
        sampler=suite.search.sampler,
        portfolio=tuple(learnt(space, names, len(objectives), rows)),
        tries=suite.search.tries,
        seconds=suite.budget.time,
        budget=suite.budget.samples_of(rungs[-1]),
        ladder=rungs,
        eta=suite.search.eta or reduction_factors(len(objectives)),
        share=suite.search.share,
        reference=part.dataset.reference,
        checkpoint_bytes=suite.search.checkpoint_gb * 1e9,
    )


def _search(part: DatasetRun, store: Store, reporter: Reporter, progress: Progress) -> DatasetResult:
    request, suite = part.run.request, part.run.suite
    schema = store.schema
    group = np.asarray(store.split(CONFIRM).group[: predictions.MOST_OF_SPLIT])
    ranked = ranked_in(store)
    objectives = resolve_objectives(part.dataset, schema.tasks, ranked)
    plan = plan_of(part, part.fitted(store).space, schema.tasks, len(store.split("train")), objectives)
    served = resolve_outcomes(part.dataset, part.tasks, group, card=part.card)
    outcomes = tuple(each.name for each in served if not of_items(each.name))  # what heads have, too

    def make_job(point: Point, replicate: int, splits: tuple[SplitName, ...]) -> Job:
        for config in () if point.kind in ("trees", "blend") else networks_in(point.config):
            TrialConfig.parse(config).check_fit(store.schema)  # here, so that no worker begins what cannot work
        purpose = ("replicate", replicate) if replicate else (point.kind if point.number is None else point.number, 0)
        return Job(
            trial=point.number,
            replicate=replicate,
            config=point.config,
            store=str(store.path),
            seed=derive(request.seed, *purpose),
            splits=splits,
            objectives=tuple(objective.name for objective in objectives),
            tasks=plan.tasks,
            threads=request.threads,
            until=point.until,
            device=request.device,
            resamples=RESAMPLES if replicate else 0,
            predictions=str(part.folder / predictions.FOLDER) if replicate else None,
            kind=point.kind,
            outcomes=outcomes,
            plugins=plugins.files(),
        )

    def on_record(record: TrialRecord) -> None:
        reporter.log(part, [record], study.told)

    def on_result(record: TrialRecord) -> None:
        on_record(record)
        pace.add(record)

    def before(*stages: str) -> Progress:
        return WithLater(progress, lambda: after.seconds(pace, request.workers, stages))

    with Study.open(part.folder, plan) as study:
        facts = {"path": str(store.path), "fingerprint": store.fingerprint, "key": store.key}
        facts["ranked"] = " ".join(sorted(ranked))
        write_text(part.folder / STORE, json.dumps(facts, indent=2))
        reporter.begin(part, study, store.fingerprint)
        options = Options.of(
            request,
            job_seconds=suite.budget.job_time,
            note=progress.note,
            store=str(store.path),
            needs=part.run.manifest.plugins,
        )
        pace = Pace(plan.ladder, request.workers, study.records())
        after = After(suite, plan.space, plan.lengths, store)
        executor = EXECUTORS[request.executor](run_job, request.workers, options)
        try:
            search(plan, study, executor, make_job, on_result, before("teaching", "tuning", "confirming", "serving"))
            study.conclude()
            progress.note(ended(part, study))
            Checkpoints(part.folder).clear()
            production = part.current.point
            records, reference, wanted = study.records(), part.dataset.reference, suite.confirm.baselines
            limit, replicates = suite.confirm.limit, suite.confirm.replicates
            with_single = "single_task" in wanted
            with_twins = replicates > 0 and with_single and _may_share(plan)
            twins: list[Point] = []
            if with_twins:
                twins = tune(study, executor, make_job, reference, limit, before("tuning", "confirming", "serving"))
            single = best_twins(records, twins, objectives)
            chosen = shortlist(records, objectives, reference, limit, with_single, twins)
            known = {point.id for point in chosen}
            more = members(records, objectives, reference, suite.confirm.members)
            more = [point for point in more if point.id not in known]
            if suite.confirm.kinds:
                more += kinds(records, objectives, reference, [*chosen, *more, *single])
            others = baselines_of(records, objectives, reference, wanted, schema, twins)
            if replicates:
                tries = tries_of(full_lengths(records, records), len({record.sharing for record in records}))
                others = tuned(
                    study, executor, make_job, others, plan.tasks, tries, request.seed, before("confirming", "serving")
                )
                gradient = {kind for kind in BALANCING if works_on_gradients(kind)}
                others += [] if production is None else [production]
                static, then = suite.confirm.static, before("confirming", "serving")
                others += retuned(study, executor, make_job, plan, static, gradient, then)
                others += with_earlier(single, study)
                write_rows(store, part.folder / predictions.FOLDER)
            points, budget = [*chosen, *more], suite.confirm.replicates_in_all + replicates * len(more)
            then = before("serving")
            confirm(study, executor, make_job, points, replicates, on_record, then, others, budget, request.seed)
            if replicates and "blend" in wanted:
                folder = part.folder / predictions.FOLDER
                for trees in (each for each in others if each.kind == "trees"):
                    choose = partial(shares_of, store, folder, objectives)
                    blended(study, executor, make_job, choose, folder, trees, reference, then)
            result = _drawn(part, study, reporter, progress)
            while with_twins and (twin := _missing_twin(result, study, reference)) is not None:
                confirm(study, executor, make_job, [], replicates, on_record, then, [twin])
                result = _drawn(part, study, reporter, progress)
        finally:
            executor.close()
    with atomic_path(part.folder / CELLS) as temporary:
        write_cells(result.decision.cells, temporary)
    write_pick(result)
    return result


def _may_share(plan: SearchPlan) -> bool:
    """Whether there is something to share, and single-task models are searched beside models that do."""
    return len(plan.tasks) > 1 and SINGLE_TASK in plan.space.choices(SHARING)


def _drawn(part: DatasetRun, study: Study, reporter: Reporter, progress: Progress) -> DatasetResult:
    """Ends the confirmation and draws the served front."""
    study.end_confirmation()
    reporter.log(part, study.records(), study.told)  # those that were concluded, too
    progress.note("drawing the served front")
    return result_of(part, keep=True)


def _missing_twin(result: DatasetResult, study: Study, reference: Mapping[str, float]) -> Point | None:
    """The twin of the picked network, where single-task models are the reference and it was never trained."""
    served, points = result.decision.serving.served, result.decision.frontier.points
    if served is None or result.decision.pick is None or not served.over_single_task:
        return None
    pick = next((point for point in points if point.id == result.decision.pick.point), None)
    if pick is None:  # a model from elsewhere
        return None
    twin = twin_of_pick(pick, points, result.records, result.objectives, reference)
    return None if twin is None or twin.training in study.replicates() else twin


def extend(run: Run, current: str | None = None, **asked: Any) -> Run:
    """The run with some of its request's fields changed, which `execute` keeps: limits, address, device, current point.

    A search that has ended goes on from there where its limits are raised. `tracking` is MLflow's address from now on.

    Raises:
        UserError: a limit that is not there, or above the new one; an address or a device that jobs could not use.
    """
    if "tracking" in asked:
        asked["tracking"] = plain_address(asked["tracking"])
    limits = {key: limit for key, limit in run.suite.budget if limit is not None and key != "job_time"}
    raised = [key for key in asked if key in Budget.model_fields]
    for key in raised:
        if key not in limits:
            raise UserError(
                f"--{key}: expected a limit that '{run.name}' has ({listed([f'--{each}' for each in limits])}), found "
                f"that its {key} {'is' if key == 'time' else 'are'} not limited"
            )
    request = validate(Request, run.request.model_dump() | asked, "")
    request.check()
    for key in raised:
        if (new := getattr(request, key)) < (old := limits[key]):
            raise UserError(f"--{key}: expected at least {old:,}, the total of '{run.name}' so far, found {new:,}")
    if "tracking" in asked:
        remember(asked["tracking"], run.home)
    budget = run.suite.budget.model_copy(update={key: getattr(request, key) for key in raised})
    suite = run.suite.model_copy(update={"budget": budget})
    return run.changed(request=request, suite=suite).with_current(current)


def confirm_more(run: Run, current: str | None = None, **asked: int) -> Run:
    """The run with more of what its suite's `[confirm]` says, which `execute` keeps.

    Args:
        asked: some of `static`, `members`, `replicates` and `budget`.

    Raises:
        UserError: less than the run has, fewer than 2 static weights, or some where there is nothing to weigh.
    """
    before = run.suite.confirm
    if asked.get("static", 2) < 2:
        raise UserError(f"--static: expected at least 2 weights, found {asked['static']}")
    for key, new in asked.items():
        old = before.replicates_in_all if key == "budget" else getattr(before, key)
        if new < old:
            raise UserError(f"--{key}: expected at least {old}, which '{run.name}' has already, found {new}")
    after = validate(Confirm, before.model_dump() | asked, "the command line")
    if after.static:
        if not after.replicates:
            raise UserError("--static: expected --replicates beside it, as this run confirms nothing, found none")
        for part in run.datasets.values():
            tasks = [task.name for task in part.tasks]
            check_static(part.key, tasks, part.fitted().space)
    return run.changed(suite=run.suite.model_copy(update={"confirm": after})).with_current(current)
