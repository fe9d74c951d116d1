"""Made-up runs that look like real ones: heads in conflict, failures, replicates, served fronts of
2 to 5 outcomes.
"""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from ledger_toys import made_cells, made_served

from bench.app.report.section import PageSection
from bench.core.objectives import Objective
from bench.core.records import Failure, Replicate, TrialRecord
from bench.core.rows import CONFIRM, TEST
from bench.deciding.aims import aims_of
from bench.deciding.choices import head_choices, served_choices
from bench.deciding.policy import Policy
from bench.deciding.verdict import Verdict, unserved
from bench.ledger.effect import Effect
from bench.ledger.heads import frontier
from bench.ledger.pareto import lattice, ranks

SHARING = {
    "single_task": 0.0,
    "shared_bottom": 0.5,
    "mmoe": 1.0,
    "ple": 1.3,
    "shared_embeddings": -0.2,
}
BALANCING = {
    "static": 0.3,
    "uncertainty": 0.2,
    "dwa": 0.0,
    "gls": -0.4,
    "rlw": -0.6,
    "pcgrad": 0.2,
    "cagrad": 0.4,
}
BALANCING |= {"mgda": -1.2, "upgrad": 0.5}
FAILURES = (
    Failure("diverged", "loss of task 'income' is NaN after 40,960 samples"),
    Failure("infrastructure", "worker 2 was killed by the system, most likely for lack of memory"),
)
TASKS = ("income", "never_married", "education", "age", "hours")


def objectives_of(count=2):
    return tuple(Objective(f"{task}.auc", "maximize") for task in TASKS[:count])


def records_of(trials=60, seed=0, confirmed=9, objectives=2):
    """Trials whose quality depends on their kinds; the best `confirmed` of them are trained again
    on three seeds.
    """
    rng = np.random.default_rng(seed)
    records = [_record(number, rng, objectives) for number in range(trials)]
    done = [record for record in records if record.state == "completed"]
    sums = {record.number: sum(record.metrics.values()) for record in done}
    score = {number: total for number, total in sums.items() if math.isfinite(total)}
    single = [number for number in score if records[number].sharing == "single_task"]
    chosen = sorted(score, key=lambda number: -score[number])[: max(confirmed - 1, 0)]
    chosen += sorted(single, key=lambda number: -score[number])[: min(confirmed, 1)]
    return [_confirmed(record, rng) if record.number in chosen else record for record in records]


