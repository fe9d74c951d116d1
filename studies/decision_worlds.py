"""How good and how honest decisions are in simulated runs whose truth is known, at the level of
predictions.

    OMP_NUM_THREADS=1 python studies/decision_worlds.py --keep reports/worlds [--worlds 50]
        [--guarded --times 10] [--write docs/studies/statistics.md]

`drawn_worlds` draws a world for each run: 2, 3, 5 or 8 tasks with rates of 1 to 30%; 800 to 10,000
rows of each split; 1 to 12 candidates with 2, 3 or 10 replicates on shared seeds. Half of the runs
have a current model, half of these with one replicate; the others compare with single-task models.
U is the mean logarithm of outcomes; where events have values it is the logarithm of what is earned.
The best true weights are climbed from many starts, within the true guard: 95% of today's outcomes;
without a current model, those of a random order.

`--keep` leaves a line a run in `decisions.jsonl` of that folder and goes on from there, also with
more runs; other code needs a fresh folder. `--write` puts the table of all that is there between
the marks in that file. With `--log`, and another folder, `bench.decide` decides on the same
populations from one training of each model.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from drawn_worlds import (
    LITTLE,
    SEED,
    WORLDS,
    Case,
    Ranked,
    Serve,
    climbed,
    drawn,
    starts_of,
    utility,
)
from scipy import stats
from served_worlds import Floats
from speed.table import replace as write
from speed.table import writer

from bench import decide
from bench.core.errors import UserError
from bench.core.rows import CONFIRM, SEARCH
from bench.deciding.aims import PolicyAim, aims_of
from bench.deciding.answering import verdict_of
from bench.deciding.case import Case as About
from bench.deciding.choices import served_choices
from bench.deciding.contest import Contests
from bench.deciding.judging import Judge
from bench.deciding.pick import Pick, pick
from bench.deciding.policy import Guard, Policy
from bench.deciding.stability import TOLERANCE
from bench.deciding.verdict import Verdict
from bench.ledger.effect import Effect
from bench.ledger.fusion import Fusion
from bench.ledger.served.expected import expected
from bench.ledger.served.measuring import Candidate, CurrentRanking
from bench.ledger.served.served import Served, served_front
from bench.ledger.served.turned import few, turned
from bench.measure.predictions import KeptRows

TASKS = (2, 3, 5, 8)
RESAMPLES, DRAWS = 100, 600
REACHED = 0.02
"""The regret in U to stay below."""
CONFIDENCES = (0.5, 0.6, 0.75, 0.9)
AGAIN = 3
"""Tasks up to which a second run tells whether the pick holds."""
NONE = 5e-4
"""A true difference that is no larger is none."""


@dataclass(frozen=True)
class Claim:
    """What is announced: a difference in U, or as a fraction a change in an outcome or in what is
    earned.

    Attributes:
        measure: "U", or the place of a task.
        parts: rankings that are compared, and with which: the mean of these differences is
            announced.
        importances: of outcomes in U, by part; none: all are equal.
        announced: whether the answer says so, as against a table in an answer that says "keep" or
            "cannot tell".
    """

    measure: str | int
    effect: Effect
    parts: tuple[tuple[Serve, Serve], ...]
    announced: bool
    importances: tuple[tuple[float, ...], ...] = ()

    def truth(self, case: Case) -> float:
        """The true difference."""
        differences = []
        for number, (new_serve, old_serve) in enumerate(self.parts):
            new, old = case.truth(new_serve), case.truth(old_serve)
            if isinstance(self.measure, int):
                differences.append(new[self.measure] / old[self.measure] - 1)
            elif case.values is not None:  # fractions of what today's ranking earns
                differences.append(
                    float((new - old) @ case.values / (case.truth(case.today) @ case.values))
                )
            else:
                importances = np.array(self.importances[number]) if self.importances else None
                differences.append(utility(new, importances) - utility(old, importances))
        mean = float(np.mean(differences))
        return (
            mean if isinstance(self.measure, int) or case.values is not None else math.expm1(mean)
        )


@dataclass(frozen=True)
class Decided:
    """What the product says of a run.

    Attributes:
        picked: by the policy, whatever the verdict is.
        advised: what the answer says to serve: today's where it says "keep" or "cannot tell".
        claims: the first one is on U, where it is known.
        holds: in which share of retrainings the pick is said to hold.
        alternatives: what would be picked where the guard had to be kept with other confidences.
    """

    kind: str
    sentence: str
    picked: Serve
    advised: Serve
    claims: tuple[Claim, ...] = ()
    holds: float | None = None
    alternatives: Mapping[float, Serve] = field(default_factory=dict)


class Selected:
    """A candidate's outcomes by expected labels on the rows that choose: validation and
    confirmation rows alike.
    """

    def __init__(
        self, candidate: Candidate, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows]
    ) -> None:
        equal = np.full(candidate.replicates, 1 / candidate.replicates)
        names = [f"{task}.recall@10%" for task in rows[CONFIRM].tasks]
        likely = expected(candidates, {split: rows[split] for split in (SEARCH, CONFIRM)}, names)
        assert likely is not None
        self._parts = [
            Ranked(
                [
                    candidate.predictions(split, run).astype(float)
                    for run in range(candidate.replicates)
                ],
                split_rows.labels.astype(float),
                split_rows.rates,
                equal,
            )
            for split, split_rows in likely.rows.items()
        ]

    def outcomes(self, fusion: Fusion) -> Floats:
        """(T,) means."""
        return np.asarray(np.mean([part.outcomes(fusion) for part in self._parts], axis=0))


def decided(case: Case, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows]) -> Decided:
    """What the product decides on a run: this function and the next two alone know its parts."""
    served, judge, aims = judged(case, candidates, rows)
    try:
        chosen = pick(judge.choices, [], judge.policy)
    except UserError as error:
        return Decided("nothing", str(error), case.today, case.today)
    swapped = judged(case, *turned(candidates, rows))[:2] if few(rows) else None

    contests = Contests(served, judge, aims, SEED, chosen.row, swapped).of_verdict()
    verdict = verdict_of(
        About(
            contests=contests,
            judge=judge,
            pick=chosen.row,
            against="today's",
            holds=chosen.stability.holds,
        )
    )
    alternatives: dict[float, Serve] = {}
    for confidence in CONFIDENCES if case.guards else ():
        guard = judge.policy.guard.model_copy(update={"confidence": confidence})
        row = pick(judge.choices, [], judge.policy.model_copy(update={"guard": guard})).row
        alternatives[confidence] = serve_of(served, row)
    return replace(
        said(case, served, judge, chosen, verdict, aims),
        holds=chosen.stability.holds,
        alternatives=alternatives,
    )


def serve_of(served: Served, row: int) -> Serve:
    """A row of a served front."""
    facts = served.table.iloc[row]
    return str(facts["point"]), Fusion.of(
        "power" if facts["kind"] == "power" else "sum", list(facts["weights"].values())
    )


def judged(
    case: Case, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows]
) -> tuple[Served, Judge, tuple[PolicyAim, ...]]:
    """The served front of a run, its policy applied to the choices, and what weights are chosen
    for.
    """
    name, fusion = case.today
    rates = dict(zip(rows[CONFIRM].tasks, rows[CONFIRM].rates, strict=True))
    policy = policy_of(case, rates)
    aims = aims_of(policy, [outcome.name for outcome in case.setup.outcomes], rates, case.current)
    now = CurrentRanking(name, fusion if case.current else None, case.current)
    served = served_front(candidates, rows, case.setup.outcomes, now, SEED, RESAMPLES, DRAWS, aims)
    return served, Judge(policy, served_choices(served, [], aims[0], SEED)), aims


def held(case: Case, picked: Serve) -> bool:
    """Whether the model holds, as `bench.deciding.stability` says, where all is trained and
    measured once more.
    """
    served, judge, _ = judged(case, *case.setup.run(1))
    scores = np.where(judge.passing, judge.scores(judge.choices.values(judge.scored)), -np.inf)
    return bool(
        scores[served.table["point"] == picked[0]].max() >= scores.max() - TOLERANCE > -np.inf
    )


def policy_of(case: Case, rates: Mapping[str, float]) -> Policy:
    """The default, or that of a world whose events have values."""
    if case.values is None:
        return Policy(rule="knee")
    worth = {
        task: float(value) / rate
        for (task, rate), value in zip(rates.items(), case.values, strict=True)
    }
    return Policy(rule="value", values=worth, guard=Guard(max_loss_vs_current=np.inf))


def decided_on_a_log(
    case: Case, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows]
) -> Decided:
    """The same by `bench.decide`, from a table of predictions; each model is one training."""
    (name, fusion), tasks = case.today, case.setup.world.tasks
    parts = []
    for split, split_rows in rows.items():
        columns: dict[str, Any] = {"part": split} | dict(
            zip(tasks, split_rows.labels.T, strict=True)
        )
        for candidate in candidates:
            columns |= {
                f"{candidate.id}.{task}": prediction
                for task, prediction in zip(tasks, candidate.predictions(split, 0).T, strict=True)
            }
        users = (
            split_rows.units if case.setup.world.users[0] >= 0 else np.arange(len(split_rows.units))
        )
        parts.append(pd.DataFrame(columns | {"user": users.astype(np.int64)}))
    rates = dict(zip(tasks, rows[CONFIRM].rates, strict=True))
    extra_options: dict[str, Any] = {}
    if case.current and fusion.kind == "power":
        extra_options["weights"] = " * ".join(
            f"{name}.{task}^{weight:.17f}"
            for task, weight in zip(tasks, fusion.weights, strict=True)
        )
    elif case.current:
        raw = zip(tasks, fusion.weights, rates.values(), strict=True)
        extra_options["weights"] = " + ".join(
            f"{weight / rate:.17f} {name}.{task}" for task, weight, rate in raw
        )
    decision = decide(
        pd.concat(parts),
        labels=list(tasks),
        part="part",
        units="user",
        unseen=True,
        rates=rates,
        seed=SEED,
        models={
            candidate.id: [f"{candidate.id}.{task}" for task in tasks] for candidate in candidates
        },
        outcomes=[outcome.name for outcome in case.setup.outcomes],
        policy=policy_of(case, rates),
        today=name,
        recalibrate=False,
        **extra_options,
    ).decision
    serving, chosen = decision.serving, decision.pick
    if serving.served is None or chosen is None:
        return Decided("nothing", decision.no_pick, case.today, case.today)
    return said(
        case,
        serving.served,
        Judge(decision.policy, decision.choices),
        chosen,
        decision.verdict,
        serving.aims,
    )


def said(
    case: Case,
    served: Served,
    judge: Judge,
    chosen: Pick,
    verdict: Verdict,
    aims: Sequence[PolicyAim],
) -> Decided:
    """What a verdict claims."""
    all_contests = Contests(served, judge, aims, SEED, chosen.row)
    contests = [all_contests.of(aim) for aim in aims]

    picked, start, today = (
        serve_of(served, row) for row in (chosen.row, contests[0].start, served.current)
    )
    today = today if case.current else start
    advised = (
        today if verdict.row is None or verdict.kind == "unknown" else serve_of(served, verdict.row)
    )
    claims: list[Claim] = []
    if case.current:
        pairs = {"weights": ((start, today),), "model": ((picked, start),)}
        overall = (picked if verdict.kind != "weights" else start, today)
        if verdict.both:
            claims.append(Claim("U", verdict.both.utility, (overall,), verdict.kind in pairs))
            claims += [
                Claim(number, effect, (overall,), True)
                for number, effect in enumerate(verdict.both.outcomes.values())
            ]
        parts = {"weights": verdict.weights, "model": verdict.model}
        claims += [
            Claim(f"U, {part}", effect.utility, pairs[part], verdict.kind == part)
            for part, effect in parts.items()
            if effect
        ]
    elif verdict.both:
        point = chosen.point
        anchored = [contest for contest in contests if contest.aim.title in verdict.anchors]
        parts = tuple(
            (serve_of(served, contest.best[point]), serve_of(served, contest.start))
            for contest in anchored
        )
        weights = tuple(aim.weights for aim in aims if aim.title in verdict.anchors)
        claims.append(
            Claim("U", verdict.anchors["on average"], parts, verdict.kind == "model", weights)
        )
        claims += [
            Claim(number, effect, ((picked, start),), True)
            for number, effect in enumerate(verdict.both.outcomes.values())
        ]
    return Decided(verdict.kind, verdict.sentence, picked, advised, tuple(claims))


def record_of(
    tasks: int, world: str, number: int, log: bool = False, times: int = 1
) -> dict[str, Any]:
    """A world's line: what was drawn, decided and true.

    Args:
        times: as many rows as in the world of that number otherwise.
        log: whether to decide from predictions alone: no model then depends on a seed. Of `mixed`
            and `null` ones with a current model half have no other model.
    """
    start = time.process_time()
    case = drawn(tasks, world, number, times)
    if log:
        fixed_kinds = [
            replace(kind, noise=0.0, tails=False, diverges=0.0) for kind in case.setup.kinds
        ]
        fixed_kinds = fixed_kinds[
            : 1 if case.current and world in ("mixed", "null") and number % 4 == 1 else None
        ]
        case = replace(case, setup=replace(case.setup, kinds=fixed_kinds), _pools={}, _truths={})
    drawn_at = time.process_time()
    candidates, rows = case.setup.run(0)
    decision = (decided_on_a_log if log else decided)(case, candidates, rows)
    ended = time.process_time()
    best = case.best([decision.picked, decision.advised, *decision.alternatives.values()])
    serves = {
        "today": case.today,
        "picked": decision.picked,
        "advised": decision.advised,
        "best": best,
    }
    claims = [
        {
            "of": claim.measure,
            "said": claim.announced,
            "truth": claim.truth(case),
            **claim.effect.to_json(),
        }
        for claim in decision.claims
    ]
    # without a guard that reads noise
    free = number % 10 == 0 and (case.values is not None or not case.current)
    return {
        "tasks": tasks,
        "world": world,
        "number": number,
        **case.facts,
        "kind": decision.kind,
        "sentence": decision.sentence,
        **{name: serve[0] for name, serve in serves.items()},
        "u": {name: case.u(case.truth(serve)) for name, serve in serves.items()},
        "broken": case.breaks(decision.advised),
        "claims": claims,
        "confidences": {
            confidence: [case.u(case.truth(serve)), case.breaks(serve)]
            for confidence, serve in decision.alternatives.items()
        },
        "shortfall": shortfall(case, candidates, rows, decision.picked) if free else None,
        "holds": decision.holds,
        "held": held(case, decision.picked)
        if decision.holds is not None and tasks <= AGAIN
        else None,
        "seconds": [
            round(seconds, 2)
            for seconds in (drawn_at - start, ended - drawn_at, time.process_time() - ended)
        ],
    }


def rounded(value: Any) -> Any:
    """Numbers in six digits, as the file keeps them."""
    if isinstance(value, dict):
        return {str(name): rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def shortfall(
    case: Case, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows], picked: Serve
) -> float:
    """How far the picked weights are behind the best of 50 starts, in U on the rows that chose
    them, without guard.
    """
    selected = Selected(
        next(candidate for candidate in candidates if candidate.id == picked[0]), candidates, rows
    )

    def value(fusion: Fusion) -> float:
        return case.u(np.maximum(selected.outcomes(fusion), LITTLE))

    rng = np.random.default_rng([case.setup.seed, 13])
    starts = starts_of(len(case.setup.world.tasks), 25, rng)
    return max(climbed(value, start, rng)[0] for start in starts) - value(picked[1])


COLUMNS = (
    "runs",
    "U to gain",
    "picked: behind by",
    "picked: below 2%",
    "advised: behind by",
    "advised: below 2%",
    "guard broken",
    "switch",
    "wrong gain",
    "wrong cost",
    "U held",
    "U announced",
    "less truth",
    "behind 50 starts",
)


SHOWN = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12)
"""Columns of the document's table; all are printed."""


