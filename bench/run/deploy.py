"""From a run's pick to a registered model: trained for good, packaged, logged, and the alias moved."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import Store, load_card, prepare
from bench.data.card import Card
from bench.errors import UserError
from bench.frontier.pick import Pick
from bench.frontier.policy import Policy, read_policy
from bench.frontier.promise import Promise, promises
from bench.frontier.retraining import Retraining
from bench.machine import versions
from bench.production.model_card import Facts, model_card
from bench.production.package import Package, Parts, write_package
from bench.production.retrain import Order, retrain
from bench.production.retrained import Retrained
from bench.progress import Progress
from bench.records import TrialRecord
from bench.run.folder import DatasetRun, Run
from bench.run.results import DatasetResult, result_of, tasks_of
from bench.tracking.registry import Move, Registry
from bench.tracking.tracker import experiment_name
from bench.validation import validate

AGREE_ON = 1024
"""Rows of validation on which engines must agree."""


@dataclass(frozen=True)
class Plan:
    """What is to be deployed.

    Attributes:
        name: of the registered model.
        point: the picked one.
        seed: from which those of the trainings derive.
    """

    part: DatasetRun
    result: DatasetResult
    pick: Pick
    policy: Policy
    point: TrialRecord
    name: str
    options: Retraining
    seed: int

    @property
    def folder(self) -> Path:
        """Where the package goes."""
        return self.part.folder / "package"

    @property
    def command(self) -> str:
        """What makes it again."""
        run = self.part.run
        return f"{run.manifest.command} && seesaw deploy {run.name} --as challenger --seed {self.seed}"


def plan(home: Path, target: str, policy_file: Path | None, name: str | None, seed: int | None) -> Plan:
    """Reads what was picked.

    Args:
        target: a run's name or path, or the path of a `picked.json` in a run's folder.
        name: of the registered model; else the data set's.

    Raises:
        UserError: no such run, several data sets and no `picked.json` that says which, or nothing was picked.
    """
    part, picked = _part(home, target)
    result = result_of(part, policy_file)
    policy = read_policy(policy_file) if policy_file else validate(Policy, part.run.manifest.suite.policy, "policy")
    if picked is None:
        if result.pick is None:
            raise UserError(f"{part.run.name}: nothing was picked: {result.no_pick}")
        chosen = (result.pick.trial, result.pick.until)
    else:
        chosen = (picked["trial"], picked.get("until"))
    point = next((each for each in result.frontier.points if (each.number, each.until) == chosen), None)
    if point is None:
        raise UserError(
            f"{target}: expected a point of the run {part.run.name}, found trial {chosen[0]}, which is none"
        )
    if result.pick is None or (result.pick.trial, result.pick.until) != chosen:
        now = result.no_pick if result.pick is None else f"it picks trial {result.pick.trial}"
        raise UserError(f"{target}: expected what the policy picks, found trial {chosen[0]}, where {now}; see --policy")
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", name or load_card(part.key).key).strip("-")
    return Plan(
        part, result, result.pick, policy, point, made, policy.retrain, part.run.manifest.seed if seed is None else seed
    )


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
    card = load_card(part.key)
    store = prepare(card, part.run.home, raw, progress)
    store = store.with_tasks([task.name for task in tasks_of(part)])
    promised = _promised(planned, force)
    order = Order(
        card,
        store,
        planned.point.config,
        result.objectives,
        planned.pick.length,
        planned.options,
        planned.seed,
    )
    with tempfile.TemporaryDirectory(dir=part.folder) as work:
        retrained = retrain(order, Path(work), promised, force, threads, "auto", progress)
    return write_package(_parts(planned, card, store, retrained, promised), planned.folder, onnx)


def register(planned: Plan, package: Package, alias: str) -> tuple[str, list[Move]]:
    """Logs and registers a package and moves the alias; the version, and what moved."""
    run = planned.part.run
    registry = Registry(run.tracking_uri)
    provenance = package.manifest.provenance
    tags = {
        "seesaw.run": run.name,
        "seesaw.dataset": planned.part.key,
        "seesaw.trial": str(planned.pick.trial),
        "seesaw.fingerprint": str(provenance["data"]["fingerprint"]),
        "seesaw.package": package.digest,
    }
    local = run.manifest.tracking_uri is None
    run_id = registry.log(
        package,
        experiment_name(run.manifest.suite_name),
        str(run.home / "mlartifacts") if local else None,
        f"{run.name} deployed",
        tags,
        provenance["test"],
    )
    description = (package.folder / "README.md").read_text(encoding="utf-8")
    number = registry.register(planned.name, run_id, description, tags)
    moves = registry.moves(planned.name, alias, number)
    registry.apply(planned.name, moves)
    return number, moves


def _part(home: Path, target: str) -> tuple[DatasetRun, dict[str, Any] | None]:
    path = Path(target)
    if path.suffix == ".json":
        if not path.is_file():
            raise UserError(f"expected a run or a picked.json, found no {path}")
        run = Run.open(home, str(path.resolve().parent.parent))
        part = next((part for part in run.datasets.values() if part.folder == path.resolve().parent), None)
        if part is None:
            raise UserError(f"expected a picked.json in the folder of a run's data set, found {path}")
        try:
            return part, json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: not valid JSON: {error}") from None
    run = Run.open(home, target)
    if len(run.datasets) > 1:
        files = ", ".join(str(part.folder / "picked.json") for part in run.datasets.values())
        raise UserError(f"{run.name} has several data sets; say which by one of {files}")
    return next(iter(run.datasets.values())), None


def _promised(planned: Plan, force: bool) -> Mapping[str, Promise]:
    """What the frontier promises of test; nothing where its points were not confirmed."""
    if not planned.point.replicates:
        return {}
    points = planned.result.frontier.points
    options = planned.options
    try:
        return promises(planned.point, points, planned.result.objectives, options.confidence, options.runs)
    except UserError:
        if not force:
            raise
        return {}


def _parts(planned: Plan, card: Card, store: Store, retrained: Retrained, promised: Mapping[str, Promise]) -> Parts:
    valid = store.split("valid")
    rows = np.array(valid.ids[:AGREE_ON]), np.array(valid.dense[:AGREE_ON])
    score = planned.policy.score.of(store.schema.tasks)
    manifest = planned.part.run.manifest
    facts = Facts(
        card=card,
        store=store.manifest,
        encoder=store.encoder,
        architecture=planned.pick.architecture,
        reason=planned.pick.reason,
        policy=planned.policy.rule,
        front=_front(planned),
        test=_test(planned, retrained, promised),
        calibration=f"{planned.options.calibration} calibration" if retrained.calibrations else "not calibrated",
        score=score,
        command=planned.command,
        seed=planned.seed,
        versions=versions(),
        warnings=retrained.warnings,
    )
    return Parts(
        name=planned.part.key,
        schema=store.schema,
        config=retrained.config,
        members=[member.states for member in retrained.members],
        encoder=store.encoder,
        rows=rows,
        score=score,
        calibrations=retrained.calibrations,
        card=card.model_dump(mode="json", by_alias=True),
        policy=planned.policy.model_dump(mode="json", exclude={"score"}) | {"reason": planned.pick.reason},
        provenance=retrained.provenance
        | {
            "run": planned.part.run.name,
            "suite": manifest.suite_name,
            "trial": planned.pick.trial,
            "until": planned.pick.until,
            "command": planned.command,
            "test": retrained.calibrated,
        },
        readme=model_card(facts),
    )


def _front(planned: Plan) -> list[dict[str, str]]:
    frontier = planned.result.frontier
    found = []
    for row in frontier.plausible.to_dict("records"):
        line = {"trial": str(row["trial"]), "architecture": str(row["architecture"])}
        for key in frontier.keys:
            mean, deviation = row.get(f"{key}.mean"), row.get(f"{key}.sd")
            seen = row[key] if mean is None or mean != mean else mean
            line[key] = f"{seen:.5g}" + (
                f" ± {deviation:.2g}" if deviation is not None and deviation == deviation else ""
            )
        line["P(non-dominated)"] = "-" if row["p_nondominated"] is None else f"{row['p_nondominated']:.2f}"
        found.append(line)
    return found


def _test(planned: Plan, retrained: Retrained, promised: Mapping[str, Promise]) -> list[dict[str, str]]:
    return [
        {
            "metric": each.name,
            "on test": f"{retrained.test.get(each.key('test'), float('nan')):.5f}",
            "calibrated": f"{retrained.calibrated.get(each.key('test'), float('nan')):.5f}",
            "promised by the frontier": str(promised.get(each.name, "-")),
        }
        for each in planned.result.objectives
        if each.is_metric
    ]