def _record(number, rng, objectives):
    sharing = list(SHARING)[
        number if number < len(SHARING) else int(rng.choice(5, p=[0.12, 0.18, 0.3, 0.3, 0.1]))
    ]
    balancing = str(rng.choice(list(BALANCING)))
    lean, lr = float(rng.uniform(-1, 1)), float(10 ** rng.uniform(-3.6, -2.2))
    params: dict[str, Any] = {"sharing.kind": sharing, "balancing.kind": balancing, "optim.lr": lr}
    params |= {
        "embedding.width": int(rng.choice([8, 16, 32])),
        "tower.dropout": float(rng.uniform(0, 0.4)),
    }
    if sharing in ("mmoe", "ple"):
        params |= {f"sharing.{sharing}.experts": int(rng.integers(2, 9))}
    times = {"started": 1000.0 + 9 * number, "seconds": float(rng.gamma(16, 0.55))}
    whole = params | {"funnel.kind": "independent"}
    record = TrialRecord(number, "completed", params, whole, sharing, baseline=number == 0, **times)
    if number % 17 == 11:
        return replace(record, state="failed", failure=FAILURES[(number // 17) % 2])
    if number % 23 == 19:
        return replace(record, state="pruned")
    skill = (
        SHARING[sharing]
        + BALANCING[balancing]
        - 1.4 * (math.log10(lr) + 2.9) ** 2 * 4
        + rng.normal(0, 0.35)
    )
    pull = lean * (0.2 if sharing == "single_task" else 1.0)
    values = {
        "income.auc": 0.9445 + 0.0007 * (skill + 1.1 * pull),
        "never_married.auc": 0.9934 + 0.00024 * (skill - 1.3 * pull - 0.3 * pull**2),
        "education.auc": 0.842 + 0.002 * (skill - 0.5 * pull + rng.normal(0, 0.4)),
        "age.auc": 0.78 + 0.001 * (skill + 0.9 * pull + rng.normal(0, 0.4)),
        "hours.auc": 0.71 + 0.001 * (skill - 0.8 * pull + rng.normal(0, 0.4)),
    }
    if number % 29 == 28:
        values["income.auc"] = math.nan
    metrics = {f"valid/{name}": values[name] for name in list(values)[:objectives]}
    return replace(record, metrics=metrics, speed={"samples_trained": 1e5})


def _confirmed(record, rng):
    runs = []
    for i in (1, 2, 3):
        noise = rng.normal(0, [0.0003, 0.00008, 0.0006, 0.0004, 0.0004])
        metrics = {}
        for (key, value), shift in zip(record.metrics.items(), noise, strict=False):
            metrics[key] = value - abs(shift) / 2 + shift
            metrics[key.replace("valid/", "confirm/")] = value - 0.0001 - abs(shift) / 2 + shift
            metrics[key.replace("valid/", "test/")] = value - 0.0004 + 1.2 * shift
        runs.append(Replicate(i, 100 * record.number + i, metrics))
    if record.number % 10 == 3:
        runs[-1] = Replicate(3, 7, {}, Failure("infrastructure", "the machine ran out of disk"))
    return replace(record, replicates=tuple(runs))


OUTCOMES = (
    "click.recall@10%",
    "like.recall@10%",
    "follow.recall@10%",
    "watch.value@10%",
    "share.ndcg@5",
)
RANGES = ((0.117, 0.170), (0.201, 0.608), (0.15, 0.42), (0.22, 0.31), (0.31, 0.52))
"""Of each outcome, from where its task has no weight to where it has all."""
BASELINES = {
    "single_task": "single-task models",
    "equal_weights": "equal weights",
    "trees": "boosted trees",
}


def served_of(records, outcomes=2, draws=300, today=True, logged=False):
    """Confirmed trials and baselines under weights that lie densely where a rare task bends the
    front.

    Args:
        logged: whether what is served is a score of the log, and no model of the run.
    """
    rng = np.random.default_rng(5)
    objectives = tuple(Objective(name, "maximize") for name in OUTCOMES[:outcomes])
    tasks = [objective.name.split(".")[0] for objective in objectives]
    grid = lattice(outcomes, {2: 16, 3: 5}.get(outcomes, 3)).astype(float) ** 1.5
    grid /= grid.sum(axis=1, keepdims=True)
    low, high = np.array(RANGES[:outcomes]).T
    points = [
        (str(record.number), f"trial {record.number}", record.architecture, "trial")
        for record in records
        if record.replicates
    ]
    points += [
        (key, name, "single_task" if key == "single_task" else key, "baseline")
        for key, name in BASELINES.items()
    ]
    rows, values, deviations = [], [], []
    for point, name, architecture, role in points:
        skill = rng.normal({"single_task": -0.01, "trees": -0.03}.get(point, 0), 0.008, outcomes)
        seeds = 0.006 * rng.normal(size=(draws, outcomes))
        for weights in grid if role == "trial" else grid[:: max(len(grid) // 6, 1)]:
            gain = weights ** np.linspace(0.6, 0.35, outcomes)
            values.append((low + (high - low) * gain) * (1 + skill))
            deviations.append(seeds + 0.003 * rng.normal(size=(draws, outcomes)))
            rows.append(
                (
                    point,
                    name,
                    architecture,
                    role,
                    "power",
                    dict(zip(tasks, weights.tolist(), strict=True)),
                )
            )
    equal = low + (high - low) * (0.42 if outcomes == 2 else 0.25 if outcomes == 3 else 0.1)
    score = ("score", "today's score, column 'old'", "logged score", "current", None, {})
    role, even = "current" if today else "baseline", dict.fromkeys(tasks, 1 / outcomes)
    rows.append(
        score
        if logged
        else ("single_task", "single-task models", "single_task", role, "power", even)
    )
    values.append(equal)
    deviations.append(0.006 * rng.normal(size=(draws, outcomes)))
    means, common = np.array(values), 1 + 0.02 * rng.normal(size=(draws, 1, outcomes))
    drawn = (means * (1 + np.array(deviations).transpose(1, 0, 2)) * common).astype(np.float32)
    on_front = ranks(means, objectives) == 0
    keep = np.flatnonzero(on_front | [row[3] != "trial" for row in rows])
    table = pd.DataFrame(
        [rows[place] for place in keep],
        columns=["point", "name", "architecture", "role", "kind", "weights"],
    )
    table["on_front"] = on_front[keep]
    table["p_nondominated"] = np.nan
    current, shape = len(keep) - 1, (len(keep), outcomes)
    shifts = {CONFIRM: np.float32(1.0), TEST: np.float32(0.995)}
    by_split = {
        split: means[keep] * shift * (1 + 0.002 * rng.normal(size=shape))
        for split, shift in shifts.items()
    }
    slices = {}
    for slice_name in (
        "user=known",
        "user=new",
        "scenario=home",
        "scenario=search",
        "scenario=rare",
    ):
        for split in shifts:
            values = rng.uniform(0.1, 0.5, shape)
            seen = values * (1 + 0.05 * rng.normal(size=(50, *shape)))
            slices[split, slice_name] = made_cells(values, seen, current)
            if slice_name == "scenario=rare":  # too few positives
                slices[split, slice_name][:] = np.nan
    there = {split: drawn[:, keep] * shift for split, shift in shifts.items()}
    return made_served(objectives, table, by_split, there, current, slices, today)


def leads_of(served):
    """By the policy with a current point, else at equal importance; and with each outcome three
    times as important.
    """
    rng = np.random.default_rng(7)
    first = "the policy" if served.today else "equal importance"
    titles = [first, *(f"3 times {name}" for name in served.names)]
    if len(served.names) == 2:  # in their order along the trade, with a long name
        titles = [f"{titles[2]} of members", *titles[:2]]
    points = [
        point
        for point in served.table["point"].unique()
        if point != served.table["point"].iloc[served.current]
    ]
    gains = {
        title: dict(zip(points, rng.normal(0, 0.02, len(points)).tolist(), strict=True))
        for title in titles
    }
    return {
        title: {
            point: Effect(gain, gain - 0.01, gain + 0.01) for point, gain in gains_of_points.items()
        }
        for title, gains_of_points in gains.items()
    }


def choices_of(served):
    rng = np.random.default_rng(6)
    choices = served_choices(served, (), aims_of(Policy(), served.names, {}, today=False)[0])
    table = choices.table.copy()
    sizes = {point: float(rng.integers(90, 900) * 1000) for point in table["point"].unique()}
    table["cost/parameters"] = table["size"] = table["point"].map(sizes)
    table["cost/latency_ms"] = table["cost/parameters"] / 2e5 + 1.2
    return replace(choices, table=table)


RATES = {"click": 0.2, "like": 0.05, "follow": 0.02, "watch": 0.8, "share": 0.01}
POLICY = 'rule = "knee"\n[guard]\nmax_loss_vs_current = 0.05\n'
MORE = (
    "Nobody said what is served today (--current), so this compares models alone, each at its "
    "best weights."
)
SAID = Verdict(
    "model",
    ("Switch to MMoE, 4 experts: it gains +3.1% (+1.9 to +4.3) by the policy's rule.", MORE),
)


def section_of(records, objectives, served=0, today=True, logged=False, **extra):
    """A section; `served` is the number of served outcomes, 0 for a run with heads alone; `today`:
    of a current point.

    `extra` are attributes of the section, or of its decision.
    """
    attributes: dict[str, Any] = {
        "title": "Census-Income (KDD)",
        "dataset": "census-income",
        "run": "quick-7",
    }
    attributes["about"] = "census-income, 99,762 rows of test, suite quick"
    attributes["provenance"] = {"seed": "7", "command": "seesaw run quick --seed 7"}
    attributes["commands"] = {"Train it again": "seesaw train census-income --config picked.toml"}
    heads, front, pick = frontier(records, objectives), None, None
    decision = SimpleNamespace(  # what a page reads of a decision
        frontier=heads,
        serving=SimpleNamespace(served=None, rates={}),
        choices=head_choices(heads, heads.points),
        policy=SimpleNamespace(toml="", values={}, guard=Policy().guard),
        verdict=unserved("nothing was confirmed"),
        pick=None,
        no_pick="",
        formula="",
        formulas=[],
        leads={},
        advised=None,
        holds=None,
        allowed_losses={},
    )
    if served:
        front = served_of(records, served, today=today, logged=logged)
        choices = choices_of(front)
        score = sum(np.log(choices.table[name]) for name in choices.names)
        gains = [
            choices.table[name] / choices.table[name].iloc[front.current] for name in choices.names
        ]
        score = score.where(np.min(gains, axis=0) >= (0.9 if today else 0.0))
        order = score.sort_values(ascending=False).dropna().index
        row = int(order[0])
        pick = SimpleNamespace(  # what a page reads of a pick
            row=row,
            point=str(choices.table["point"].iloc[row]),
            sentence="It has the largest product of all outcomes.",
            stability=SimpleNamespace(holds=0.83),
            runners_up=[SimpleNamespace(row=int(row)) for row in order[1:20]],
        )
        terms = (
            f"{2.5 * number + 1:g} p_{name.split('.')[0]}"
            for number, name in enumerate(front.names)
        )
        vars(decision).update(
            serving=SimpleNamespace(served=front, rates=RATES),
            choices=choices,
            pick=pick,
            verdict=SAID,
            policy=SimpleNamespace(toml=POLICY, values={}, guard=SimpleNamespace(confidence=0.0)),
            leads=leads_of(front),
            formula=" + ".join(terms),
        )
        attributes["current"] = (
            "All are compared with single-task models, as nobody said what is served (--current)."
        )
        attributes["remarks"] = [
            (
                "This run cannot say whether any is better: 1 static weight; `seesaw run "
                "quick-7 --confirm static=7` adds them."
            )
        ]
    of_decision = {name: extra.pop(name) for name in [*extra] if hasattr(decision, name)}
    vars(decision).update(of_decision)
    return PageSection(decision=decision, records=records, **(attributes | extra))


def with_decision(section, **changes):
    """A section with another decision: `served` is of its serving."""
    attributes = vars(section.decision) | changes
    if "served" in attributes:
        attributes["serving"] = SimpleNamespace(
            served=attributes.pop("served"), rates=section.decision.serving.rates
        )
    return replace(section, decision=SimpleNamespace(**attributes))
