"""A log that today's ranking chose: how often a verdict is wrong as logged, by rows shown at
random, by propensities.

    python studies/exposure.py --populations 100 [--write docs/before-the-test.md]

Each population has 100,000 rows that could be shown, two tasks with known probabilities, and two
models with errors of their own. Today's ranking decides with which chance a row is shown, so rows
are there because its model overrates them. On them the other model looks better than it is. In
`equal` populations both models err alike; in `better` populations the other one errs less; in
`worse` populations it errs more. The truth is of 600,000 other rows, by their probabilities.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from speed.table import replace, writer

import bench
from bench.ledger.fusion import Fusion, FusionTerms

ROWS, MANY, RANDOM = 100_000, 600_000, 0.1
ERRORS = {"equal": (0.8, 0.8), "better": (0.8, 0.65), "worse": (0.75, 0.8)}
WAYS: dict[str, dict[str, str]] = {
    "as logged": {},
    "random": {"random": "at_random"},
    "propensity": {"propensity": "chance"},
    "as many": {},
}
"""The last one is of another log, shown at random, with as many rows as those by propensities are
worth.
"""
FORMULA = (1.0, 1.7)
"""Today's weights, the best ones for the mean of both gains."""


@dataclass(frozen=True)
class Population:
    """All rows (N,), the probabilities (N, 2) of their labels, what each model says (N, 2), and
    which were shown.
    """

    truth: np.ndarray[Any, Any]
    predictions: dict[str, np.ndarray[Any, Any]]
    rows: pd.DataFrame
    was_shown: np.ndarray[Any, Any]


@cache
def truth_of(kind: str) -> Population:
    """The rows of the truth."""
    return population(kind, 1_000_000, MANY)


def population(kind: str, seed: int, rows: int = ROWS) -> Population:
    """A pool, and what today's ranking showed of it."""
    rng = np.random.default_rng([seed, sorted(ERRORS).index(kind)])
    x = rng.normal(size=(rows, 3))
    logits = np.stack([-2.2 + x @ [1.0, 0.3, 0.2], -3.0 + x @ [-0.3, 1.0, 0.2]], axis=1)
    errors = dict(zip(("today", "other"), ERRORS[kind], strict=True))
    predictions = {
        name: expit(logits + sd * rng.normal(size=logits.shape)) for name, sd in errors.items()
    }
    score = predictions["today"] @ FORMULA
    rank = np.argsort(np.argsort(score)) / rows
    by_rank = 0.05 + 0.9 * expit(12 * (rank - 0.75))
    at_random = rng.random(rows) < RANDOM
    was_shown = rng.random(rows) < np.where(at_random, 0.3, by_rank)
    labels = (rng.random(logits.shape) < expit(logits)).astype(int)
    columns = {"click": labels[:, 0], "buy": labels[:, 1], "at_random": at_random.astype(int)}
    columns |= {
        f"{name}_{task}": by_task[:, column]
        for name, by_task in predictions.items()
        for column, task in enumerate(("click", "buy"))
    }
    columns["chance"] = RANDOM * 0.3 + (1 - RANDOM) * by_rank  # whichever way it came to be shown
    return Population(expit(logits), predictions, pd.DataFrame(columns), was_shown)


