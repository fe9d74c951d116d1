"""A deployment: what was picked, how long its parts are trained, and under which name it is
registered.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bench.app.runs.folder import PICK, DatasetRun, Run
from bench.app.runs.given import terms_of
from bench.app.runs.later_options import DeployOptions
from bench.app.runs.result import DatasetResult, result_of, suite_policy
from bench.core.errors import UserError, count, listed
from bench.core.objectives import AREAS, of_items, ranked
from bench.core.plain import read_json
from bench.core.records import Point
from bench.deciding.challenger import OPTION, pick_challenger, points_of
from bench.deciding.pick import Pick
from bench.deciding.policy import Policy, read_policy
from bench.deciding.retraining import length_of
from bench.deciding.score import Score
from bench.deciding.stability import SELDOM
from bench.ledger.fusion import FusionKind, in_words
from bench.ledger.points import parts_to_train
from bench.models.training.config import TrialConfig
from bench.models.training.tree_settings import is_trees
from bench.serve.retrain import PartOrder

_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True)
class Deployment:
    """What is trained for good and registered, and how.

    Attributes:
        name: of the registered model; named: whether the user gave it.
        score: what the served model ranks by.
        seed: from which those of the trainings derive.
        asked: whether the user named the point, which then is no pick of the policy.
    """

    part: DatasetRun
    result: DatasetResult
    pick: Pick
    point: Point
    name: str
    named: bool
    seed: int
    score: Score
    asked: bool = False

    @property
    def policy(self) -> Policy:
        """The policy that picked it, which also says how to train it."""
        return self.result.decision.policy

    @property
    def parts(self) -> list[PartOrder]:
        """What is trained; errors of `parts_to_train`."""
        return [
            PartOrder(part.config, length_of(part, self.result.objectives), shares)
            for part, shares in self._parts
        ]

    @property
    def training(self) -> str:
        """What is trained, how often, how long and why so long."""
        lengths = {part.name: self._length(part) for part, _ in self._parts}
        durations = list(lengths.values())
        if len(lengths) > 1:
            durations = list(map(" ".join, lengths.items()))
        seeds = count(self.policy.retrain.seeds, "seed")
        return f"{listed([*lengths])} on {seeds}, {'; '.join(durations)}"

    @property
    def _parts(self) -> list[tuple[Point, tuple[float, ...]]]:
        return parts_to_train(
            self.point,
            self.result.decision.frontier.points,
            self.part.task_names,
        )

    def _length(self, part: Point) -> str:
        if is_trees(part.config):
            return "with as many trees as lower the loss on what is held out"
        config = TrialConfig.parse(part.config)
        length = length_of(part, self.result.objectives)
        return f"for {length.in_words(config.optim.epochs, config.sharing.kind == 'single_task')}"

    @property
    def unsure(self) -> str:
        """Where the pick seldom holds, a sentence that says so; else empty."""
        stability = self.pick.stability
        if self.asked or stability.holds is None or stability.holds >= SELDOM:
            return ""
        rivals = []
        for rival in stability.points:
            if rival.by_rule and rival.point != self.pick.point:
                rivals.append(f"{rival.name} comes first in {rival.by_rule:.0%}")
        words = (
            f"This pick holds in {stability.holds:.0%} of retrainings; in the others it breaks a "
            "limit or another choice is better"
        )
        if rivals:
            words += f" ({'; '.join(rivals[:2])})"
        return f"{words}."

    @property
    def outcomes(self) -> dict[str, float]:
        """The pick's outcomes of the ranking by its score, as the choices have them, without those
        of items; none without a served front."""
        outcomes: dict[str, float] = {}
        if not self.pick.kind:
            return outcomes
        for name, value in self.pick.outcomes.items():
            metric = name.partition(".")[2]
            if not of_items(name) and (ranked(metric) or metric in AREAS):
                outcomes[name] = value
        return outcomes

    @property
    def command(self) -> str:
        """What makes it again; `policy.toml` stands for the policy, where that is not the
        suite's.
        """
        run = self.part.run
        options = ""
        if self.policy.toml != suite_policy(self.part).toml:
            options += " --policy policy.toml"
        if self.asked:
            options += f" {OPTION} {shlex.quote(self.pick.point)}"
        return (
            f"{run.manifest.command} && seesaw deploy {run.name}{options} --as challenger "
            f"--seed {self.seed}"
        )


def deployment_of(home: Path, asked: DeployOptions) -> Deployment:
    """Reads what was picked; a point that was asked for is deployed in place of the pick, at its
    best weights by the policy.

    Raises:
        UserError: no such run, several data sets and no `picked.json` that says which, nothing was
            picked, no model to train, an unknown point, or a name that the registry cannot have.
    """
    name = asked.name
    if name is not None and not _NAME.fullmatch(name):
        raise UserError(
            f"--name: expected at most 200 of a-z, A-Z, 0-9, '.', '_' and '-', found '{name[:250]}'"
        )
    part, picked = _part(home, asked.target)
    policy = read_policy(asked.policy) if asked.policy else None
    result = result_of(part, policy)
    if asked.point is None:
        chosen = _picked(asked.target, picked, result)
    else:
        chosen = pick_challenger(result.decision, asked.point)
    model = trained_point(result, chosen)
    key = part.card.key
    registered_name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip("-")
    if not _NAME.fullmatch(registered_name):
        raise UserError(
            f"expected a data set whose name the registry can have, found '{key}'; give one with "
            "--name"
        )
    return Deployment(
        part,
        result,
        chosen,
        model,
        registered_name,
        named=name is not None,
        seed=part.run.request.seed if asked.seed is None else asked.seed,
        score=_score(result, chosen),
        asked=asked.point is not None,
    )


def _picked(target: str, picked: dict[str, Any] | None, result: DatasetResult) -> Pick:
    """The policy's pick, which that of a `picked.json` has to be."""
    instead = instead_of_pick(result, "deploy")
    if picked is None:
        if result.decision.pick is None:
            raise UserError(
                f"{result.run.run.name}: nothing was picked: {result.decision.no_pick}; {instead}"
            )
        return result.decision.pick
    if not isinstance(picked, dict):
        picked = {}
    if not picked.get("point"):
        why = picked.get("reason") or "it names no point"
        raise UserError(f"{target}: nothing was picked: {why}; {instead}")
    pick = result.decision.pick
    policy_picks = result.decision.no_pick
    if pick is not None:
        now = pick.to_json()
        if all(now.get(key) == picked.get(key) for key in ("point", "kind", "weights")):
            return pick
        policy_picks = f"it picks {_name(now)}"
    raise UserError(
        f"{target}: expected what the policy picks, found {_name(picked)}, where {policy_picks}; "
        "see --policy"
    )


