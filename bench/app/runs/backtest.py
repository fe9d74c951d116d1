"""A run's back-test: which points, what they are compared with, and where the results lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from bench.app.runs.deployment import instead_of_pick
from bench.app.runs.folder import DAYS, PAGE
from bench.app.runs.later_options import BacktestOptions
from bench.app.runs.result import DatasetResult, result_of
from bench.app.runs.run_page import write_report
from bench.core.errors import UserError, check_known
from bench.core.plain import jsonable
from bench.core.system.atomic import write_text
from bench.core.system.lock import FolderLock
from bench.core.system.machine import cores
from bench.core.system.progress import Progress
from bench.deciding.challenger import OPTION, challenger_of, points_of
from bench.deciding.retraining import length_of
from bench.deciding.words.verdict import named, titles_of
from bench.ledger.fusion import Fusion
from bench.ledger.points import parts_of
from bench.ledger.served.served import Served
from bench.models.trainers.handing import TRAINERS
from bench.search.executors.base import RAY, Options
from bench.serve.backtest.cut_by_cut import (
    BacktestPlan,
    RankedPoint,
    Spread,
    in_processes,
    run,
)
from bench.serve.backtest.cuts import times_of
from bench.serve.backtest.daily_gains import Backtest, Days, days_of, document, sentences
from bench.serve.retrain import PartOrder

FOLDER = "backtest"


@dataclass(frozen=True)
class BacktestAnswer:
    """What a back-test of a run found.

    Attributes:
        titles: names of its points.
        unit: what a cut is.
    """

    plan: BacktestPlan
    outcome: Backtest
    titles: dict[str, str]
    unit: str

    @cached_property
    def days(self) -> list[Days]:
        """Of each point that is compared."""
        plan = self.plan
        compared = [name for name in plan.ranked if name != plan.against]
        return [days_of(self.outcome, plan.aim, name) for name in compared]

    @property
    def sentences(self) -> dict[str, list[str]]:
        """By point the answer, and what beside it a reader acts on."""
        against = self.titles[self.outcome.against]
        by_point = {}
        for days in self.days:
            title = self.titles[days.point]
            by_point[days.point] = sentences(days, self.outcome, title, against, self.unit)
        return by_point

    @property
    def document(self) -> dict[str, Any]:
        """All of it as plain values; `served` has each point's id, and the kind and weights of its
        fusion.
        """
        served = {}
        for name, ranked in self.plan.ranked.items():
            if ranked.fusion is not None:
                served[name] = [ranked.point.id, ranked.fusion.kind, list(ranked.fusion.weights)]
        return document(self.days, self.outcome) | {
            "titles": self.titles,
            "unit": self.unit,
            "sentences": self.sentences,
            "served": served,
        }


def plan_of(result: DatasetResult, asked: BacktestOptions, progress: Progress) -> BacktestPlan:
    """What is trained and judged.

    Raises:
        UserError: no served front, an unknown point, nothing to compare, no time; or as
            `Times.cuts`.
    """
    part = result.run
    served = result.decision.serving.served
    if served is None or served.current is None or not result.decision.serving.aims:
        raise UserError(
            f"{part.run.name}: expected a served front to test, found none: "
            f"{result.decision.serving.reason}; `{part.run.go_on} --confirm replicates=3` "
            "makes one"
        )
    against = str(served.table["point"].iloc[served.current])
    name_of_row = {_row(result, served, name): name for name in asked.points}
    ranked = {}
    for row, name in name_of_row.items():
        if row != served.current:
            ranked[name] = _ranked(result, served, row)
    if not ranked:
        raise UserError(
            f"expected a point beside '{against}', what all are compared with, found none; "
            f"{instead_of_pick(result, 'backtest')}"
        )
    ranked[against] = _ranked(result, served, served.current)
    times = times_of(part.card, part.run.home, _raw(result, asked), asked.time, progress)
    return BacktestPlan(
        times=times,
        cuts=tuple(times.cuts(asked.cuts, asked.every)),
        ranked=ranked,
        against=against,
        how=asked.how,
        window=asked.window,
        tasks=part.tasks,
        outcomes=served.measures,
        objectives=result.objectives,
        aim=result.decision.serving.aims[0],
        rates=[result.decision.serving.rates[task.name] for task in part.tasks],
        seed=part.run.request.seed if asked.seed is None else asked.seed,
        threads=asked.threads or max(1, cores() // asked.workers),
    )


def cost_of(plan: BacktestPlan) -> str:
    """The trainings, in one sentence."""
    rows = "all that lies before, at each cut"
    if plan.how == "warm":
        rows = "one pass over what is new at each later cut; trees are trained from scratch"
    return f"{len(plan.cuts)} cuts x {len(plan.trained[0])} models: {rows}"


UNITS = {"1d": "day", "1w": "week", "7d": "week", "month": "month"}


def _raw(result: DatasetResult, asked: BacktestOptions) -> Path | None:
    return asked.raw or result.run.run.request.raw


def backtest(result: DatasetResult, asked: BacktestOptions, progress: Progress) -> BacktestAnswer:
    """Does it, and leaves the answer in the run's folder and on its page. Finished cuts are not
    computed again.

    Raises:
        UserError: as of `plan_of`, or another back-test of this run is at work.
    """
    part = result.run
    plan = plan_of(result, asked, progress)
    progress.note(cost_of(plan))
    with FolderLock(part.folder, "backtest.lock", "back-test"):
        spread = _spread(asked, plan, progress)
        raw = _raw(result, asked)
        outcome = run(plan, part.folder / FOLDER, part.run.home, raw, progress, spread)
        unit = UNITS.get(asked.every or "", "cut")
        answer = BacktestAnswer(plan, outcome, _titles(result, plan), unit)
        write_text(part.folder / DAYS, json.dumps(jsonable(answer.document), indent=1))
        if len(part.run.datasets) == 1:  # the verdict on its page counts these days
            write_report([result_of(part)], part.run.folder / PAGE, part.run.name)
    return answer


def _titles(result: DatasetResult, plan: BacktestPlan) -> dict[str, str]:
    served = result.decision.serving.served
    assert served is not None
    facts = {str(row["point"]): row for _, row in served.table.iterrows()}
    of_trials = titles_of(result.decision.frontier.points)
    titles = {}
    for name, ranked in plan.ranked.items():
        if name != plan.against:
            titles[name] = named(facts[ranked.point.id], of_trials)
    titles[plan.against] = result.decision.serving.against
    return titles


def _spread(asked: BacktestOptions, plan: BacktestPlan, progress: Progress) -> Spread | None:
    """How the cuts after the first are done: None for one after the other."""
    if asked.executor == RAY:
        from bench.search.executors.ray import spread

        options = Options(
            executor=RAY, address=asked.address, threads=plan.threads, note=progress.note
        )
        return partial(spread, options)
    return partial(in_processes, asked.workers) if asked.workers > 1 else None


def _row(result: DatasetResult, served: Served, name: str) -> int:
    """The serving point that a name means: `pick`, `current`, or a model at its best weights by the
    policy.
    """
    if name == "pick":
        if result.decision.pick is None:
            raise UserError(
                f"nothing was picked: {result.decision.no_pick}; "
                f"{instead_of_pick(result, 'backtest')}"
            )
        return result.decision.pick.row
    if name == "current":
        return int(served.current)
    check_known("point", name, ["pick", "current", *points_of(result.decision)], OPTION)
    return challenger_of(result.decision, name).row


def _ranked(result: DatasetResult, served: Served, row: int) -> RankedPoint:
    facts = served.table.iloc[row]
    points = result.decision.frontier.points
    point = next((point for point in points if point.id == facts["point"]), None)
    if point is None and str(facts["point"]) in result.run.given_names:
        raise UserError(
            f"expected a model to train at each cut, found '{facts['point']}', a model from "
            f"elsewhere; {instead_of_pick(result, 'backtest')}"
        )
    if point is None or facts["kind"] is None:  # a score of the log
        return RankedPoint(point or points[0], (), None, result.run.current.column)
    tasks = result.run.task_names
    orders = []
    for part, shares in parts_of(point, points, tasks):
        length = length_of(part, result.objectives)
        trainer = None
        if part.trainer:
            trainer = result.run.folder.resolve() / TRAINERS / part.trainer
        orders.append(PartOrder(part.config, length, shares, trainer, part.until))
    weights = [facts["weights"].get(task, 0.0) for task in tasks]
    return RankedPoint(point, tuple(orders), Fusion.of(facts["kind"], weights))
