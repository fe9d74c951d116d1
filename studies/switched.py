"""What is announced with "switch", and what is true: six kinds of logs whose truth is known.

    OMP_NUM_THREADS=1 python studies/switched.py --keep reports/switched.jsonl [--runs 400]
        [--worlds NAME ..] [--write docs/studies/statistics.md]

Each run draws a log of 20,000 rows with two tasks, and `bench.decide` decides on it, by the rule
`knee` and `recall@10%`. The truth is measured on 400,000 rows, by probabilities in place of labels.
A run adds a line to `--keep`; one that is there is not repeated. Other code needs a fresh file.

| world | what it is |
|---|---|
| better | a candidate is 2% better than today's model |
| overconfident | a candidate is 0.7% better, and its log-odds are 1.6 times too large |
| revenue | three candidates equal today's; each purchase counts a log-normal price |
| bids | a candidate is 1% better; each click counts a log-normal bid |
| six equal | six candidates equal today's |
| poor weights | a candidate equals today's model, whose weights are poor |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit
from speed.table import replace as replace_table
from speed.table import writer

from bench import decide
from bench.core.formula import read
from bench.core.formula_languages import computed
from bench.deciding.decision import Decision

SEED = 20_261_207
ROWS, POPULATION = 20_000, 400_000
SHARE = 0.1
"""Of the rows that an outcome counts positives in."""
TODAYS_ERROR = 0.9
"""Standard deviation of the errors in the log-odds of today's model."""
POOR = 0.03
"""The weight of the second task in poor weights, in units of the best one."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """A world of logs.

    Attributes:
        gain: of each candidate over today's model, as a fraction of U.
        candidates: how many there are.
        sharpness: what a candidate's log-odds are multiplied by.
        amount: the task whose events count a log-normal amount; empty for none.
        poor_weights: whether today's weights are poor; else they are the best.
    """

    gain: float = 0.0
    candidates: int = 1
    sharpness: float = 1.0
    amount: str = ""
    poor_weights: bool = False


WORLDS = {
    "better": World(gain=0.02),
    "overconfident": World(gain=0.007, sharpness=1.6),
    "revenue": World(candidates=3, amount="buy"),
    "bids": World(gain=0.01, amount="click"),
    "six equal": World(candidates=6),
    "poor weights": World(poor_weights=True),
}
TASKS = ("click", "buy")


@dataclass(frozen=True)
class Drawn:
    """Rows of a world.

    Attributes:
        log_odds: (N, T), true ones.
        amounts: (N, T), what each event counts.
    """

    log_odds: Floats
    amounts: Floats

    @property
    def values(self) -> Floats:
        """(N, T), expected events times their amounts."""
        return expit(self.log_odds) * self.amounts


def drawn(world: World, rows: int, rng: np.random.Generator) -> Drawn:
    """Clicks of 12% and purchases of 4%, of correlated tastes."""
    common = rng.normal(size=(rows, 1))
    tastes = 0.6 * common + 0.8 * rng.normal(size=(rows, len(TASKS)))
    log_odds = np.array([-2.6, -4.2]) + 1.3 * tastes
    amounts = np.ones((rows, len(TASKS)))
    if world.amount:
        amounts[:, TASKS.index(world.amount)] = np.exp(rng.normal(size=rows) - 0.5)
    return Drawn(log_odds, amounts)


def predicted(rows: Drawn, error: float, sharpness: float, rng: np.random.Generator) -> Floats:
    """(N, T), probabilities by a model with errors in its log-odds."""
    noisy = rows.log_odds + error * rng.normal(size=rows.log_odds.shape)
    return np.asarray(expit(sharpness * (noisy + 2.5) - 2.5))


def utility(rows: Drawn, scores: Floats) -> float:
    """The mean logarithm of outcomes of what is ranked by scores (N,)."""
    first = np.argpartition(-scores, round(SHARE * len(scores)))[: round(SHARE * len(scores))]
    values = rows.values
    return float(np.log(values[first].sum(axis=0) / values.sum(axis=0)).mean())


def summed(rows: Drawn, predictions: Floats, weights: Floats) -> Floats:
    """(N,), the weighted sum of predictions times amounts."""
    return np.asarray((predictions * rows.amounts) @ weights)


def best_weights(rows: Drawn, predictions: Floats) -> Floats:
    """Those of the largest utility."""

    def loss(logarithm: float) -> float:
        return -utility(rows, summed(rows, predictions, np.array([1.0, np.exp(logarithm)])))

    found = minimize_scalar(loss, bounds=(-2.0, 5.0), method="bounded", options={"xatol": 0.02})
    return np.array([1.0, float(np.exp(found.x))])


@dataclass(frozen=True)
class Truth:
    """The population of a world: what any weights of any model gain there over today's ranking.

    Attributes:
        errors: by model the standard deviation of its errors.
        predictions: by model (N, T).
        todays_weights: (T,).
    """

    rows: Drawn
    errors: Mapping[str, float]
    predictions: Mapping[str, Floats]
    todays_weights: Floats

    def columns(self) -> dict[str, Floats]:
        """By name those that a score may be made of."""
        columns = {}
        for model, predictions in self.predictions.items():
            for column, task in enumerate(TASKS):
                columns[f"{task}_{model}"] = predictions[:, column]
                if not (self.rows.amounts[:, column] == 1).all():
                    columns["amount"] = self.rows.amounts[:, column]
        return columns

    def gain(self, formula: str) -> float:
        """Of a score, as a fraction."""
        scores = computed(read(formula, "the answer"), self.columns(), "the answer")
        todays_scores = summed(self.rows, self.predictions["today"], self.todays_weights)
        return float(np.expm1(utility(self.rows, scores) - utility(self.rows, todays_scores)))


@cache
def truth_of(name: str) -> Truth:
    """The errors are such that a candidate gains what the world says, each at its best weights."""
    world = WORLDS[name]
    rng = np.random.default_rng([SEED, *name.encode()])
    rows = drawn(world, POPULATION, rng)
    noise = rng.normal(size=rows.log_odds.shape)

    def model(error: float, sharpness: float) -> Floats:
        noisy = rows.log_odds + error * noise
        return np.asarray(expit(sharpness * (noisy + 2.5) - 2.5))

    today = model(TODAYS_ERROR, 1.0)
    best = best_weights(rows, today)
    best_utility = utility(rows, summed(rows, today, best))

    def surplus(error: float) -> float:
        candidate = model(error, world.sharpness)
        weights = best_weights(rows, candidate)
        reached = utility(rows, summed(rows, candidate, weights))
        return reached - best_utility - np.log1p(world.gain)

    error = TODAYS_ERROR
    if world.gain or world.sharpness != 1:
        error = float(brentq(surplus, 0.5, 1.1, xtol=1e-3))
    errors, predictions = {"today": TODAYS_ERROR}, {"today": today}
    for number in range(world.candidates):
        errors[f"candidate{number}"] = error
        predictions[f"candidate{number}"] = model(error, world.sharpness)
    if world.poor_weights:
        best = best * np.array([1.0, POOR])
    return Truth(rows, errors, predictions, best)


@dataclass(frozen=True)
class Said:
    """What was said of a log, and what is true.

    Attributes:
        kind: of the verdict.
        announced, low, high: of the gain in U of both, model and weights; where a switch is said
            what is expected to last of it.
        shown, deviation: of the same as test shows it, before anything is drawn back.
        true: the gain of what the answer says to serve, or is about.
        sentence: the answer.
    """

    world: str
    run: int
    kind: str
    announced: float
    low: float
    high: float
    shown: float
    deviation: float
    true: float
    sentence: str


def said_of(name: str, run: int, cut: str) -> Said:
    """A log of a world, and what is decided on it by outcomes with this cut."""
    world, truth = WORLDS[name], truth_of(name)
    rng = np.random.default_rng([SEED, run, *name.encode()])
    rows = drawn(world, ROWS, rng)
    events = rng.random(rows.log_odds.shape) < expit(rows.log_odds)
    log = pd.DataFrame(events.astype(int), columns=list(TASKS))
    models = {}
    for model, error in truth.errors.items():
        sharpness = 1.0 if model == "today" else world.sharpness
        predictions = predicted(rows, error, sharpness, rng)
        models[model] = [f"{task}_{model}" for task in TASKS]
        for column, task in enumerate(TASKS):
            log[f"{task}_{model}"] = predictions[:, column]
    options = {}
    terms = [f"{task}_today" for task in TASKS]
    if world.amount:
        column = TASKS.index(world.amount)
        log["amount"] = rows.amounts[:, column]
        options["amounts"] = {world.amount: "amount"}
        terms[column] = f"amount {terms[column]}"
    outcomes = []
    for task in TASKS:
        metric = "value" if task == world.amount else "recall"
        outcomes.append(f"{task}.{metric}@{cut}")
    formula = f"{terms[0]} + {truth.todays_weights[1]:.6g} {terms[1]}"
    result = decide(
        log,
        labels=list(TASKS),
        models=models,
        weights=formula,
        outcomes=outcomes,
        unseen=True,
        seed=run,
        **options,
    )
    return _said(name, run, truth, result.decision)


def _said(name: str, run: int, truth: Truth, decision: Decision) -> Said:
    verdict, served = decision.verdict, decision.serving.served
    assert served is not None
    assert served.current is not None
    row = verdict.row if verdict.row is not None else served.current
    effect = verdict.lasting
    if effect is None and verdict.both is not None:
        effect = verdict.both.utility
    contest = decision.contests()[0]
    differences = contest.utility_gains(row, served.current, measured=True)
    true = 0.0
    if row != served.current:
        true = truth.gain(decision.formulas[row])
    return Said(
        world=name,
        run=run,
        kind=verdict.kind,
        announced=effect.value if effect else 0.0,
        low=effect.low if effect else 0.0,
        high=effect.high if effect else 0.0,
        shown=float(np.expm1(differences.mean())),
        deviation=float(differences.std()),
        true=true,
        sentence=verdict.answer[0],
    )


def table(said: Sequence[Said]) -> str:
    """By world how often each verdict was said, and what is announced where it is to switch, beside
    the truth: means in per cent, and the share of intervals that held.
    """
    lines = [
        "| world | runs | switch | new weights | shown | announced | true | interval held |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in WORLDS:
        of_world = [one for one in said if one.world == name]
        if not of_world:
            continue
        switched = [one for one in of_world if one.kind in ("model", "weights")]
        models = sum(one.kind == "model" for one in of_world)
        cells = [name, f"{len(of_world)}", f"{models}", f"{len(switched) - models}"]
        if switched:
            for field in ("shown", "announced", "true"):
                mean = np.mean([getattr(one, field) for one in switched])
                cells.append(f"{100 * mean:+.1f}%")
            held = sum(one.low <= one.true <= one.high for one in switched)
            cells.append(f"{held} of {len(switched)}")
        else:
            cells += [""] * 4
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def read_runs(path: Path) -> list[Said]:
    """The runs that are there."""
    if not path.exists():
        return []
    return [Said(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Runs what is missing, and prints the table of all."""
    parser = writer(__doc__)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--worlds", nargs="+", choices=[*WORLDS], default=[*WORLDS])
    parser.add_argument("--cut", default="10%", help="of the outcomes; truth is of the first 10%%")
    options = parser.parse_args()
    said = read_runs(options.keep)
    is_there = {(one.world, one.run) for one in said}
    options.keep.parent.mkdir(parents=True, exist_ok=True)
    for run in range(options.runs):
        for name in options.worlds:
            if (name, run) in is_there:
                continue
            said.append(said_of(name, run, options.cut))
            with options.keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(said[-1])) + "\n")
    text = table(said)
    print(text)
    if options.write is not None:
        replace_table(options.write, "switched", text)


if __name__ == "__main__":
    main()
