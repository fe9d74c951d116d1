"""Files of a pick in a run's folder: itself with its reasons, its configuration, and what remakes
it.
"""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack

from bench.app.runs.folder import CONFIG, PICK, DatasetRun
from bench.app.runs.result import DatasetResult
from bench.core.objectives import outcomes_of, primary
from bench.core.records import Point
from bench.core.seeds import derive
from bench.core.system.atomic import atomic_path
from bench.ledger.points import parts_of


def write_pick(result: DatasetResult) -> None:
    """Writes `picked.json`, with the reasons, `picked.toml`, the configuration and how it was
    trained, and `provenance.json`, what remakes it. The last two are of the pick in `picked.json`
    or absent: where the pick is no network, and where the program was killed in here.
    """
    path = result.run.folder / CONFIG
    made = result.run.folder / "provenance.json"
    network = picked_network(result)
    texts = {}
    if network is not None and result.decision.pick is not None:
        values = network.config | recipe_of(result, network.until)
        lines = [f'"{name}" = {json.dumps(value)}' for name, value in values.items()]
        score = [
            f"# score = {formula}"
            for formula in result.decision.formulas[
                result.decision.pick.row : result.decision.pick.row + 1
            ]
        ]
        texts[path] = (
            "\n".join([f"# {network.name} of {result.run.run.name}", *score, *lines]) + "\n"
        )
        texts[made] = json.dumps(
            provenance(result.run, result.run.fingerprint or "-", network, str(path)), indent=2
        )
    texts[result.run.folder / PICK] = json.dumps(result.decision.picked, indent=2)
    with ExitStack() as files:  # the last one is put in its place first
        for target, text in texts.items():
            files.enter_context(atomic_path(target)).write_text(text, encoding="utf-8")
        for each in (path, made):
            each.unlink(missing_ok=True)


def picked_network(result: DatasetResult) -> Point | None:
    """The point whose configuration is trained where the pick is deployed; None unless that is one
    network.
    """
    point = next(
        (
            each
            for each in result.decision.frontier.points
            if result.decision.pick and each.id == result.decision.pick.point
        ),
        None,
    )
    tasks = [task.name for task in result.run.tasks]
    parts = [] if point is None else parts_of(point, result.decision.frontier.points, tasks)
    return next(
        (part for part, _ in parts if len(parts) == 1 and "sharing.kind" in part.config), None
    )


def recipe_of(result: DatasetResult, until: int | None = None) -> dict[str, object]:
    """Where `seesaw train` would by itself train otherwise than the search did; see `Recipe` of its
    configuration.
    """
    tasks = result.run.tasks
    objectives = [objective.name for objective in result.objectives]
    recipe: dict[str, object] = {}
    if until is not None:
        recipe["training.until"] = until
    if [task.name for task in tasks] != list(result.run.card.default_tasks):
        recipe["training.tasks"] = [task.name for task in tasks]
    if objectives != [primary(task, task.name in result.run.ranked) for task in tasks]:
        recipe["training.objectives"] = objectives
    return recipe


def provenance(part: DatasetRun, fingerprint: str, point: Point, config: str) -> dict[str, object]:
    """The document `provenance.json`.

    Args:
        point: the network that is trained where the pick is deployed.
        config: path of the picked configuration, in the form that `seesaw train --config` takes.
    """
    manifest, request = part.run.manifest, part.run.request

    def command(seed: int) -> str:
        words = ["seesaw", "train", part.key, "--config", config, "--seed", str(seed)]
        words += ["--threads", str(request.threads), "--home", str(part.run.home)]
        words += [] if request.device == "auto" else ["--device", request.device]
        return shlex.join([*words, *(["--raw", str(request.raw)] if request.raw else [])])

    own = {objective.name for objective in part.objectives}
    # outcomes of heads, which `train` does not measure
    names = {key for run in point.replicates for key in run.metrics}
    served = {
        key
        for key in names
        if outcomes_of([key.partition("/")[2]]) and key.partition("/")[2] not in own
    }

    def training(replicate: int, seed: int, metrics: dict[str, float]) -> dict[str, object]:
        measured = {
            key: value
            for key, value in metrics.items()
            if not key.startswith("cost/") and key not in served
        }
        return {"replicate": replicate, "seed": seed, "metrics": measured, "command": command(seed)}

    trainings = []
    if point.number is not None:
        trainings = [training(0, derive(request.seed, point.number, 0), point.metrics)]
    trainings += [
        training(run.replicate, run.seed, run.metrics)
        for run in point.replicates
        if run.failure is None
    ]
    return {
        "run": part.run.name,
        "suite": request.suite,
        "data": {"key": part.key, "fingerprint": fingerprint},
        "point": point.id,
        "trial": point.number,
        "until": point.until,
        "config": point.config,
        "seed": request.seed,
        "versions": manifest.versions,
        "search": manifest.command,
        "trainings": trainings,
        "command": trainings[-1]["command"],
    }
