"""Deploys a run's pick: plans, trains, packages and registers it; and finds a deployed model by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from bench.atomic import remove_abandoned, scratch_folder
from bench.data import Store, prepare
from bench.errors import UserError
from bench.frontier.pick import Pick
from bench.frontier.points import network_of
from bench.frontier.policy import Policy, read_policy
from bench.frontier.retraining import Length, PredictionInterval, length_of, prediction_intervals
from bench.frontier.score import Kind, Score, in_words
from bench.interrupts import ended_in_order
from bench.lock import FolderLock
from bench.objectives import AREAS, ranked
from bench.plain import read_json
from bench.production.package import MANIFEST, Package, Parts, write_package
from bench.production.retrain import Retrained, RetrainSpec, retrain
from bench.progress import Progress
from bench.records import Point
from bench.report.text import count
from bench.run.folder import MANIFEST as RUN
from bench.run.folder import DatasetRun, Run
from bench.run.model_card import model_card
from bench.run.results import DatasetResult, picked_path, result_of
from bench.tracking.registry import DATASET, TASKS, Move, Registry, registered
from bench.training.config import TrialConfig

_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True)
class Plan:
    """The plan of a deployment.

    Attributes:
        name: of the registered model; named: whether the user gave it.
        score: what the served model ranks by.
        seed: from which those of the trainings derive.
    """

    part: DatasetRun
    result: DatasetResult
    pick: Pick
    point: Point
    name: str
    named: bool
    seed: int
    score: Score

    @property
    def policy(self) -> Policy:
        """The policy that picked it, which also says how to train it."""
        return self.result.policy

    @property
    def folder(self) -> Path:
        """Where the package goes."""
        return self.part.folder / "package"

    @property
    def network(self) -> Point:
        """The point whose configuration is trained.

        Raises:
            UserError: as `network_of`.
        """
        return network_of(self.point, self.result.frontier.points)

    @property
    def length(self) -> Length:
        """How long it is trained."""
        return length_of(self.network, self.result.objectives)

    @property
    def training(self) -> str:
        """What is trained, how often, how long and why so long."""
        config, seeds = TrialConfig.parse(self.network.config), self.policy.retrain.seeds
        length = self.length.in_words(config.optim.epochs, config.sharing.kind == "single_task")
        return f"{self.network.name} on {count(seeds, 'seed')}, for {length}"

    @property
    def outcomes(self) -> dict[str, float]:
        """The pick's outcomes of the ranking by its score, as the choices have them; none without a served front."""
        named = self.pick.outcomes.items() if self.pick.kind else ()
        return {
            name: value for name, value in named if ranked(name.partition(".")[2]) or name.partition(".")[2] in AREAS
        }

    @property
    def command(self) -> str:
        """What makes it again; `policy.toml` stands for the policy, where that is not the suite's."""
        run, more = self.part.run, " --policy policy.toml" if self.result.asked else ""
        return f"{run.manifest.command} && seesaw deploy {run.name}{more} --as challenger --seed {self.seed}"


