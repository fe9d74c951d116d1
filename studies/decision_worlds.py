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
        of: "U", or the place of a task.
        parts: rankings that are compared, and with which: the mean of these differences is
            announced.
        importances: of outcomes in U, by part; none: all are equal.
        said: whether the answer says so, as against a table in an answer that says "keep" or
            "cannot tell".
    """

    of: str | int
    effect: Effect
    parts: tuple[tuple[Serve, Serve], ...]
    said: bool
    importances: tuple[tuple[float, ...], ...] = ()

    def truth(self, case: Case) -> float:
        """The true difference."""
        found = []
        for at, (ours, theirs) in enumerate(self.parts):
            new, old = case.truth(ours), case.truth(theirs)
            if isinstance(self.of, int):
                found.append(new[self.of] / old[self.of] - 1)
            elif case.values is not None:  # fractions of what today's ranking earns
                found.append(
                    float((new - old) @ case.values / (case.truth(case.today) @ case.values))
                )
            else:
                importances = np.array(self.importances[at]) if self.importances else None
                found.append(utility(new, importances) - utility(old, importances))
        mean = float(np.mean(found))
        return mean if isinstance(self.of, int) or case.values is not None else math.expm1(mean)


@dataclass(frozen=True)
class Decided:
    """What the product says of a run.

    Attributes:
        picked: by the policy, whatever the verdict is.
        advised: what the answer says to serve: today's where it says "keep" or "cannot tell".
        claims: the first one is on U, where it is known.
        holds: in which share of retrainings the pick is said to hold.
        others: what would be picked where the guard had to be kept with other confidences.
    """

    kind: str
    sentence: str
    picked: Serve
    advised: Serve
    claims: tuple[Claim, ...] = ()
    holds: float | None = None
    others: Mapping[float, Serve] = field(default_factory=dict)


class Selected:
    """A candidate's outcomes by expected labels on the rows that choose: validation and
    confirmation rows alike.
    """

    def __init__(
        self, own: Candidate, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows]
    ) -> None:
        equal = np.full(own.replicates, 1 / own.replicates)
        names = [f"{task}.recall@10%" for task in rows[CONFIRM].tasks]
        likely = expected(candidates, {split: rows[split] for split in (SEARCH, CONFIRM)}, names)
        assert likely is not None
        self._parts = [
            Ranked(
                [own.predictions(split, run).astype(float) for run in range(own.replicates)],
                of.labels.astype(float),
                of.rates,
                equal,
            )
            for split, of in likely.rows.items()
        ]

    def outcomes(self, fusion: Fusion) -> Floats:
        """(T,) means."""
        return np.asarray(np.mean([each.outcomes(fusion) for each in self._parts], axis=0))


def decided(case: Case, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows]) -> Decided:
    """What the product decides on a run: this function and the next two alone know its parts."""
    served, judge, aims = judged(case, candidates, rows)
    try:
        chosen = pick(judge.choices, [], judge.policy)
    except UserError as error:
        return Decided("nothing", str(error), case.today, case.today)
    again = judged(case, *turned(candidates, rows))[:2] if few(rows) else None

    contests = Contests(served, judge, aims, SEED, chosen.row, again).of_verdict()
    told = verdict_of(
        About(
            contests=contests,
            judge=judge,
            pick=chosen.row,
            against="today's",
            holds=chosen.stability.holds,
        )
    )
    others: dict[float, Serve] = {}
    for confidence in CONFIDENCES if case.guards else ():
        guard = judge.policy.guard.model_copy(update={"confidence": confidence})
        row = pick(judge.choices, [], judge.policy.model_copy(update={"guard": guard})).row
        others[confidence] = serve_of(served, row)
    return replace(
        said(case, served, judge, chosen, told, aims),
        holds=chosen.stability.holds,
        others=others,
    )


def serve_of(served: Served, row: int) -> Serve:
    """A row of a served front."""
    of = served.table.iloc[row]
    return str(of["point"]), Fusion.of(
        "power" if of["kind"] == "power" else "sum", list(of["weights"].values())
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
    aims = aims_of(policy, [each.name for each in case.setup.outcomes], rates, case.current)
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
        task: float(own) / rate
        for (task, rate), own in zip(rates.items(), case.values, strict=True)
    }
    return Policy(rule="value", values=worth, guard=Guard(max_loss_vs_current=np.inf))


def decided_on_a_log(
    case: Case, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows]
) -> Decided:
    """The same by `bench.decide`, from a table of predictions; each model is one training."""
    (name, fusion), tasks = case.today, case.setup.world.tasks
    parts = []
    for split, own in rows.items():
        columns: dict[str, Any] = {"part": split} | dict(zip(tasks, own.labels.T, strict=True))
        for each in candidates:
            columns |= {
                f"{each.id}.{task}": of
                for task, of in zip(tasks, each.predictions(split, 0).T, strict=True)
            }
        users = own.units if case.setup.world.users[0] >= 0 else np.arange(len(own.units))
        parts.append(pd.DataFrame(columns | {"user": users.astype(np.int64)}))
    rates = dict(zip(tasks, rows[CONFIRM].rates, strict=True))
    asked: dict[str, Any] = {}
    if case.current and fusion.kind == "power":
        asked["weights"] = " * ".join(
            f"{name}.{task}^{of:.17f}" for task, of in zip(tasks, fusion.weights, strict=True)
        )
    elif case.current:
        raw = zip(tasks, fusion.weights, rates.values(), strict=True)
        asked["weights"] = " + ".join(f"{of / rate:.17f} {name}.{task}" for task, of, rate in raw)
    found = decide(
        pd.concat(parts),
        labels=list(tasks),
        part="part",
        units="user",
        unseen=True,
        rates=rates,
        seed=SEED,
        models={each.id: [f"{each.id}.{task}" for task in tasks] for each in candidates},
        outcomes=[each.name for each in case.setup.outcomes],
        policy=policy_of(case, rates),
        today=name,
        recalibrate=False,
        **asked,
    ).decision
    serving, chosen = found.serving, found.pick
    if serving.served is None or chosen is None:
        return Decided("nothing", found.no_pick, case.today, case.today)
    return said(
        case,
        serving.served,
        Judge(found.policy, found.choices),
        chosen,
        found.verdict,
        serving.aims,
    )


def said(
    case: Case, served: Served, judge: Judge, chosen: Pick, told: Verdict, aims: Sequence[PolicyAim]
) -> Decided:
    """What a verdict claims."""
    made = Contests(served, judge, aims, SEED, chosen.row)
    contests = [made.of(aim) for aim in aims]

    picked, start, today = (
        serve_of(served, row) for row in (chosen.row, contests[0].start, served.current)
    )
    today = today if case.current else start
    advised = today if told.row is None or told.kind == "unknown" else serve_of(served, told.row)
    claims: list[Claim] = []
    if case.current:
        of = {"weights": ((start, today),), "model": ((picked, start),)}
        both = (picked if told.kind != "weights" else start, today)
        if told.both:
            claims.append(Claim("U", told.both.utility, (both,), told.kind in of))
            claims += [
                Claim(at, each, (both,), True)
                for at, each in enumerate(told.both.outcomes.values())
            ]
        parts = {"weights": told.weights, "model": told.model}
        claims += [
            Claim(f"U, {part}", each.utility, of[part], told.kind == part)
            for part, each in parts.items()
            if each
        ]
    elif told.both:
        point = chosen.point
        own = [each for each in contests if each.aim.title in told.anchors]
        parts = tuple(
            (serve_of(served, each.best[point]), serve_of(served, each.start)) for each in own
        )
        weights = tuple(aim.weights for aim in aims if aim.title in told.anchors)
        claims.append(Claim("U", told.anchors["on average"], parts, told.kind == "model", weights))
        claims += [
            Claim(at, each, ((picked, start),), True)
            for at, each in enumerate(told.both.outcomes.values())
        ]
    return Decided(told.kind, told.sentence, picked, advised, tuple(claims))


def record_of(
    tasks: int, of: str, number: int, log: bool = False, times: int = 1
) -> dict[str, Any]:
    """A world's line: what was drawn, decided and true.

    Args:
        times: as many rows as in the world of that number otherwise.
        log: whether to decide from predictions alone: no model then depends on a seed. Of `mixed`
            and `null` ones with a current model half have no other model.
    """
    start = time.process_time()
    case = drawn(tasks, of, number, times)
    if log:
        still = [replace(each, noise=0.0, tails=False, diverges=0.0) for each in case.setup.kinds]
        still = still[: 1 if case.current and of in ("mixed", "null") and number % 4 == 1 else None]
        case = replace(case, setup=replace(case.setup, kinds=still), _pools={}, _known={})
    made = time.process_time()
    candidates, rows = case.setup.run(0)
    found = (decided_on_a_log if log else decided)(case, candidates, rows)
    ended = time.process_time()
    best = case.best([found.picked, found.advised, *found.others.values()])
    serves = {"today": case.today, "picked": found.picked, "advised": found.advised, "best": best}
    claims = [
        {"of": each.of, "said": each.said, "truth": each.truth(case), **each.effect.to_json()}
        for each in found.claims
    ]
    # without a guard that reads noise
    free = number % 10 == 0 and (case.values is not None or not case.current)
    return {
        "tasks": tasks,
        "world": of,
        "number": number,
        **case.facts,
        "kind": found.kind,
        "sentence": found.sentence,
        **{name: each[0] for name, each in serves.items()},
        "u": {name: case.u(case.truth(each)) for name, each in serves.items()},
        "broken": case.breaks(found.advised),
        "claims": claims,
        "confidences": {
            at: [case.u(case.truth(each)), case.breaks(each)] for at, each in found.others.items()
        },
        "shortfall": shortfall(case, candidates, rows, found.picked) if free else None,
        "holds": found.holds,
        "held": held(case, found.picked) if found.holds is not None and tasks <= AGAIN else None,
        "seconds": [
            round(each, 2) for each in (made - start, ended - made, time.process_time() - ended)
        ],
    }


def rounded(value: Any) -> Any:
    """Numbers in six digits, as the file keeps them."""
    if isinstance(value, dict):
        return {str(name): rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def shortfall(
    case: Case, candidates: Sequence[Candidate], rows: Mapping[str, KeptRows], picked: Serve
) -> float:
    """How far the picked weights are behind the best of 50 starts, in U on the rows that chose
    them, without guard.
    """
    own = Selected(next(each for each in candidates if each.id == picked[0]), candidates, rows)

    def value(fusion: Fusion) -> float:
        return case.u(np.maximum(own.outcomes(fusion), LITTLE))

    rng = np.random.default_rng([case.setup.seed, 13])
    starts = starts_of(len(case.setup.world.tasks), 25, rng)
    return max(climbed(value, each, rng)[0] for each in starts) - value(picked[1])


COLUMNS = (
    "runs",
    "U to gain",
    "picked: behind by",
    "below 2%",
    "advised: behind by",
    "below 2%",
    "guard broken",
    "switch",
    "wrong gain",
    "wrong cost",
    "U held",
    "U announced",
    "less truth",
    "behind 50 starts",
)


def rate(right: int, of: int, nominal: float) -> str:
    """A count as a share, with a mark where 1% of runs at most have as many if the true share is
    `nominal`.
    """
    beyond = of > 0 and stats.binom.sf(right - 1, of, nominal) < 0.01
    return f"{right / of:.1%}{' (!)' if beyond else ''}" if of else "–"


def cells_of(lines: Sequence[dict[str, Any]]) -> list[str]:
    """The cells of some runs, in the order of `COLUMNS`."""
    many = len(lines)

    def spread(values: Sequence[float]) -> str:
        return (
            ", ".join(f"{each:.1%}" for each in np.quantile(values, [0.5, 0.9])) if values else "–"
        )

    def reached(values: Sequence[float]) -> str:
        return f"{np.mean([each < REACHED for each in values]):.0%}" if values else "–"

    gain, picked, advised = (
        [each["u"]["best"] - each["u"][name] for each in lines]
        for name in ("today", "picked", "advised")
    )
    said = [
        [
            (claim, Effect(claim["value"], claim["low"], claim["high"]))
            for claim in each["claims"]
            if claim["said"]
        ]
        for each in lines
    ]
    gained = sum(any(own.gained and claim["truth"] <= NONE for claim, own in each) for each in said)
    lost = sum(any(own.lost and claim["truth"] >= -NONE for claim, own in each) for each in said)
    of_u = [claim for each in lines for claim in each["claims"] if claim["of"] == "U"]
    moved = [claim for claim in of_u if claim["low"] < claim["high"]]
    missed = sum(not claim["low"] <= claim["truth"] <= claim["high"] for claim in moved)
    held = (
        f"{1 - missed / len(moved):.0%}{' (!)' * ('!' in rate(missed, len(moved), 0.1))}"
        if moved
        else "–"
    )
    switched = np.mean([each["kind"] in ("model", "weights") for each in lines])
    return [
        str(many),
        spread(gain),
        spread(picked),
        reached(picked),
        spread(advised),
        reached(advised),
        f"{np.mean([each['broken'] for each in lines]):.1%}",
        f"{switched:.0%}",
        rate(gained, many, 0.05),
        rate(lost, many, 0.05),
        held,
        f"{sum(each['value'] for each in of_u) / many:+.2%}",
        f"{sum(each['value'] - each['truth'] for each in of_u) / many:+.2%}",
        spread([each["shortfall"] for each in lines if each["shortfall"] is not None]),
    ]


def table_of(lines: Sequence[dict[str, Any]]) -> str:
    """By kind of world, with and without a current model; then by number of tasks, where events
    have no values.
    """
    groups = {
        f"{of}, {'current model' if current else 'no current model'}": [
            each for each in lines if (each["world"], each["current"]) == (of, current)
        ]
        for of in WORLDS
        for current in (True, False)
    }
    for tasks in TASKS:
        groups[f"{tasks} tasks, without `values`"] = [
            each for each in lines if each["tasks"] == tasks and each["world"] != "values"
        ]
    found = [f"| world | {' | '.join(COLUMNS)} |", "|---" * (1 + len(COLUMNS)) + "|"]
    found += [f"| {name} | {' | '.join(cells_of(own))} |" for name, own in groups.items() if own]
    return "\n".join(found)


def holds_table(lines: Sequence[dict[str, Any]]) -> str:
    """In fifths of what is said, how often picks held."""
    known = sorted((each["holds"], each["held"]) for each in lines if each["held"] is not None)
    found = ["| runs | said to hold in | held in | standard error |", "|---|---|---|---|"]
    for part in np.array_split(np.array(known, dtype=float).reshape(-1, 2), 5):
        told, right = part.mean(axis=0)
        found.append(
            f"| {len(part)} | {told:.0%} | {right:.0%} | "
            f"{(right * (1 - right) / len(part)) ** 0.5:.0%} |"
        )
    return "\n".join(found)


def guard_table(lines: Sequence[dict[str, Any]]) -> str:
    """By the guard's confidence, how far picks are behind the best within the true guard, and how
    many break it.
    """
    own = [each for each in lines if each["confidences"]]
    found = [
        f"| the guard's confidence, {len(own)} runs | behind by | below 2% | guard broken |",
        "|---|---|---|---|",
    ]
    for confidence in CONFIDENCES:
        u, broken = zip(*(each["confidences"][str(confidence)] for each in own), strict=True)
        behind = np.array([each["u"]["best"] for each in own]) - np.array(u)
        median, most = np.quantile(behind, [0.5, 0.9])
        found.append(
            f"| {confidence:g} | {median:.1%}, {most:.1%} | {np.mean(behind < REACHED):.0%} | "
            f"{np.mean(broken):.0%} |"
        )
    return "\n".join(found)


def main() -> None:
    """Simulates the runs that are missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--worlds", type=int, default=50, help="of each kind and number of tasks")
    parser.add_argument("--tasks", type=int, nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--kinds", nargs="*", default=list(WORLDS), choices=WORLDS)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--log", action="store_true", help="decide by `bench.decide`, one training of each model"
    )
    parser.add_argument("--times", type=int, default=1, help="k times as many rows as otherwise")
    parser.add_argument(
        "--guarded", action="store_true", help="only runs with a current model, and its guard"
    )
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    file = given.keep / "decisions.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    known = {(each["tasks"], each["world"], each["number"]) for each in lines}
    wanted = [
        (tasks, of, number)
        for number in range(given.worlds)
        for tasks in given.tasks
        for of in given.kinds
    ]
    if given.guarded:
        wanted = [each for each in wanted if each[2] % 2 and each[1] != "values"]
    with ProcessPoolExecutor(given.workers) as pool, file.open("a") as out:
        running = [
            pool.submit(record_of, *each, given.log, given.times)
            for each in wanted
            if each not in known
        ]
        for done, each in enumerate(as_completed(running)):
            out.write(line := json.dumps(rounded(each.result())) + "\n")
            lines.append(json.loads(line))
            out.flush()
            print(
                f"{done + 1} of {len(running)}: {json.dumps(lines[-1])[:400]}",
                file=sys.stderr,
                flush=True,
            )
    tables = {"logs" if given.log else "decisions": table_of(lines)}
    if not given.log:
        tables |= {"holds": holds_table(lines), "guards": guard_table(lines)}
    for name, table in tables.items():
        print(table)
        write(given.write, name, table)


if __name__ == "__main__":
    main()
