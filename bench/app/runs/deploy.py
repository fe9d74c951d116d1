"""Deploys a run's pick: trains, packages and registers it; finds a deployed model by its name; and
explains it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.app.report.explained import sentence
from bench.app.report.text import csv_text
from bench.app.runs.deployment import Deployment, instead_of_pick
from bench.app.runs.folder import EXPLAINED, PACKAGE, DatasetRun, Run
from bench.app.runs.folder import MANIFEST as RUN
from bench.app.runs.model_card import model_card
from bench.app.runs.result import result_of
from bench.app.tracking.model_registry import DATASET, TASKS, ModelRegistry, Move, registered
from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.plain import jsonable
from bench.core.system.atomic import remove_abandoned, scratch_folder, write_text
from bench.core.system.interrupts import ended_in_order
from bench.core.system.lock import FolderLock
from bench.core.system.progress import Progress
from bench.data import Store
from bench.deciding.retraining import prediction_intervals
from bench.ledger.effect import Effect
from bench.serve.explanation import explain
from bench.serve.package import MANIFEST, Contents, Package, write_package
from bench.serve.retrain import Retrained, RetrainSpec, retrain

AGREE_ON = 1024
"""Rows of validation on which engines must agree."""


@contextmanager
def deploying(deployment: Deployment) -> Iterator[None]:
    """Around `make_package` and `register`: one deployment of a run at a time, and none leaves
    anything half-done.

    What an earlier one that was killed left half-written is removed.

    Raises:
        UserError: the pick cannot be packaged, another deployment is at work, MLflow cannot be
            reached, or as `check_name`: all of it better known before a training.
    """
    _ = deployment.parts
    folder = deployment.part.folder
    with ended_in_order(), FolderLock(folder, "deploy.lock", "deployment"):
        remove_abandoned(folder)
        check_name(deployment)
        yield


def check_name(deployment: Deployment) -> None:
    """Refuses to register a model as a version of another one; data of another card may have a name
    that was given.

    Raises:
        UserError: it would be such a version, or MLflow cannot be reached.
    """
    tasks = deployment.part.task_names
    data = None if deployment.named else deployment.part.key
    ModelRegistry(deployment.part.run.store_address).check_version(deployment.name, tasks, data)


def make_package(
    deployment: Deployment,
    raw: Path | None,
    force: bool,
    threads: int,
    progress: Progress,
    onnx: bool = True,
) -> Package:
    """Trains the pick for good and packages it in the run's folder; errors of `retrain` and
    `write_package`.
    """
    part = deployment.part
    result = deployment.result
    store = part.prepare(progress, raw)
    intervals = _intervals(deployment, force)
    progress.note(f"training {deployment.training}")
    order = RetrainSpec(
        part.card,
        store,
        tuple(deployment.parts),
        result.objectives,
        deployment.policy.retrain,
        deployment.seed,
        deployment.score,
        tuple(deployment.outcomes),
    )
    with scratch_folder(part.folder / "deploy") as work:
        retrained = retrain(order, work, intervals, force, threads, progress)
    for end in (".json", ".csv"):  # they are of the package that was there
        (part.folder / EXPLAINED).with_suffix(end).unlink(missing_ok=True)
    return packaged(deployment, store, retrained, intervals, part.folder / PACKAGE, onnx)


def packaged(
    deployment: Deployment,
    store: Store,
    retrained: Retrained,
    intervals: Mapping[Objective, Effect],
    folder: Path,
    onnx: bool = True,
    origin: Mapping[str, Any] | None = None,
) -> Package:
    """Packages a trained model; `origin` is added to its provenance. Errors as of
    `write_package`.
    """
    part = deployment.part
    valid = store.split("valid")
    rows = valid.ids_of(slice(AGREE_ON)), np.array(valid.dense[:AGREE_ON])
    policy = deployment.policy.model_dump(mode="json", exclude={"score"})
    provenance = retrained.provenance | {
        "run": part.run.name,
        "suite": part.run.request.suite,
        "point": deployment.pick.point,
        "command": deployment.command,
        "test": retrained.calibrated,
    }
    contents = Contents(
        name=part.card.key,
        schema=store.schema,
        parts=retrained.parts,
        members=[member.parts for member in retrained.members],
        encoder=store.encoder,
        rows=rows,
        score=deployment.score,
        outcomes=tuple(deployment.outcomes),
        calibrations=retrained.calibrations,
        card=part.card.model_dump(mode="json", by_alias=True, exclude={"folder"}),
        policy=policy | {"reason": deployment.pick.reason},
        provenance=provenance | dict(origin or {}),
        readme=model_card(deployment, store, retrained, intervals),
    )
    return write_package(contents, folder, onnx)


def register(deployment: Deployment, package: Package, alias: str) -> tuple[str, list[Move]]:
    """Logs and registers a package and moves the alias; the version, and what moved."""
    run = deployment.part.run
    registry = ModelRegistry(run.store_address, run.home)
    provenance = package.manifest.provenance
    tags = {
        "seesaw.run": run.name,
        DATASET: deployment.part.key,
        "seesaw.point": deployment.pick.point,
        TASKS: ",".join(deployment.part.task_names),
        "seesaw.fingerprint": str(provenance["data"]["fingerprint"]),
        "seesaw.package": package.digest,
    }
    run_id = registry.log(package, run.experiment, f"{run.name} deployed", tags, provenance["test"])
    description = (package.folder / "README.md").read_text(encoding="utf-8")
    number = registry.register(deployment.name, run_id, description, tags)
    moves = registry.moves(deployment.name, alias, number)
    registry.apply(deployment.name, moves)
    return number, moves


def _intervals(deployment: Deployment, force: bool) -> Mapping[Objective, Effect]:
    """Where each metric on test should be; nothing where its points were not confirmed."""
    if not deployment.point.replicates:
        return {}
    points = deployment.result.decision.frontier.points
    options = deployment.policy.retrain
    try:
        return prediction_intervals(
            deployment.point, points, deployment.result.objectives, options.confidence, options.runs
        )
    except UserError:
        if not force:
            raise
        return {}


def explained(
    part: DatasetRun, raw: Path | None, progress: Progress, point: str | None = None, **options: int
) -> dict[str, Any]:
    """Explains a run's package by test, if there are both, and leaves the answer in its folder: as
    JSON and as CSV.

    Args:
        point: the id of the point that the package has to be of; None takes what is there.
    """
    folder = part.folder / PACKAGE
    if not (folder / MANIFEST).is_file():
        raise UserError(
            f"{part.run.name}: expected a deployed model to explain, found none; first "
            f"{_deploys(part, point)}"
        )
    package = Package.open(folder)
    deployed = str(package.manifest.provenance["point"])
    if point not in (None, deployed):
        raise UserError(
            f"--point: expected '{deployed}', which is deployed, found '{point}'; first "
            f"{_deploys(part, point)}"
        )
    store = part.prepare(progress, raw).with_tasks(package.schema.task_names)
    document: dict[str, Any] = jsonable(explain(package, store.split("test"), progress, **options))
    document = {"sentence": sentence(document)} | document
    write_text((part.folder / EXPLAINED).with_suffix(".csv"), csv_text(_cells(document)))
    write_text(part.folder / EXPLAINED, json.dumps(document, indent=1))
    return document


def _cells(document: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each input or head, and measure."""
    cells = []
    for kind in ("inputs", "heads"):
        for line in document[kind]:
            names = {"kind": kind, "name": line["name"], "of": ", ".join(line.get("of", ()))}
            for measure, loss in line["measures"].items():
                cells.append(names | {"measure": measure} | loss)
    return pd.DataFrame(cells)