def plan(home: Path, target: str, policy_file: Path | None, name: str | None, seed: int | None) -> Plan:
    """Reads what was picked.

    Args:
        target: a run's name or path, or the path of a `picked.json` in a run's folder.
        name: of the registered model; else the data set's.

    Raises:
        UserError: no such run, several data sets and no `picked.json` that says which, nothing was picked, or a name
            that the registry cannot have.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise UserError(f"--name: expected at most 200 of a-z, A-Z, 0-9, '.', '_' and '-', found '{name[:250]}'")
    part, picked = _part(home, target)
    result = result_of(part, read_policy(policy_file) if policy_file else None)
    if picked is None:
        if result.pick is None:
            raise UserError(f"{part.run.name}: nothing was picked: {result.no_pick}")
        picked = result.pick.to_json()
    elif not isinstance(picked, dict) or not picked.get("point"):
        why = picked.get("reason") if isinstance(picked, dict) else None
        raise UserError(f"{target}: nothing was picked: {why or 'it names no point'}")
    point = next((each for each in result.frontier.points if each.id == picked.get("point")), None)
    if point is None:
        raise UserError(f"{target}: expected a point of the run {part.run.name}, found {_name(picked)}, which is none")
    now = result.pick.to_json() if result.pick else {}
    if any(now.get(key) != picked.get(key) for key in ("point", "kind", "weights")):
        found = f"it picks {_name(now)}" if now else result.no_pick
        raise UserError(f"{target}: expected what the policy picks, found {_name(picked)}, where {found}; see --policy")
    assert result.pick is not None
    key = part.card.key
    made = name or re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip("-")
    if not _NAME.fullmatch(made):
        raise UserError(f"expected a data set whose name the registry can have, found '{key}'; give one with --name")
    seed = part.run.manifest.seed if seed is None else seed
    return Plan(part, result, result.pick, point, made, name is not None, seed, _score(result, result.pick))


def _score(result: DatasetResult, pick: Pick) -> Score:
    """The policy's own `[score]` where it has one, else the pick's fusion."""
    policy = result.policy
    if "score" in policy.model_fields_set or pick.kind is None or pick.weights is None:
        return policy.score.of(result.run.tasks)
    return Score.fusion(cast(Kind, pick.kind), pick.weights, result.serving.rates, result.run.tasks)


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
        part = next((part for part in run.datasets.values() if part.folder == path.resolve().parent), None)
        if part is None:
            raise UserError(f"expected a picked.json in the folder of a run's data set, found {path}")
        return part, read_json(path)
    run = Run.open(home, target)
    if len(run.datasets) > 1:
        files = ", ".join(str(picked_path(part)) for part in run.datasets.values())
        raise UserError(f"{run.name} has several data sets; say which by one of {files}")
    return next(iter(run.datasets.values())), None


@contextmanager
def deploying(planned: Plan) -> Iterator[None]:
    """Around `make_package` and `register`: one deployment of a run at a time, and none leaves anything half-done.

    What an earlier one that was killed left half-written is removed.

    Raises:
        UserError: the pick cannot be packaged, another deployment is at work, MLflow cannot be reached, or as
            `check_name`: all of it better known before a training.
    """
    _ = planned.network
    folder = planned.part.folder
    with ended_in_order(), FolderLock(folder, "deploy.lock", "deployment"):
        remove_abandoned(folder)
        check_name(planned)
        yield


def check_name(planned: Plan) -> None:
    """Refuses to register a model as a version of another one; data of another card may have a name that was given.

    Raises:
        UserError: it would be such a version, or MLflow cannot be reached.
    """
    tasks, data = [task.name for task in planned.part.tasks], None if planned.named else planned.part.key
    Registry(planned.part.run.store_address).check_version(planned.name, tasks, data)


def make_package(
    planned: Plan,
    raw: Path | None,
    force: bool,
    threads: int,
    progress: Progress,
    onnx: bool = True,
) -> Package:
    """Trains the pick for good and packages it in the run's folder.

    Raises:
        UserError: as `retrain` and `write_package`.
    """
    part, result = planned.part, planned.result
    card = part.card
    store = prepare(card, part.run.home, raw, progress)
    part.check_store(store)
    store = store.with_tasks([task.name for task in part.tasks])
    intervals = _intervals(planned, force)
    progress.note(f"training {planned.training}")
    order = RetrainSpec(
        card,
        store,
        planned.network.config,
        result.objectives,
        planned.length,
        planned.policy.retrain,
        planned.seed,
        planned.score,
        tuple(planned.outcomes),
    )
    with scratch_folder(part.folder / "deploy") as work:
        retrained = retrain(order, work, intervals, force, threads, progress)
    return write_package(contents(planned, store, retrained, intervals), planned.folder, onnx)


def register(planned: Plan, package: Package, alias: str) -> tuple[str, list[Move]]:
    """Logs and registers a package and moves the alias; the version, and what moved."""
    run = planned.part.run
    registry = Registry(run.store_address, run.home)
    provenance = package.manifest.provenance
    tags = {
        "seesaw.run": run.name,
        DATASET: planned.part.key,
        "seesaw.point": planned.pick.point,
        TASKS: ",".join(task.name for task in planned.part.tasks),
        "seesaw.fingerprint": str(provenance["data"]["fingerprint"]),
        "seesaw.package": package.digest,
    }
    experiment = run.manifest.experiment
    run_id = registry.log(package, experiment, f"{run.name} deployed", tags, provenance["test"])
    description = (package.folder / "README.md").read_text(encoding="utf-8")
    number = registry.register(planned.name, run_id, description, tags)
    moves = registry.moves(planned.name, alias, number)
    registry.apply(planned.name, moves)
    return number, moves


def _intervals(planned: Plan, force: bool) -> Mapping[str, PredictionInterval]:
    """Where each metric on test should be; nothing where its points were not confirmed."""
    if not planned.point.replicates:
        return {}
    points = planned.result.frontier.points
    options = planned.policy.retrain
    try:
        return prediction_intervals(planned.point, points, planned.result.objectives, options.confidence, options.runs)
    except UserError:
        if not force:
            raise
        return {}


AGREE_ON = 1024
"""Rows of validation on which engines must agree."""


def contents(planned: Plan, store: Store, retrained: Retrained, intervals: Mapping[str, PredictionInterval]) -> Parts:
    """All that goes into the package of a trained pick, its model card among it."""
    valid = store.split("valid")
    rows = valid.ids_of(slice(AGREE_ON)), np.array(valid.dense[:AGREE_ON])
    manifest = planned.part.run.manifest
    return Parts(
        name=planned.part.card.key,
        schema=store.schema,
        config=retrained.config,
        members=[member.states for member in retrained.members],
        encoder=store.encoder,
        rows=rows,
        score=planned.score,
        outcomes=tuple(planned.outcomes),
        calibrations=retrained.calibrations,
        card=planned.part.card.model_dump(mode="json", by_alias=True, exclude={"folder"}),
        policy=planned.policy.model_dump(mode="json", exclude={"score"}) | {"reason": planned.pick.reason},
        provenance=retrained.provenance
        | {
            "run": planned.part.run.name,
            "suite": manifest.suite_name,
            "point": planned.pick.point,
            "trial": planned.network.number,
            "until": planned.network.until,
            "command": planned.command,
            "test": retrained.calibrated,
        },
        readme=model_card(planned, store, retrained, intervals),
    )


def open_model(home: Path, model: str, tracking: str | None = None) -> Package:
    """The package behind a folder, a run's name, or `NAME`, `NAME@ALIAS`, `NAME/VERSION` in the registry.

    Raises:
        UserError: there is none, or it was changed.
    """
    folder = Path(model).expanduser()
    if (folder / MANIFEST).is_file():
        return Package.open(folder)
    if (home / "runs" / model / RUN).is_file():
        made = [part.folder / "package" for part in Run.open(home, model).datasets.values()]
        found = [each for each in made if (each / MANIFEST).is_file()]
        if len(found) != 1:
            raise UserError(
                f"{model}: expected one packaged model, found {len(found)}; `seesaw deploy` makes one, and a folder "
                "says which"
            )
        return Package.open(found[0])
    return registered(home, model, tracking)
