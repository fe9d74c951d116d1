"""Provenance of a pick: data, configuration, seeds and versions, and the command that repeats each training.

On the machine that made it, and with the versions named, a command gives the same metrics, bit for bit on a CPU.
"""

from __future__ import annotations

import shlex
from typing import Any

from bench.objectives import outcomes_of
from bench.records import Point
from bench.run.folder import DatasetRun
from bench.seeds import derive
from bench.suite import resolve_objectives


def provenance(part: DatasetRun, fingerprint: str, point: Point, config: str) -> dict[str, Any]:
    """The document `provenance.json`.

    Args:
        fingerprint: of the prepared data.
        point: the network that is trained where the pick is deployed.
        config: path of the picked configuration, in the form that `seesaw train --config` takes.
    """
    manifest = part.run.manifest

    def command(seed: int) -> str:
        words = ["seesaw", "train", part.key, "--config", config, "--seed", str(seed)]
        words += ["--threads", str(manifest.threads), "--home", str(part.run.home)]
        words += [] if manifest.device == "auto" else ["--device", manifest.device]
        return shlex.join([*words, *(["--raw", manifest.raw] if manifest.raw else [])])

    own = {objective.name for objective in resolve_objectives(part.dataset, part.tasks)}
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
