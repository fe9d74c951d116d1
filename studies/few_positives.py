"""How often intervals hold the truth where few rows are positive, with real resamples of real rows.

    python studies/few_positives.py [--runs 1000] [--write docs/studies/statistics.md]

Two models score rows whose chance of being positive is known, so that all metrics are known, too.
Both were trained once, so that only the rows err. `--write` puts the table between the marks in
that file.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from speed.table import simulation

from bench.core.records import Point, Replicate
from bench.core.schema import Task
from bench.ledger.errors.evidence import evidence_of
from bench.ledger.errors.intervals import differences, intervals
from bench.measure.resampling import Resampling
from bench.measure.spaces import Predicted
from bench.measure.tally import Tally

EXPECTED = (4, 8, 15, 40, 100)
ROWS = 1500
METRICS = ("auc", "logloss", "gauc", "recall@10%")
Floats = NDArray[np.float64]


def rows_of(expected: int, rows: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Chances of being positive, and what the two models say of them, each (N,)."""
    scores = rng.normal(0, 1, (3, rows))
    intercept = np.log(expected / ROWS) - 0.5
    models = scores[0], 0.8 * scores[0] + 0.6 * scores[1]
    return 1 / (1 + np.exp(-(intercept + scores[0]))), *(
        1 / (1 + np.exp(-(intercept + model))) for model in models
    )


def truth_of(expected: int) -> list[dict[str, float]]:
    """Of both models; every row counts as positive by its chance. Groups are random, so GAUC is
    AUC.
    """
    chance, *models = rows_of(expected, 2_000_000, np.random.default_rng(1))
    outcomes = []
    for prediction in models:
        order = np.argsort(prediction)
        yes, no = chance[order], 1 - chance[order]
        area = float((yes * (np.cumsum(no) - no / 2)).sum() / (yes.sum() * no.sum()))
        loss = float(-(chance * np.log(prediction) + (1 - chance) * np.log1p(-prediction)).mean())
        recall = float(yes[-len(yes) // 10 :].sum() / yes.sum())
        outcomes.append({"auc": area, "logloss": loss, "gauc": area, "recall@10%": recall})
    return outcomes


def measured(
    predictions: Floats, labels: Floats, users: NDArray[np.int32], split: str, seed: int
) -> Replicate:
    """One model on a split."""
    columns, labels = predictions[:, None].astype(np.float32), labels[:, None].astype(np.float32)
    tally = Tally((Task("a"),), f"{split}/", outcomes=("a.recall@10%",))
    resampling = Resampling((Task("a"),), split, outcomes=("a.recall@10%",))
    for measure in (tally, resampling):
        measure.add(Predicted(labels, users, conditional=columns, joint=columns))
    return Replicate(seed, seed, tally.result(), resampled=resampling.result())


def coverage(expected: int, runs: int) -> Mapping[str, float]:
    """In which share of runs each interval held the truth; runs without a positive have none."""
    rng, truths = np.random.default_rng(expected), truth_of(expected)
    covered: dict[str, list[bool]] = {}
    for run in range(runs):
        chance, *models = rows_of(expected, ROWS, rng)
        labels = (rng.random(ROWS) < chance).astype(float)
        if not labels.any():
            continue
        split = f"{expected} of {run}"
        for metric in METRICS:
            users = rng.integers(0, 15, ROWS) if metric == "gauc" else np.full(ROWS, -1)
            records = []
            for number, prediction in enumerate(models):
                replicate = measured(prediction, labels, users.astype(np.int32), split, number)
                records.append(
                    Point("trial", {}, "mmoe", number, replicates=(replicate, replicate))
                )
            key = f"{split}/a.{metric}"
            samples = [sample for record in records if (sample := evidence_of(record, [key]))]
            bounds, paired = intervals(samples), differences(samples)
            if len(samples) < 2 or bounds is None or paired is None:
                continue
            truth = [model_truth[metric] for model_truth in truths]
            [pair] = paired.intervals(0, 1)
            covered.setdefault(metric, []).append(bounds[0][0].low <= truth[0] <= bounds[0][0].high)
            covered.setdefault(f"{metric}, difference", []).append(
                pair.low <= truth[0] - truth[1] <= pair.high
            )
    return {name: float(np.mean(values)) for name, values in covered.items()}


def table(coverages: Mapping[int, Mapping[str, float]]) -> str:
    """By expected positives the coverage of nominal 90% intervals."""
    names = [name for metric in METRICS for name in (metric, f"{metric}, difference")]
    lines = [f"| expected positives | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    lines += [
        f"| {expected} | {' | '.join(f'{shares[name]:.1%}' for name in names)} |"
        for expected, shares in coverages.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    simulation(
        __doc__,
        "few",
        1000,
        lambda runs: table({expected: coverage(expected, runs) for expected in EXPECTED}),
    )
