"""Seesaw, by the road that a search takes: a job in, a result out."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.core.records import Job as TrainingJob
from bench.core.system.machine import peak_memory_mb
from bench.data import Store
from bench.models.training.job import run_job
from speed.job import WARM_STEPS, Job, Measured


def measure(job: Job, since_start: Any) -> Measured:
    """Trains three steps, then one epoch; evaluation counts every metric, AUC and GAUC among them,
    of both tasks.
    """
    rows = len(Store.open(job.store).split("train"))
    buy = "conversion" if job.architecture == "esmm" else "buy"
    training = TrainingJob(
        trial=0,
        replicate=0,
        config=config(job) | {"optim.epochs": job.epochs},
        store=job.store,
        seed=job.seed,
        splits=("valid",),
        objectives=("click.auc",),
        tasks=("click", buy),
        threads=job.threads,
    )
    warm = training.config | {"optim.epochs": WARM_STEPS * job.batch / rows}
    run_job(dataclasses.replace(training, config=warm))
    first = since_start()
    before = peak_memory_mb()  # a job starts a new peak
    result = run_job(training)
    name = "conversion.ctcvr" if buy == "conversion" else "buy"
    return Measured(
        train_samples_per_s=result.speed["train_samples_per_s"],
        eval_samples_per_s=result.speed["eval_samples_per_s"],
        auc={
            "click": result.metrics["valid/click.auc"],
            "buy": result.metrics[f"valid/{name}.auc"],
        },
        peak_memory_mb=max(before, peak_memory_mb()),
        first_seconds=first,
    )


def config(job: Job) -> dict[str, Any]:
    """The same sizes and optimizer as the peers'."""
    layers = "-".join(map(str, job.expert_layers))
    sharing: dict[str, dict[str, Any]] = {
        "shared_bottom": {"sharing.shared_bottom.layers": layers},
        "esmm": {},
        "mmoe": {"sharing.mmoe.layers": layers, "sharing.mmoe.experts": job.mmoe_experts},
        "ple": {
            "sharing.ple.layers": layers,
            "sharing.ple.levels": 1,
            "sharing.ple.own_experts": job.ple_experts,
            "sharing.ple.shared_experts": job.ple_experts,
        },
    }
    return sharing[job.architecture] | {
        "architecture": job.architecture,
        "embedding.dim": job.embedding,
        "tower.layers": "-".join(map(str, job.tower_layers)),
        "optim.batch_size": job.batch,
        "optim.lr": job.lr,
        "optim.schedule": "constant",
        "optim.weight_decay": 0.0,
        "optim.precision": job.precision,
    }