def rate(right: int, total: int, nominal: float) -> str:
    """A count as a share, with a mark where 1% of runs at most have as many if the true share is
    `nominal`.
    """
    beyond = total > 0 and stats.binom.sf(right - 1, total, nominal) < 0.01
    return f"{right / total:.1%}{' (!)' if beyond else ''}" if total else "–"


def cells_of(lines: Sequence[dict[str, Any]]) -> list[str]:
    """The cells of some runs, in the order of `COLUMNS`."""
    runs = len(lines)

    def spread(values: Sequence[float]) -> str:
        return (
            ", ".join(f"{quantile:.1%}" for quantile in np.quantile(values, [0.5, 0.9]))
            if values
            else "–"
        )

    def reached(values: Sequence[float]) -> str:
        return f"{np.mean([value < REACHED for value in values]):.0%}" if values else "–"

    gain, picked, advised = (
        [line["u"]["best"] - line["u"][name] for line in lines]
        for name in ("today", "picked", "advised")
    )
    said_claims = [
        [
            (claim, Effect(claim["value"], claim["low"], claim["high"]))
            for claim in line["claims"]
            if claim["said"]
        ]
        for line in lines
    ]
    gained = sum(
        any(effect.gained and claim["truth"] <= NONE for claim, effect in line_claims)
        for line_claims in said_claims
    )
    lost = sum(
        any(effect.lost and claim["truth"] >= -NONE for claim, effect in line_claims)
        for line_claims in said_claims
    )
    of_u = [claim for line in lines for claim in line["claims"] if claim["of"] == "U"]
    moved = [claim for claim in of_u if claim["low"] < claim["high"]]
    missed = sum(not claim["low"] <= claim["truth"] <= claim["high"] for claim in moved)
    coverage = (
        f"{1 - missed / len(moved):.0%}{' (!)' * ('!' in rate(missed, len(moved), 0.1))}"
        if moved
        else "–"
    )
    switched = np.mean([line["kind"] in ("model", "weights") for line in lines])
    return [
        str(runs),
        spread(gain),
        spread(picked),
        reached(picked),
        spread(advised),
        reached(advised),
        f"{np.mean([line['broken'] for line in lines]):.1%}",
        f"{switched:.0%}",
        rate(gained, runs, 0.05),
        rate(lost, runs, 0.05),
        coverage,
        f"{sum(claim['value'] for claim in of_u) / runs:+.2%}",
        f"{sum(claim['value'] - claim['truth'] for claim in of_u) / runs:+.2%}",
        spread([line["shortfall"] for line in lines if line["shortfall"] is not None]),
    ]


