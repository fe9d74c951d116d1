"""Files of a pick in a run's folder: the pick with its reasons, its configuration, and what remakes it."""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.atomic import atomic_path
from bench.errors import UserError
from bench.objectives import outcomes_of, primary
from bench.records import Point
from bench.results.points import network_of
from bench.run.folder import DatasetRun
from bench.run.result import DatasetResult, picked_path
from bench.seeds import derive


def pick_document(result: DatasetResult) -> dict[str, Any]:
    """`picked.json`: the pick, and the policy as TOML.

    Without a pick `point` and `trial` are null, and `sentence` and `reason` say why. `if_guard` then has the guard that
    would let a choice pass, as TOML, and the pick under it.
    """
    more: dict[str, Any] = {"verdict": result.verdict.to_json(), "policy": result.policy.toml}
    if result.frontier.answer:
        more["answer"] = result.frontier.answer.to_json()
    if result.pick is not None:
        return result.pick.to_json() | more
    why = {"sentence": result.no_pick, "reason": result.no_pick}
    found: dict[str, Any] = {"point": None, "trial": None, **why, **more}
    if result.nothing_passes is not None:
        changes = [each.toml for each in result.nothing_passes.remedies]
        found["if_guard"] = {"set": changes, "pick": result.nothing_passes.pick.to_json()}
    return found


def pick_config_path(run: DatasetRun) -> Path:
    """Where the picked configuration is, in the form that `seesaw train --config` takes."""
    return run.folder / "picked.toml"


def write_pick(result: DatasetResult) -> None:
    """Writes `picked.json`, with the reasons, `picked.toml`, the configuration and how it was trained, and
    `provenance.json`, what remakes it. The last two are of the pick in `picked.json` or absent: where the pick is no
    network, and where the program was killed in here.
    """
    path, made, network = pick_config_path(result.run), result.run.folder / "provenance.json", picked_network(result)
    texts = {}
    if network is not None:
        values = network.config | recipe_of(result, network.until)
        lines = [f'"{name}" = {json.dumps(value)}' for name, value in values.items()]
        texts[path] = "\n".join([f"# {network.name} of {result.run.run.name}", *lines]) + "\n"
        texts[made] = json.dumps(provenance(result.run, result.run.fingerprint or "-", network, str(path)), indent=2)
    texts[picked_path(result.run)] = json.dumps(pick_document(result), indent=2)
    with ExitStack() as files:  # the last one is put in its place first
        for target, text in texts.items():
            files.enter_context(atomic_path(target)).write_text(text, encoding="utf-8")
        for each in (path, made):
            each.unlink(missing_ok=True)


def picked_network(result: DatasetResult) -> Point | None:
    """The point whose configuration is trained where the pick is deployed; None without one."""
    point = next((each for each in result.frontier.points if result.pick and each.id == result.pick.point), None)
    try:
        return None if point is None else network_of(point, result.frontier.points)
    except UserError:
        return None


def recipe_of(result: DatasetResult, until: int | None = None) -> dict[str, Any]:
    """Where `seesaw train` would by itself train otherwise than the search did; see `bench.training.config.Recipe`."""
    tasks = result.run.tasks
    objectives = [objective.name for objective in result.objectives]
    found: dict[str, Any] = {}
    if until is not None:
        found["training.until"] = until
    if [task.name for task in tasks] != list(result.run.card.default_tasks):
        found["training.tasks"] = [task.name for task in tasks]
    if objectives != [primary(task, task.name in result.run.ranked) for task in tasks]:
        found["training.objectives"] = objectives
    return found


def provenance(part: DatasetRun, fingerprint: str, point: Point, config: str) -> dict[str, Any]:
    """The document `provenance.json`.

    Args:
        point: the network that is trained where the pick is deployed.
        config: path of the picked configuration, in the form that `seesaw train --config` takes.
    """
    manifest = part.run.manifest

    def command(seed: int) -> str:
        words = ["seesaw", "train", part.key, "--config", config, "--seed", str(seed)]
        words += ["--threads", str(manifest.threads), "--home", str(part.run.home)]
        words += [] if manifest.device == "auto" else ["--device", manifest.device]
        return shlex.join([*words, *(["--raw", manifest.raw] if manifest.raw else [])])

    own = {objective.name for objective in part.objectives}
    names = {
        key for run in point.replicates for key in run.metrics
    }  # outcomes of heads, which `train` does not measure
    served = {key for key in names if outcomes_of([key.partition("/")[2]]) and key.partition("/")[2] not in own}

    def training(replicate: int, seed: int, metrics: dict[str, float]) -> dict[str, Any]:
        measured = {key: value for key, value in metrics.items() if not key.startswith("cost/") and key not in served}
        return {"replicate": replicate, "seed": seed, "metrics": measured, "command": command(seed)}

    trainings = []
    if point.number is not None:
        trainings = [training(0, derive(manifest.seed, point.number, 0), point.metrics)]
    trainings += [training(run.replicate, run.seed, run.metrics) for run in point.replicates if run.failure is None]
    return {
        "run": part.run.name,
        "suite": manifest.suite_name,
        "data": {"key": part.key, "fingerprint": fingerprint},
        "point": point.id,
        "trial": point.number,
        "until": point.until,
        "config": point.config,
        "seed": manifest.seed,
        "versions": manifest.versions,
        "search": manifest.command,
        "trainings": trainings,
        "command": trainings[-1]["command"],
    }
