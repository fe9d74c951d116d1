"""Carries out a run, or the rest of it: prepare, search, confirm, frontier, pick, page."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.app.runs import backtest
from bench.app.runs.folder import PAGE, STORE, DatasetRun, Run
from bench.app.runs.given import check_predictions
from bench.app.runs.jobs import JobMaker
from bench.app.runs.later_options import BacktestOptions
from bench.app.runs.picked import write_pick
from bench.app.runs.reporting import Reporter
from bench.app.runs.request import Request
from bench.app.runs.result import DatasetResult, result_of
from bench.app.runs.run_page import write_report
from bench.app.runs.search_limits import ended
from bench.app.runs.status import After, Pace, WithLater
from bench.app.runs.suite import Confirm
from bench.core import plugins
from bench.core.records import Point, TrialRecord
from bench.core.system.atomic import atomic_path, write_text
from bench.core.system.progress import Progress
from bench.data import Store
from bench.data.handed_rows import write_handed_rows
from bench.ledger.ledger import CELLS, write_cells
from bench.measure import predictions
from bench.models.balancing import BALANCING, works_on_gradients
from bench.models.trainers.handing import ROWS, TRAINERS, hand_over
from bench.models.trainers.job import run_training
from bench.models.training.blend import shares_of
from bench.models.training.evaluation import ranked_in
from bench.models.training.kept import write_rows
from bench.search.confirm.baselines import (
    baselines_of,
    full_lengths,
    retuned,
    tries_of,
    tuned,
)
from bench.search.confirm.blending import blended
from bench.search.confirm.race import confirm, kinds, members, shortlist
from bench.search.confirm.twins import best_twins, tune, twin_of_pick, with_earlier
from bench.search.driver import Checkpoints, search
from bench.search.executors import EXECUTORS
from bench.search.executors.base import RAY, Executor, Options
from bench.search.plan import SHARING, SINGLE_TASK, SearchPlan
from bench.search.study import Study


def execute(run: Run, progress: Progress) -> list[DatasetResult]:
    """Everything from raw data to the page. Finished parts of an earlier execution are not done
    again.

    Raises:
        UserError: the data cannot be had or does not fit, data or a plug-in changed since the run
            began, or another driver works on the run. Nothing of the run is changed then.
    """
    plugins.check(run.manifest.plugins, run.name)
    with Reporter(run, progress) as reporter:
        parts = [(part, part.prepare(progress, run.request.raw)) for part in run.datasets.values()]
        for part, store in parts:
            check_predictions(part.given, store, progress)
        run.keep()  # limits that were raised: everything is checked by now
        results = [_search(part, store, reporter, progress) for part, store in parts]
        if run.request.backtest:
            _backtest(results, run.request, progress)
            results = [result_of(part) for part, _ in parts]  # their verdicts count days now
        write_report(results, run.folder / PAGE, run.name)
        reporter.conclude(results)
    return results


def _backtest(results: Sequence[DatasetResult], request: Request, progress: Progress) -> None:
    executor = RAY if request.executor == RAY else "process"
    options = BacktestOptions(
        cuts=request.backtest, threads=request.threads, executor=executor, address=request.address
    )
    for result in results:
        backtest.backtest(result, options, progress)


@dataclass(frozen=True)
class Execution:
    """A data set's part of a run while it is carried out.

    Attributes:
        pace: of trainings so far.
        after: how long the stages after the search take.
    """

    make_job: JobMaker
    study: Study
    executor: Executor
    reporter: Reporter
    progress: Progress
    pace: Pace
    after: After

    @property
    def part(self) -> DatasetRun:
        """The data set."""
        return self.make_job.part

    @property
    def confirms(self) -> Confirm:
        """What its suite asks to confirm."""
        return self.part.run.suite.confirm

    @property
    def reference(self) -> Mapping[str, float]:
        """By objective where hypervolumes begin."""
        return self.part.dataset.reference

    @property
    def predictions(self) -> Path:
        """The folder of kept predictions."""
        return self.part.folder / predictions.FOLDER

    @property
    def with_twins(self) -> bool:
        """Whether single-task twins are trained: models that share are compared with them."""
        return (
            self.confirms.replicates > 0
            and "single_task" in self.confirms.baselines
            and _may_share(self.make_job.plan)
        )

    def on_record(self, record: TrialRecord) -> None:
        """Logs a trial that has changed."""
        self.reporter.log(self.part, [record], self.study.told)

    def on_result(self, record: TrialRecord) -> None:
        """Logs a trial of the search that has come further."""
        self.on_record(record)
        self.pace.add(record)

    def before(self, *stages: str) -> Progress:
        """Progress whose time left includes later stages."""
        seconds = partial(self.after.seconds, self.pace, self.part.run.request.workers, stages)
        return WithLater(self.progress, seconds)


def _search(
    part: DatasetRun, store: Store, reporter: Reporter, progress: Progress
) -> DatasetResult:
    ranked = ranked_in(store)
    make_job = JobMaker.of(part, store, ranked)
    with Study.open(part.folder, make_job.plan) as study:
        write_facts(part, store, ranked)
        hand_rows_over(part, store, make_job.plan, progress)
        reporter.begin(part, study, store.fingerprint)
        pace = Pace(make_job.plan.ladder, part.run.request.workers, study.records())
        after = After(part.run.suite, make_job.plan.space, make_job.plan.lengths, store)
        with closing(executor_of(part, store, progress)) as executor:
            execution = Execution(make_job, study, executor, reporter, progress, pace, after)
            search_all(execution)
            twins = tuned_twins(execution)
            chosen = chosen_points(execution, twins)
            baselines = tuned_baselines(execution, twins)
            confirm_all(execution, chosen, baselines)
            confirm_blends(execution, baselines)
            result = drawn_with_twin(execution)
    with atomic_path(part.folder / CELLS) as temporary:
        write_cells(result.decision.cells, temporary)
    write_pick(result)
    return result


def write_facts(part: DatasetRun, store: Store, ranked: Collection[str]) -> None:
    """Writes which store a data set's part of a run reads, and which tasks it ranks within
    groups.
    """
    facts = {
        "path": str(store.path),
        "fingerprint": store.fingerprint,
        "key": store.key,
        "ranked": " ".join(sorted(ranked)),
    }
    write_text(part.folder / STORE, json.dumps(facts, indent=2))


def hand_rows_over(part: DatasetRun, store: Store, plan: SearchPlan, progress: Progress) -> None:
    """Writes what trainers from elsewhere get: rows by split, once, and a folder for each."""
    run = part.run
    if not run.trainers:
        return
    folder = part.folder.resolve()
    write_handed_rows(part.card, store, run.home, run.request.raw, folder / ROWS, progress)
    for name, trainer in run.trainers.items():
        hand_over(trainer, part.card, store, plan.ladder[-1], folder / TRAINERS / name)


def executor_of(part: DatasetRun, store: Store, progress: Progress) -> Executor:
    """The workers that the request asks for."""
    request = part.run.request
    options = Options.of(
        request,
        job_seconds=part.run.suite.budget.job_time,
        note=progress.note,
        store=str(store.path),
        needs=part.run.manifest.plugins,
    )
    return EXECUTORS[request.executor](run_training, request.workers, options)


def search_all(execution: Execution) -> None:
    """Searches until a limit, or goes on from where a search was interrupted."""
    study = execution.study
    then = execution.before("teaching", "tuning", "confirming", "serving")
    search(
        execution.make_job.plan,
        study,
        execution.executor,
        execution.make_job,
        execution.on_result,
        then,
    )
    study.conclude()
    execution.progress.note(ended(execution.part, study))
    Checkpoints(execution.part.folder).clear()


def tuned_twins(execution: Execution) -> list[Point]:
    """Single-task twins of the points to confirm, each trained once."""
    if not execution.with_twins:
        return []
    study = execution.study
    executor = execution.executor
    then = execution.before("tuning", "confirming", "serving")
    return tune(
        study, executor, execution.make_job, execution.reference, execution.confirms.limit, then
    )


@dataclass(frozen=True)
class Chosen:
    """Points of the search to confirm.

    Attributes:
        shortlist: of the front.
        members: others, that stand for a kind of balancing or of sharing.
    """

    shortlist: list[Point]
    members: list[Point]


def chosen_points(execution: Execution, twins: Sequence[Point]) -> Chosen:
    """Chooses by the values of the search."""
    confirms = execution.confirms
    records = execution.study.records()
    objectives = execution.make_job.plan.objectives
    reference = execution.reference
    with_single = "single_task" in confirms.baselines
    front = shortlist(records, objectives, reference, confirms.limit, with_single, twins)
    front_ids = {point.id for point in front}
    balanced = members(records, objectives, reference, confirms.members)
    standing = [point for point in balanced if point.id not in front_ids]
    if confirms.kinds:
        best_single = best_twins(records, twins, objectives)
        standing += kinds(records, objectives, reference, [*front, *standing, *best_single])
    return Chosen(front, standing)


def tuned_baselines(execution: Execution, twins: Sequence[Point]) -> list[Point]:
    """The baselines to confirm: trees and static weights tuned, the current point, and the best
    twins among them.
    """
    make_job = execution.make_job
    study = execution.study
    executor = execution.executor
    plan = make_job.plan
    confirms = execution.confirms
    records = study.records()
    schema = make_job.store.schema
    wanted = confirms.baselines
    baselines = baselines_of(records, plan.objectives, execution.reference, wanted, schema, twins)
    if not confirms.replicates:
        return baselines
    seed = execution.part.run.request.seed
    then = execution.before("confirming", "serving")
    tries = tries_of(full_lengths(records, records), len({record.sharing for record in records}))
    baselines = tuned(study, executor, make_job, baselines, plan.tasks, tries, seed, then)
    production = execution.part.current.point
    if production is not None:
        baselines.append(production)
    gradient = {kind for kind in BALANCING if works_on_gradients(kind)}
    baselines += retuned(study, executor, make_job, plan, confirms.static, gradient, then)
    return baselines + with_earlier(best_twins(records, twins, plan.objectives), study)


def confirm_all(execution: Execution, chosen: Chosen, baselines: Sequence[Point]) -> None:
    """Trains replicates of what was chosen and of the baselines."""
    confirms = execution.confirms
    make_job = execution.make_job
    if confirms.replicates:
        write_rows(make_job.store, execution.predictions)
    confirm(
        execution.study,
        execution.executor,
        make_job,
        [*chosen.shortlist, *chosen.members],
        confirms.replicates,
        execution.on_record,
        execution.before("serving"),
        baselines,
        confirms.replicates_in_all + confirms.replicates * len(chosen.members),
        execution.part.run.request.seed,
    )


def confirm_blends(execution: Execution, baselines: Sequence[Point]) -> None:
    """Confirms blends of the best network with trees, where they are wanted."""
    if not execution.confirms.replicates or "blend" not in execution.confirms.baselines:
        return
    make_job = execution.make_job
    study = execution.study
    folder = execution.predictions
    choose = partial(shares_of, make_job.store, folder, make_job.plan.objectives)
    then = execution.before("serving")
    for baseline in baselines:
        if baseline.kind == "trees":
            blended(
                study,
                execution.executor,
                make_job,
                choose,
                folder,
                baseline,
                execution.reference,
                then,
            )


def drawn_with_twin(execution: Execution) -> DatasetResult:
    """The result, drawn again while the twin of a picked network was never trained, which is
    confirmed then.
    """
    study = execution.study
    replicates = execution.confirms.replicates
    then = execution.before("serving")
    result = _drawn(execution)
    while execution.with_twins:
        twin = _missing_twin(result, study, execution.reference)
        if twin is None:
            break
        confirm(
            study,
            execution.executor,
            execution.make_job,
            [],
            replicates,
            execution.on_record,
            then,
            [twin],
        )
        result = _drawn(execution)
    return result


def _may_share(plan: SearchPlan) -> bool:
    """Whether there is something to share, and single-task models are searched beside models that
    do.
    """
    return len(plan.tasks) > 1 and SINGLE_TASK in plan.space.choices(SHARING)


def _drawn(execution: Execution) -> DatasetResult:
    """Ends the confirmation and draws the served front."""
    study = execution.study
    study.end_confirmation()
    # those that were concluded, too
    execution.reporter.log(execution.part, study.records(), study.told)
    execution.progress.note("drawing the served front")
    return result_of(execution.part, keep=True)


def _missing_twin(
    result: DatasetResult, study: Study, reference: Mapping[str, float]
) -> Point | None:
    """The twin of the picked network, where single-task models are the reference and it was never
    trained.
    """
    served = result.decision.serving.served
    points = result.decision.frontier.points
    if served is None or result.decision.pick is None or not served.over_single_task:
        return None
    picked = next((point for point in points if point.id == result.decision.pick.point), None)
    if picked is None:  # a model from elsewhere
        return None
    twin = twin_of_pick(picked, points, result.records, result.objectives, reference)
    if twin is None or twin.training in study.replicates():
        return None
    return twin
