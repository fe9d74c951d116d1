"""The progress of a run, read from its log, while a driver works on it or after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.data.card import shape_of
from bench.frontier.frontier import front_volume
from bench.records import Failure, TrialRecord
from bench.run.folder import DatasetRun
from bench.run.limits import ended, limits_of
from bench.run.remaining import After, Pace
from bench.run.results import picked_path
from bench.search.driver import Checkpoints
from bench.search.lock import is_held
from bench.search.study import Study
from bench.suite import resolve_objectives

STATES = ("completed", "running", "failed", "pruned", "waiting")


def status_of(run: DatasetRun) -> dict[str, Any]:
    """Counts by state, failures with their reasons, what of the space is left out and why, and how far it has come."""
    study = Study.read(run.folder) if Study.exists(run.folder) else None
    records = study.records() if study else []
    counts: dict[str, Any] = {state: sum(record.state == state for record in records) for state in STATES}
    counts["total"] = run.run.manifest.suite.budget.trials or len(records)
    counts["replicates"] = sum(len(record.replicates) for record in records)
    failures: list[tuple[int | str, Failure]] = [(each.number, each.failure) for each in records if each.failure]
    failures += [(record.number, r.failure) for record in records for r in record.replicates if r.failure]
    baselines = study.baselines() if study else []
    failures += [(point.id, r.failure) for point in baselines for r in point.replicates if r.failure]
    counts["failures"] = [{"trial": number, "kind": f.kind, "reason": f.reason} for number, f in failures]
    shape = shape_of(run.card, [task.name for task in run.tasks])
    counts["left_out"] = dict(run.fitted(shape).left_out)
    counts["search"] = _search_of(run, study, records) if study else {}
    return counts


def _search_of(run: DatasetRun, study: Study, records: Sequence[TrialRecord]) -> dict[str, Any]:
    """By rung and by sharing kind what has a result; what is under way and since when; what is used and left."""
    budget, ladder = run.run.manifest.suite.budget, study.ladder
    reached = [len(record.rungs) if ladder else int(record.measured) for record in records]
    kinds = dict.fromkeys(record.sharing for record in records)
    objectives = resolve_objectives(run.dataset, run.tasks)
    used = {"trials": len(records), "samples": study.ledger.samples(ladder), "seconds": study.seconds}
    most_trials, most = limits_of(run, study)
    limits = {"trials": most_trials, "samples": most, "seconds": budget.time}
    shares = {key: min(1.0, used[key] / limit) for key, limit in limits.items() if limit}
    over = study.concluded or study.cut_short or (shares.get("trials") == 1 and not ladder and not study.under_way())
    finished = over and picked_path(run).is_file() and not is_held(run.run.folder)
    return {
        "rungs": [
            {"samples": samples, "trials": sum(each > rung for each in reached)} for rung, samples in enumerate(ladder)
        ],
        "kinds": {
            kind: [
                sum(each > rung for record, each in zip(records, reached, strict=True) if record.sharing == kind)
                for rung in range(max(1, len(ladder)))
            ]
            for kind in kinds
        },
        "begun": [
            {
                "trial": step.trial,
                "sharing": records[step.trial].sharing,
                "to": ladder[step.rung] if ladder else None,
                "since": since,
            }
            for step, since in study.under_way()
        ],
        "failures": dict(Counter(record.failure.kind for record in records if record.failure)),
        "samples": {"used": used["samples"], "budget": most},
        "seconds": {"used": used["seconds"], "budget": budget.time},
        "checkpoints": _checkpoints_of(run),
        "share": max(shares.values(), default=0.0),
        "left": 0.0 if finished else _left(run, study, records, used, {} if over else limits),
        "hypervolume": front_volume(records, objectives, run.dataset.reference),
        "ended": ended(run, study) if over else "",
    }


def _checkpoints_of(run: DatasetRun) -> dict[str, Any]:
    trials, taken = Checkpoints(run.folder).used()
    options = run.run.manifest.suite.search
    return {"trials": trials, "bytes": taken, "limit": round(options.checkpoint_gb * 1e9) if options.by_rungs else None}


def _left(
    run: DatasetRun, study: Study, records: Sequence[TrialRecord], used: dict[str, Any], limits: dict[str, Any]
) -> float | None:
    """Seconds until the run has ended, all stages after the search included; None where no job has ended yet.

    Args:
        limits: of the search; empty where it is over.
    """
    manifest = run.run.manifest
    pace, workers = Pace(study.ladder, records), manifest.workers
    if pace.full_length is None:
        return None
    search = 0.0
    if limits:
        open_ = {key: limits[key] - used[key] for key in ("trials", "samples") if limits[key]}
        found = [] if (seconds := pace.search(open_)) is None else [seconds / workers]
        found += [max(0.0, limits["seconds"] - used["seconds"])] if limits["seconds"] else []
        search = min(found, default=0.0)
    shape = shape_of(run.card, [task.name for task in run.tasks])
    space = run.fitted(shape).space
    lengths = (limits.get("samples") or 0) / study.ladder[-1] if study.ladder else limits.get("trials") or 0
    known = sum(map(len, study.replicates().values()))
    stages = ["confirming", "serving"] if study.tries and not limits else ["tuning", "confirming", "serving"]
    return search + After(manifest.suite, space, lengths).seconds(pace, workers, stages, known)