def table_of(lines: Sequence[dict[str, Any]], columns: Sequence[int] = range(len(COLUMNS))) -> str:
    """By kind of world, with and without a current model.

    Args:
        columns: places in `COLUMNS` of those to show.
    """
    groups = {
        f"{world}, {'current model' if current else 'no current model'}": [
            line for line in lines if (line["world"], line["current"]) == (world, current)
        ]
        for world in WORLDS
        for current in (True, False)
    }
    heads = [COLUMNS[column] for column in columns]
    table_lines = [f"| world | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for name, group in groups.items():
        if group:
            cells = cells_of(group)
            table_lines.append(f"| {name} | {' | '.join(cells[column] for column in columns)} |")
    return "\n".join(table_lines)


def holds_table(lines: Sequence[dict[str, Any]]) -> str:
    """In fifths of what is said, how often picks held."""
    held_pairs = sorted((line["holds"], line["held"]) for line in lines if line["held"] is not None)
    table_lines = ["| runs | said to hold in | held in | standard error |", "|---|---|---|---|"]
    for part in np.array_split(np.array(held_pairs, dtype=float).reshape(-1, 2), 5):
        announced, right = part.mean(axis=0)
        table_lines.append(
            f"| {len(part)} | {announced:.0%} | {right:.0%} | "
            f"{(right * (1 - right) / len(part)) ** 0.5:.0%} |"
        )
    return "\n".join(table_lines)


def guard_table(lines: Sequence[dict[str, Any]]) -> str:
    """By the guard's confidence, how far picks are behind the best within the true guard, and how
    many break it.
    """
    guarded = [line for line in lines if line["confidences"]]
    table_lines = [
        f"| the guard's confidence, {len(guarded)} runs | behind by | below 2% | guard broken |",
        "|---|---|---|---|",
    ]
    for confidence in CONFIDENCES:
        u, broken = zip(*(line["confidences"][str(confidence)] for line in guarded), strict=True)
        behind = np.array([line["u"]["best"] for line in guarded]) - np.array(u)
        median, upper = np.quantile(behind, [0.5, 0.9])
        table_lines.append(
            f"| {confidence:g} | {median:.1%}, {upper:.1%} | {np.mean(behind < REACHED):.0%} | "
            f"{np.mean(broken):.0%} |"
        )
    return "\n".join(table_lines)


def main() -> None:
    """Simulates the runs that are missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--worlds", type=int, default=50, help="of each kind and number of tasks")
    parser.add_argument("--tasks", type=int, nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--kinds", nargs="*", default=list(WORLDS), choices=WORLDS)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--log",
        action="store_true",
        help="decide by `bench.decide`, one training of each model; only prints",
    )
    parser.add_argument("--times", type=int, default=1, help="k times as many rows as otherwise")
    parser.add_argument(
        "--guarded", action="store_true", help="only runs with a current model, and its guard"
    )
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    file = options.keep / "decisions.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    recorded = {(line["tasks"], line["world"], line["number"]) for line in lines}
    worlds = [
        (tasks, kind, number)
        for number in range(options.worlds)
        for tasks in options.tasks
        for kind in options.kinds
    ]
    if options.guarded:
        worlds = [world for world in worlds if world[2] % 2 and world[1] != "values"]
    with ProcessPoolExecutor(options.workers) as pool, file.open("a") as out:
        running = [
            pool.submit(record_of, *world, options.log, options.times)
            for world in worlds
            if world not in recorded
        ]
        for finished, future in enumerate(as_completed(running)):
            out.write(line := json.dumps(rounded(future.result())) + "\n")
            lines.append(json.loads(line))
            out.flush()
            print(
                f"{finished + 1} of {len(running)}: {json.dumps(lines[-1])[:400]}",
                file=sys.stderr,
                flush=True,
            )
    print(table_of(lines))
    if options.log:
        return
    tables = {
        "decisions": table_of(lines, SHOWN),
        "holds": holds_table(lines),
        "guards": guard_table(lines),
    }
    for name, table in tables.items():
        print(table)
        write(options.write, name, table)


if __name__ == "__main__":
    main()
