"""A whole run whose trainings are guessed by their configuration: what it trains, in which order,
and its answer.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import numpy as np

from bench.app.runs.create import create
from bench.app.runs.execute import execute
from bench.app.runs.request import Request
from bench.core.records import TrialResult
from bench.core.seeds import derive
from bench.core.system.progress import Silent

SUITE = """
title = "Guessed"
space = "quick"
[[datasets]]
id = "synthetic-funnel@rows=1000"
[budget]
lengths = 4
[search]
sampler = "random"
tries = 2
lowest = 0.05
eta = 3
[confirm]
replicates = 2
limit = 3
members = 1
kinds = true
static = 2
baselines = ["single_task", "equal_weights", "ensemble", "trees"]
[set]
"optim.epochs" = 2
"optim.batch_size" = 64
"""


@dataclass
class Guesser:
    """Guesses what a job would measure: a skill by its configuration, and noise by its seed; keeps
    what was asked.
    """

    jobs: list[Any] = field(default_factory=list)

    def __call__(self, job):
        config = json.dumps(job.config, sort_keys=True, default=str)
        skill = derive(0, job.kind, config) / 2**31
        done = 1.0 if job.until is None else min(1.0, job.until / 1000)
        asked = [
            job.trial,
            job.replicate,
            job.kind,
            job.seed,
            job.until,
            bool(job.resume),
            job.resamples,
        ]
        self.jobs.append([*asked, *job.splits, *job.outcomes, round(skill, 9)])
        metrics, resampled = {}, {}
        for split in job.splits:
            rng = np.random.default_rng(derive(job.seed, split))
            for at, name in enumerate(job.objectives):
                key = f"{split}/{name}"
                metrics[key] = (
                    0.6 + 0.2 * done * (skill if at else 1 - skill**2) + rng.normal(0, 0.01)
                )
                resampled[key] = rng.normal(0, 0.01, job.resamples_of(split)).tolist()
        if job.checkpoint is not None:
            Path(job.checkpoint).parent.mkdir(parents=True, exist_ok=True)
            Path(job.checkpoint).write_text("state")
        samples = float(job.until or 1400)
        return TrialResult(
            metrics,
            {"samples_trained": samples},
            [{"samples": samples, "epoch": 2 * done}],
            dict(job.config),
            job.until is None,
            {},
            resampled,
        )


def searched(folder):
    """The jobs of a run, and what it answers."""
    suite, guess = folder / "suite.toml", Guesser()
    folder.mkdir(exist_ok=True)
    suite.write_text(SUITE)
    few = patch("bench.app.runs.jobs.RESAMPLES", 20)
    request = Request(suite=str(suite), name="guessed", seed=3, executor="inline", device="cpu")
    with (
        patch("bench.app.runs.execute.run_training", guess),
        patch("bench.app.runs.execute.Reporter", MagicMock()),
        few,
    ):
        (result,) = execute(create(folder, request), Silent())
    decision = result.decision
    picked = decision.pick.sentence if decision.pick else decision.no_pick
    return {"jobs": guess.jobs, "verdict": decision.verdict.to_json(), "pick": picked}
