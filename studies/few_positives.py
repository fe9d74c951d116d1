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
    at = np.log(expected / ROWS) - 0.5
    models = scores[0], 0.8 * scores[0] + 0.6 * scores[1]
    return 1 / (1 + np.exp(-(at + scores[0]))), *(1 / (1 + np.exp(-(at + each))) for each in models)


def truth_of(expected: int) -> list[dict[str, float]]:
    """Of both models; every row counts as positive by its chance. Groups are random, so GAUC is
    AUC.
    """
    chance, *models = rows_of(expected, 2_000_000, np.random.default_rng(1))
    found = []
    for said in models:
        order = np.argsort(said)
        yes, no = chance[order], 1 - chance[order]
        area = float((yes * (np.cumsum(no) - no / 2)).sum() / (yes.sum() * no.sum()))
        loss = float(-(chance * np.log(said) + (1 - chance) * np.log1p(-said)).mean())
        recall = float(yes[-len(yes) // 10 :].sum() / yes.sum())
        found.append({"auc": area, "logloss": loss, "gauc": area, "recall@10%": recall})
    return found


def measured(
    said: Floats, labels: Floats, users: NDArray[np.int32], split: str, seed: int
) -> Replicate:
    """One model on a split."""
    columns, labels = said[:, None].astype(np.float32), labels[:, None].astype(np.float32)
    tally = Tally((Task("a"),), f"{split}/", outcomes=("a.recall@10%",))
    resampling = Resampling((Task("a"),), split, outcomes=("a.recall@10%",))
    for each in (tally, resampling):
        each.add(Predicted(labels, users, conditional=columns, joint=columns))
    return Replicate(seed, seed, tally.result(), resampled=resampling.result())


def coverage(expected: int, runs: int) -> Mapping[str, float]:
    """In which share of runs each interval held the truth; runs without a positive have none."""
    rng, truths = np.random.default_rng(expected), truth_of(expected)
    held: dict[str, list[bool]] = {}
    for run in range(runs):
        chance, *models = rows_of(expected, ROWS, rng)
        labels = (rng.random(ROWS) < chance).astype(float)
        if not labels.any():
            continue
        split = f"{expected} of {run}"
        for metric in METRICS:
            users = rng.integers(0, 15, ROWS) if metric == "gauc" else np.full(ROWS, -1)
            records = []
            for at, said in enumerate(models):
                one = measured(said, labels, users.astype(np.int32), split, at)
                records.append(Point("trial", {}, "mmoe", at, replicates=(one, one)))
            key = f"{split}/a.{metric}"
            samples = [each for record in records if (each := evidence_of(record, [key]))]
            found, apart = intervals(samples), differences(samples)
            if len(samples) < 2 or found is None or apart is None:
                continue
            truth = [each[metric] for each in truths]
            [pair] = apart.intervals(0, 1)
            held.setdefault(metric, []).append(found[0][0].low <= truth[0] <= found[0][0].high)
            held.setdefault(f"{metric}, difference", []).append(
                pair.low <= truth[0] - truth[1] <= pair.high
            )
    return {name: float(np.mean(values)) for name, values in held.items()}


def table(found: Mapping[int, Mapping[str, float]]) -> str:
    """By expected positives the coverage of nominal 90% intervals."""
    names = [name for metric in METRICS for name in (metric, f"{metric}, difference")]
    lines = [f"| expected positives | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    lines += [
        f"| {expected} | {' | '.join(f'{of[name]:.1%}' for name in names)} |"
        for expected, of in found.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    simulation(
        __doc__,
        "few",
        1000,
        lambda runs: table({expected: coverage(expected, runs) for expected in EXPECTED}),
    )
