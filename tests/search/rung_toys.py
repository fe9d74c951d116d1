"""Training by rungs in closed form, with checkpoints that a job must really have been handed."""

import hashlib
import json
import time
from pathlib import Path

from search_toys import objectives, toy_plan

from bench.app.runs.search_limits import ladder
from bench.core.records import TrialResult
from bench.measure.predictions import path_of, seal

FULL = 64
LADDER = ladder(4, 4, FULL)  # 4, 16, 64


def rung_plan(**changes):
    options = {
        "trials": None,
        "budget": 12 * FULL,
        "ladder": LADDER,
        "sampler": "random",
        "tries": 1,
        "share": 0.1,
    }
    return toy_plan(**{"reference": {"click.auc": -1.0, "like.auc": -1.0}, **options, **changes})


def train(job):
    """Values rise towards the closed form, and shake with a chain of hashes that every sample
    lengthens.
    """
    samples, chain = 0, f"{job.trial} {job.seed}"
    if job.resume is not None:
        state = json.loads(Path(job.resume).read_text())
        assert (state["trial"], state["seed"]) == (job.trial, job.seed)
        samples, chain = state["at"], state["chain"]
    until = FULL if job.until is None else job.until
    assert samples < until
    while samples < until:
        samples, chain = samples + 1, hashlib.md5(chain.encode()).hexdigest()
    shake = int(chain[:6], 16) / 16**6 * 0.02
    metrics = {
        f"{split}/{name}": value - 2 / samples + shake
        for split in job.splits
        for name, value in zip(("click.auc", "like.auc"), _end(job), strict=True)
    }
    if job.checkpoint is not None:
        path = Path(job.checkpoint)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"trial": job.trial, "seed": job.seed, "at": samples, "chain": chain})
        )
    curve = [{"samples": float(samples), "epoch": samples / FULL}]
    return TrialResult(
        metrics, {"samples_trained": float(samples)}, curve, dict(job.config), samples == FULL
    )


def _end(job):
    fits = job.config["sharing.kind"] in ("single_task", "mmoe", "ple")
    return objectives(job.config) if fits else (0.0, 0.0)


def spent(records):
    """Training samples of all trials, those that failed below a rung left out."""
    return sum(record.rungs[-1].samples for record in records if record.rungs)


def poor(kind):
    """As `train`, but one kind of sharing is worse than all else."""

    def run(job):
        result = train(job)
        if job.config["sharing.kind"] == kind:
            result.metrics.update({name: value - 5 for name, value in result.metrics.items()})
        return result

    return run


def slow_train(job):
    """As `train`, a fifth of a second long; names the store in the configuration, which must be
    there.

    While it runs, a file beside the store has the name of its Ray node.
    """
    import ray

    at_work = Path(job.store).with_name(
        ray.get_runtime_context().get_node_id() if ray.is_initialized() else "here"
    )
    at_work.touch()
    time.sleep(0.2)
    at_work.unlink(missing_ok=True)
    assert Path(job.store, "manifest.json").is_file(), job.store
    result = train(job)
    result.config["store"] = job.store
    return result


def leaving_predictions(job):
    """Leaves files for predictions that say which training they are of; its metrics are those of
    its seed.
    """
    for split in job.splits:
        if (path := path_of(job, split)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{job.trial} {job.seed} {job.until} {split}")
            seal(path, path.name)
    metrics = {
        f"{split}/{name}": 0.5 + job.seed % 97 / 1000
        for split in job.splits
        for name in job.objectives
    }
    return TrialResult(metrics, {}, [], dict(job.config) | {"store": job.store})