def outcomes(truth: np.ndarray[Any, Any], score: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(2,) true recall@10% of a score (N,)."""
    top = np.argsort(-score, kind="stable")[: len(score) // 10]
    return np.asarray(truth[top].sum(axis=0) / truth.sum(axis=0))


def judged(kind: str, seed: int, ways: list[str], worth: float) -> Iterator[dict[str, Any]]:
    """What each way says of a population, beside the truth; `worth`: rows that a log by
    propensities is worth.
    """
    sample, large = population(kind, seed), truth_of(kind)
    base = outcomes(large.truth, large.predictions["today"] @ FORMULA)
    for way in ways:
        log = sample.rows[sample.was_shown]
        if way == "as many":
            log = sample.rows.sample(round(2 * worth), random_state=seed)
        decision = bench.decide(
            log,
            labels=["click", "buy"],
            unseen=True,
            recalibrate=False,
            seed=seed,
            outcomes=[],
            models={name: [f"{name}_click", f"{name}_buy"] for name in sample.predictions},
            weights=f"{FORMULA[0]} today_click + {FORMULA[1]} today_buy",
            **WAYS[way],
        ).decision
        verdict, served = decision.verdict, decision.serving.served
        assert served is not None
        row = (
            verdict.row
            if verdict.row is not None
            else (decision.pick.row if decision.pick else None)
        )
        line: dict[str, Any] = {"kind": kind, "seed": seed, "way": way, "said": verdict.kind}
        line["unsure"] = bool(decision.serving.unsure)
        if row is not None and verdict.both is not None:
            facts = served.table.iloc[row]
            rates = list(decision.rows["confirm"].rates)
            fusion = Fusion.of(facts["kind"], [facts["weights"][task] for task in ("click", "buy")])
            terms = FusionTerms(large.predictions[str(facts["point"])], rates)
            gains = outcomes(large.truth, terms.fused(fusion.kind, fusion.weights)) / base - 1
            line["gains"] = gains.tolist()
            line["u"] = float(np.expm1(np.log1p(gains).mean()))
            line["told"] = [
                [effect.value, effect.low, effect.high] for effect in verdict.both.outcomes.values()
            ]
            line["told_u"] = [
                verdict.both.utility.value,
                verdict.both.utility.low,
                verdict.both.utility.high,
            ]
            line["model"] = str(facts["point"])
        exposure = decision.rows["test"].exposure
        line["effective"] = (
            exposure.effective if exposure else float(len(decision.rows["test"].labels))
        )
        worth = line["effective"] if way == "propensity" else worth
        yield line


def table(lines: list[dict[str, Any]]) -> str:
    """By kind of population and way how often it says to switch, and how often intervals hold.

    Wrong is a true gain of at most 0, or another model that errs as much or more.
    """
    head = (
        "| populations | way | rows, in effect | says to switch, % | wrongly, % | gain told, "
        "true | intervals hold, % |"
    )
    out = [head, "|---|---|---|---|---|---|---|"]
    for kind in ERRORS:
        for way in WAYS:
            of_way = [line for line in lines if (line["kind"], line["way"]) == (kind, way)]
            if not of_way:
                continue
            switched = [line for line in of_way if line["said"] in ("model", "weights")]
            wrong = [
                line
                for line in switched
                if line["u"] <= 0 or (kind != "better" and line["model"] == "other")
            ]
            with_gains = [line for line in of_way if "u" in line]
            inside = [
                low <= true <= high
                for line in with_gains
                for (_, low, high), true in zip(line["told"], line["gains"], strict=True)
            ]
            announced, true = (
                np.mean([value_of(line) for line in with_gains])
                for value_of in (lambda e: e["told_u"][0], lambda e: e["u"])
            )
            rows = np.mean([line["effective"] for line in of_way])
            share = 100 / len(of_way)
            out.append(
                f"| {len(of_way)} {kind} | {way} | {rows:,.0f} | {share * len(switched):.0f} | "
                f"{share * len(wrong):.1f} | {100 * announced:+.1f}, {100 * true:+.1f} | "
                f"{100 * np.mean(inside):.0f} |"
            )
    return "\n".join(out)


def main() -> None:
    """Goes on from what a file has, and prints the table."""
    parser = writer(__doc__)
    parser.add_argument("--populations", type=int, default=200)
    parser.add_argument("--to", type=Path, default=Path("exposure.jsonl"))
    options = parser.parse_args()
    lines = (
        [json.loads(line) for line in options.to.read_text().splitlines()]
        if options.to.is_file()
        else []
    )
    recorded = {(line["kind"], line["seed"], line["way"]): line["effective"] for line in lines}
    for seed in range(options.populations):
        for kind in ERRORS:
            ways = [way for way in WAYS if (kind, seed, way) not in recorded]
            with options.to.open("a") as file:
                for line in (
                    judged(kind, seed, ways, recorded.get((kind, seed, "propensity"), 0.0))
                    if ways
                    else ()
                ):
                    lines.append(line)
                    file.write(json.dumps(line) + "\n")
    replace(options.write, "exposure", table(lines))


if __name__ == "__main__":
    main()