def trained_point(result: DatasetResult, chosen: Pick) -> Point:
    """The point that a pick is of; raises a UserError that says what works where no model of it can
    be trained.
    """
    for point in result.decision.frontier.points:
        if point.id == chosen.point and point.config:
            return point
    instead = instead_of_pick(result, "deploy")
    served = result.decision.serving.served
    if chosen.point in terms_of(result.run.given) and served is not None:
        raise UserError(
            f"{result.run.run.name}: expected a model to train, found '{chosen.point}', a model "
            f"from elsewhere: rank its predictions by {result.decision.formulas[chosen.row]}; "
            f"{instead}"
        )
    raise UserError(
        f"{result.run.run.name}: expected a model to train, found {chosen.name}, of which the run "
        f"has numbers alone; {instead}"
    )


def instead_of_pick(result: DatasetResult, command: str) -> str:
    """A way on where the pick is no model to train: the command, and the points that it takes."""
    served = result.decision.serving.served
    trained = {point.id for point in result.decision.frontier.points if point.config}
    if served is not None:
        trained.discard(str(served.table["point"].iloc[served.current]))
    points = [point for point in points_of(result.decision) if point in trained]
    if not points:
        return f"no point of the run can be trained: `seesaw status {result.run.run.name}` says why"
    return (
        f"`seesaw {command} {result.run.run.name} {OPTION} ID` takes a point to test against "
        f"it: {', '.join(points)}"
    )


def _score(result: DatasetResult, pick: Pick) -> Score:
    """The policy's own `[score]` where it has one, else the pick's fusion."""
    policy = result.decision.policy
    if "score" in policy.model_fields_set or pick.kind is None or pick.weights is None:
        return policy.score.of(result.run.tasks)
    return Score.fusion(
        cast(FusionKind, pick.kind), pick.weights, result.decision.serving.rates, result.run.tasks
    )


def _name(picked: Mapping[str, Any]) -> str:
    """How a sentence names what was picked."""
    name = picked.get("name") or picked["point"]
    weights = in_words(picked.get("weights") or {})
    return f"{name} with weights {weights}" if weights else str(name)


def _part(home: Path, target: str) -> tuple[DatasetRun, dict[str, Any] | None]:
    path = Path(target)
    if path.suffix == ".json":
        if not path.is_file():
            raise UserError(f"expected a run or a picked.json, found no {path}")
        run = Run.open(home, str(path.resolve().parent.parent))
        for part in run.datasets.values():
            if part.folder == path.resolve().parent:
                return part, read_json(path)
        raise UserError(f"expected a picked.json in the folder of a run's data set, found {path}")
    run = Run.open(home, target)
    if len(run.datasets) > 1:
        files = ", ".join(str(part.folder / PICK) for part in run.datasets.values())
        raise UserError(f"{run.name} has several data sets; say which by one of {files}")
    return next(iter(run.datasets.values())), None
