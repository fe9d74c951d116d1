"""Deploys a run's pick: trains it for production, packages it, registers it, and moves the alias."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.atomic import remove_abandoned, scratch_folder
from bench.data import prepare
from bench.errors import UserError
from bench.frontier.retraining import PredictionInterval, length_of, prediction_intervals
from bench.interrupts import ended_in_order
from bench.production.package import Package, write_package
from bench.production.retrain import RetrainSpec, retrain
from bench.progress import Progress
from bench.run.contents import contents
from bench.run.planned import Plan
from bench.search.lock import FolderLock
from bench.tracking.parent import experiment_name
from bench.tracking.registry import Move, Registry


@contextmanager
def deploying(planned: Plan) -> Iterator[None]:
    """Around `make_package` and `register`: one deployment of a run at a time, and none leaves anything half-done.

    What an earlier one that was killed left half-written is removed.

    Raises:
        UserError: the pick cannot be packaged, another deployment is at work, or MLflow cannot be reached: all of it
            better known before a training.
    """
    _ = planned.network
    folder = planned.part.folder
    with ended_in_order(), FolderLock(folder, "deploy.lock", "deployment"):
        remove_abandoned(folder)
        Registry(planned.part.run.tracking_uri)
        yield


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
    order = RetrainSpec(
        card,
        store,
        planned.network.config,
        result.objectives,
        length_of(planned.network, result.objectives),
        planned.options,
        planned.seed,
        planned.score,
        tuple(planned.outcomes),
    )
    with scratch_folder(part.folder / "deploy") as work:
        retrained = retrain(order, work, intervals, force, threads, "auto", progress)
    return write_package(contents(planned, card, store, retrained, intervals), planned.folder, onnx)


def register(planned: Plan, package: Package, alias: str) -> tuple[str, list[Move]]:
    """Logs and registers a package and moves the alias; the version, and what moved."""
    run = planned.part.run
    registry = Registry(run.tracking_uri)
    provenance = package.manifest.provenance
    tags = {
        "seesaw.run": run.name,
        "seesaw.dataset": planned.part.key,
        "seesaw.point": planned.pick.point,
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


def _intervals(planned: Plan, force: bool) -> Mapping[str, PredictionInterval]:
    """Where each metric on test should be; nothing where its points were not confirmed."""
    if not planned.point.replicates:
        return {}
    points = planned.result.frontier.points
    options = planned.options
    try:
        return prediction_intervals(planned.point, points, planned.result.objectives, options.confidence, options.runs)
    except UserError:
        if not force:
            raise
        return {}
