"""The search of a data set's part of a run, and the jobs of its trainings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.app.runs.folder import DatasetRun
from bench.app.runs.search_limits import rungs_of
from bench.app.runs.suite_objectives import resolve_objectives, resolve_outcomes
from bench.core import plugins
from bench.core.objectives import Objective, names_of, of_items
from bench.core.records import TRAINER, Job, Point, SplitName
from bench.core.rows import CONFIRM
from bench.core.seeds import derive
from bench.data import Store
from bench.measure import predictions
from bench.measure.resampling import RESAMPLES
from bench.models.trainers.handing import TRAINERS
from bench.models.training.config import TrialConfig
from bench.models.training.ensemble import networks_in
from bench.search.plan import SearchPlan, learnt
from bench.search.promotion import reduction_factors
from bench.search.space import Space


def plan_of(
    part: DatasetRun,
    space: Space,
    tasks: tuple[str, ...],
    rows: int,
    objectives: tuple[Objective, ...],
) -> SearchPlan:
    """The search of a data set as its suite asks for it; raises UserError if tasks or budget do not
    allow it.

    Args:
        rows: of the train split.
    """
    suite = part.run.suite
    trainers = part.run.trainers.values()
    stops_early = space.has_ours or any(trainer.file.rungs for trainer in trainers)
    rungs = rungs_of(suite, space, rows, stops_early)
    return SearchPlan(
        space=space,
        tasks=tasks,
        objectives=objectives,
        trials=suite.budget.trials,
        seed=part.run.request.seed,
        sampler=suite.search.sampler,
        portfolio=tuple(learnt(space, tasks, len(objectives), rows)),
        tries=suite.search.tries,
        seconds=suite.budget.time,
        budget=suite.budget.samples_of(rungs[-1]),
        ladder=rungs,
        eta=suite.search.eta or reduction_factors(len(objectives)),
        share=suite.search.share,
        reference=part.dataset.reference,
        checkpoint_bytes=suite.search.checkpoint_gb * 1e9,
    )


@dataclass(frozen=True)
class JobMaker:
    """Makes the jobs of a data set's trainings.

    Attributes:
        outcomes: of tasks, which heads have, too.
    """

    part: DatasetRun
    store: Store
    plan: SearchPlan
    outcomes: tuple[str, ...]

    @staticmethod
    def of(part: DatasetRun, store: Store, ranked: frozenset[str]) -> JobMaker:
        """With the plan of a data set's search; raises UserError if its tasks, outcomes or budget
        do not allow it.

        Args:
            ranked: tasks that are ranked within groups.
        """
        schema = store.schema
        space = part.fitted(store).space
        objectives = resolve_objectives(part.dataset, schema.tasks, ranked)
        plan = plan_of(part, space, schema.task_names, len(store.split("train")), objectives)
        group = np.asarray(store.split(CONFIRM).group[: predictions.MOST_OF_SPLIT])
        served = resolve_outcomes(part.dataset, part.tasks, group, card=part.card)
        outcomes = [name for name in names_of(served) if not of_items(name)]
        return JobMaker(part, store, plan, tuple(outcomes))

    def __call__(self, point: Point, replicate: int, splits: tuple[SplitName, ...]) -> Job:
        """A training of the search (0), or of a replicate."""
        config = point.config
        trainer: str | None = None
        if point.trainer:
            trainer = str(self.part.folder.resolve() / TRAINERS / point.trainer)
        else:
            config = {name: value for name, value in config.items() if name != TRAINER}
            if point.kind not in ("trees", "blend"):
                for network in networks_in(config):
                    # so that no worker begins what cannot work
                    TrialConfig.parse(network).check_fit(self.store.schema)
        request = self.part.run.request
        return Job(
            trial=point.number,
            replicate=replicate,
            config=config,
            store=str(self.store.path),
            seed=derive(request.seed, *_purpose(point, replicate)),
            splits=splits,
            objectives=tuple(names_of(self.plan.objectives)),
            tasks=self.plan.tasks,
            threads=request.threads,
            until=point.until,
            device=request.device,
            resamples=RESAMPLES if replicate else 0,
            predictions=str(self.part.folder / predictions.FOLDER) if replicate else None,
            kind=point.kind,
            outcomes=self.outcomes,
            plugins=plugins.files(),
            trainer=trainer,
        )


def _purpose(point: Point, replicate: int) -> tuple[str | int, int]:
    """The purpose of a training's random numbers: replicates of one number are paired across
    points.
    """
    if replicate:
        return "replicate", replicate
    if point.number is None:
        return point.kind, 0
    return point.number, 0
