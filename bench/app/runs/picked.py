"""Files of a pick in a run's folder: itself with its reasons, its configuration, and what remakes
it.
"""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack

from bench.app.runs.folder import CONFIG, PICK, DatasetRun
from bench.app.runs.result import DatasetResult
from bench.core.objectives import names_of, outcomes_of, primary
from bench.core.records import Point, Replicate
from bench.core.seeds import derive
from bench.core.system.atomic import atomic_path
from bench.ledger.points import parts_of


def write_pick(result: DatasetResult) -> None:
    """Writes `picked.json`, with the reasons, `picked.toml`, the configuration and how it was
    trained, and `provenance.json`, what remakes it. The last two are of the pick in `picked.json`
    or absent: where the pick is no network, and where the program was killed in here.
    """
    config = result.run.folder / CONFIG
    origin = result.run.folder / "provenance.json"
    network = picked_network(result)
    texts = {}
    if network is not None:
        texts[config] = _config_text(result, network)
        fingerprint = result.run.fingerprint or "-"
        document = provenance(result.run, fingerprint, network, str(config))
        texts[origin] = json.dumps(document, indent=2)
    texts[result.run.folder / PICK] = json.dumps(result.decision.picked, indent=2)
    with ExitStack() as files:  # the last one is put in its place first
        for target, text in texts.items():
            files.enter_context(atomic_path(target)).write_text(text, encoding="utf-8")
        for stale in (config, origin):
            stale.unlink(missing_ok=True)


def _config_text(result: DatasetResult, network: Point) -> str:
    pick = result.decision.pick
    assert pick is not None
    text = f"# {network.name} of {result.run.run.name}\n"
    if pick.row < len(result.decision.formulas):
        text += f"# score = {result.decision.formulas[pick.row]}\n"
    values = network.config | recipe_of(result, network.until)
    for name, value in values.items():
        text += f'"{name}" = {json.dumps(value)}\n'
    return text


def picked_network(result: DatasetResult) -> Point | None:
    """The point whose configuration is trained where the pick is deployed; None unless that is one
    network.
    """
    pick = result.decision.pick
    points = result.decision.frontier.points
    tasks = result.run.task_names
    for point in points:
        if pick and point.id == pick.point:
            (part, _), *other_parts = parts_of(point, points, tasks)
            if other_parts or "sharing.kind" not in part.config:
                return None
            return part
    return None


def recipe_of(result: DatasetResult, until: int | None = None) -> dict[str, object]:
    """Where `seesaw train` would by itself train otherwise than the search did; see `Recipe` of its
    configuration.
    """
    tasks = result.run.tasks
    objectives = names_of(result.objectives)
    recipe: dict[str, object] = {}
    if until is not None:
        recipe["training.until"] = until
    if result.run.task_names != tuple(result.run.card.default_tasks):
        recipe["training.tasks"] = list(result.run.task_names)
    if objectives != [primary(task, task.name in result.run.ranked) for task in tasks]:
        recipe["training.objectives"] = objectives
    return recipe


def provenance(part: DatasetRun, fingerprint: str, point: Point, config: str) -> dict[str, object]:
    """The document `provenance.json`.

    Args:
        point: the network that is trained where the pick is deployed.
        config: path of the picked configuration, in the form that `seesaw train --config` takes.
    """
    manifest = part.run.manifest
    request = part.run.request
    replicates = list(point.replicates)
    if point.number is not None:
        seed = derive(request.seed, point.number, 0)
        replicates.insert(0, Replicate(replicate=0, seed=seed, metrics=point.metrics))
    outcomes = _outcomes_of_heads(part, point)
    trainings = []
    for replicate in replicates:
        if replicate.failure is not None:
            continue
        measured = {}
        for key, value in replicate.metrics.items():
            if not key.startswith("cost/") and key not in outcomes:
                measured[key] = value
        trainings.append(
            {
                "replicate": replicate.replicate,
                "seed": replicate.seed,
                "metrics": measured,
                "command": _command(part, config, replicate.seed),
            }
        )
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


def _outcomes_of_heads(part: DatasetRun, point: Point) -> set[str]:
    """Keys of what replicates measure and `seesaw train` does not."""
    objectives = names_of(part.objectives)
    outcomes = set()
    for run in point.replicates:
        for key in run.metrics:
            name = key.partition("/")[2]
            if outcomes_of([name]) and name not in objectives:
                outcomes.add(key)
    return outcomes


def _command(part: DatasetRun, config: str, seed: int) -> str:
    request = part.run.request
    words = ["seesaw", "train", part.key, "--config", config, "--seed", str(seed)]
    words += ["--threads", str(request.threads), "--home", str(part.run.home)]
    if request.device != "auto":
        words += ["--device", request.device]
    if request.raw:
        words += ["--raw", str(request.raw)]
    return shlex.join(words)
