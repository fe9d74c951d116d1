"""Medians, ranges and ratios of what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, median, stdev
from typing import Any

from speed.job import Job, Measured

OURS = "seesaw"
# as they come; a ratio is against the fastest of these
LIBRARIES = (
    "deepctr-torch",
    "torch-rechub",
)
Runs = list[tuple[Job, Measured]]


def summary(runs: Runs) -> dict[str, Any]:
    """What the table and the JSON document say.

    A ratio compares runs of one round, which ran one after another: machines that others share
    drift over minutes.
    """
    architectures = list(dict.fromkeys(job.architecture for job, _ in runs))
    systems = list(dict.fromkeys(job.system for job, _ in runs))
    summarised: dict[str, Any] = {"systems": {}}
    for architecture in architectures:
        summarised["systems"][architecture] = {
            system: _system([measured for _, measured in _of(runs, architecture, system)])
            for system in systems
        }
    for name, field in (
        ("ratio_to_fastest_peer", "train_samples_per_s"),
        ("evaluation_ratio", "eval_samples_per_s"),
    ):
        spreads = {a: spread(ratios(runs, a, field)) for a in architectures}
        summarised[name] = {a: value["median"] for a, value in spreads.items() if value}
        summarised[f"{name}_range"] = {
            a: [value["least"], value["most"]] for a, value in spreads.items() if value
        }
    summarised["peak_memory_mb"] = {
        a: {
            system: values["peak_memory_mb"]["median"]
            for system, values in summarised["systems"][a].items()
        }
        for a in architectures
    }
    return summarised


def ratios(runs: Runs, architecture: str, field: str) -> list[float]:
    """Ours over the fastest library's, a round each."""
    rounds: dict[int, dict[str, float]] = {}
    for job, measured in runs:
        if job.architecture == architecture:
            rounds.setdefault(job.seed, {})[job.system] = getattr(measured, field)
    result = []
    for values in rounds.values():
        peers = [values[name] for name in LIBRARIES if name in values]
        if peers and OURS in values:
            result.append(values[OURS] / max(peers))
    return result


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and most; empty of nothing."""
    values = list(values)
    return {"median": median(values), "least": min(values), "most": max(values)} if values else {}


def _of(runs: Runs, architecture: str, system: str) -> Runs:
    return [run for run in runs if run[0].architecture == architecture and run[0].system == system]


def _system(measured: list[Measured]) -> dict[str, Any]:
    fields = ("train_samples_per_s", "eval_samples_per_s", "peak_memory_mb", "first_seconds")
    summarised: dict[str, Any] = {
        field: spread(getattr(run, field) for run in measured) for field in fields
    }
    summarised["auc"] = {}
    for task in measured[0].auc:
        values = [run.auc[task] for run in measured]
        summarised["auc"][task] = {
            "mean": fmean(values),
            "deviation": stdev(values) if len(values) > 1 else None,
        }
    return summarised