def _deploys(part: DatasetRun, point: str | None = None) -> str:
    """The command that makes a package: of the pick, or of a point where one is asked for or the
    pick has no model.
    """
    run = part.run.name
    if point is not None:
        return f"`seesaw deploy {run} --point {point}`"
    result = result_of(part)
    if result.decision.pick is not None and result.decision.pick.config:
        return f"`seesaw deploy {run}`"
    return instead_of_pick(result, "deploy")


def open_model(home: Path, model: str, tracking: str | None = None) -> Package:
    """The package behind a folder, a run's name, or `NAME`, `NAME@ALIAS`, `NAME/VERSION` in the
    registry.

    Raises:
        UserError: there is none, or it was changed.
    """
    folder = Path(model).expanduser()
    if (folder / MANIFEST).is_file():
        return Package.open(folder)
    if (home / "runs" / model / RUN).is_file():
        return _package_of_run(Run.open(home, model), model)
    return registered(home, model, tracking)


def _package_of_run(run: Run, name: str) -> Package:
    parts = list(run.datasets.values())
    packages = []
    for part in parts:
        if (part.folder / PACKAGE / MANIFEST).is_file():
            packages.append(part.folder / PACKAGE)
    if len(packages) == 1:
        return Package.open(packages[0])
    remedy = "a folder says which"
    if not packages:
        remedy = f"{_deploys(parts[0])} makes one"
    raise UserError(
        f"{name}: expected one packaged model, found {len(packages) or 'none'}; {remedy}"
    )
