"""A made-up run that looks like a real one: two objectives in conflict, failures, replicates of the best trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.frontier.frontier import frontier
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.objectives import Objective
from bench.records import Failure, Replicate, TrialRecord
from bench.report.build import build_view
from bench.report.view import PageView

SHARING = {"single_task": 0.0, "shared_bottom": 0.5, "mmoe": 1.0, "ple": 1.3, "shared_embeddings": -0.2}
BALANCING = {"static": 0.3, "uncertainty": 0.2, "dwa": 0.0, "gls": -0.4, "rlw": -0.6, "pcgrad": 0.2, "cagrad": 0.4}
BALANCING |= {"mgda": -1.2, "upgrad": 0.5}
FAILURES = (
    Failure("diverged", "loss of task 'income' is NaN after 40,960 samples"),
    Failure("infrastructure", "worker 2 was killed by the system, most likely for lack of memory"),
    Failure("configuration", "balancing.kind = 'gls' does not fit this data: it needs losses above zero"),
)
TASKS = ("income", "never_married", "education")


def objectives_of(count: int = 2) -> tuple[Objective, ...]:
    return tuple(Objective(f"{task}.auc", "maximize") for task in TASKS[:count])


def records_of(
    trials: int = 60, seed: int = 0, confirmed: int = 9, objectives: int = 2, failures: bool = True
) -> list[TrialRecord]:
    """Trials whose quality depends on their kinds; the best `confirmed` of them are trained again on three seeds."""
    rng = np.random.default_rng(seed)
    records = [_record(number, rng, objectives, failures) for number in range(trials)]
    done = [record for record in records if record.state == "completed"]
    score = {
        record.number: sum(record.metrics.values()) for record in done if math.isfinite(sum(record.metrics.values()))
    }
    single = [number for number in score if records[number].sharing == "single_task"]
    chosen = sorted(score, key=lambda number: -score[number])[: max(confirmed - 1, 0)]
    chosen += sorted(single, key=lambda number: -score[number])[: min(confirmed, 1)]
    return [_confirmed(record, rng) if record.number in chosen else record for record in records]


def _record(number: int, rng: np.random.Generator, objectives: int, failures: bool) -> TrialRecord:
    sharing = list(SHARING)[number if number < len(SHARING) else int(rng.choice(5, p=[0.12, 0.18, 0.3, 0.3, 0.1]))]
    balancing = str(rng.choice(list(BALANCING)))
    lean, lr = float(rng.uniform(-1, 1)), float(10 ** rng.uniform(-3.6, -2.2))
    params: dict[str, Any] = {"sharing.kind": sharing, "balancing.kind": balancing, "optim.lr": lr}
    params |= {"embedding.width": int(rng.choice([8, 16, 32])), "tower.dropout": float(rng.uniform(0, 0.4))}
    if sharing in ("mmoe", "ple"):
        params |= {f"sharing.{sharing}.experts": int(rng.integers(2, 9)), f"sharing.{sharing}.width": 64}
    if balancing == "static":
        params["balancing.static.income"] = round((1 + lean) / 2, 3)
    record = TrialRecord(
        number,
        "completed",
        params,
        params | {"funnel.kind": "independent"},
        sharing,
        baseline=number == 0,
        started=1000.0 + 9 * number,
        seconds=float(rng.gamma(16, 0.55)),
    )
    if failures and number % 17 == 11:
        return replace(record, state="failed", failure=FAILURES[(number // 17) % 3])
    if failures and number % 23 == 19:
        return replace(record, state="pruned")
    skill = SHARING[sharing] + BALANCING[balancing] - 1.4 * (math.log10(lr) + 2.9) ** 2 * 4 + rng.normal(0, 0.35)
    pull = lean * (0.2 if sharing == "single_task" else 1.0)
    values = {
        "income.auc": 0.9445 + 0.0007 * (skill + 1.1 * pull),
        "never_married.auc": 0.9934 + 0.00024 * (skill - 1.3 * pull - 0.3 * pull**2),
        "education.auc": 0.842 + 0.002 * (skill - 0.5 * pull + rng.normal(0, 0.4)),
    }
    if failures and number % 29 == 28:
        values["income.auc"] = math.nan
    metrics = {f"valid/{name}": values[name] for name in list(values)[:objectives]}
    return replace(record, metrics=metrics, diagnosis=_diagnosis(pull))


def _diagnosis(pull: float) -> dict[str, Any]:
    """The more a trial pulls to one side, the more its first two tasks conflict."""
    angle = {"cosine": 0.2 - 0.4 * abs(pull), "below_zero": 0.3 + 0.4 * abs(pull), "probes": 20}
    tasks = {task: {"pull": {"representation": 1.0, "all shared": 1.0}} for task in TASKS[:2]}
    pairs = [{"tasks": list(TASKS[:2]), "blocks": {"representation": angle, "experts": angle, "all shared": angle}}]
    return {"probes": 20, "tasks": tasks, "pairs": pairs, "course": {}}


def _confirmed(record: TrialRecord, rng: np.random.Generator) -> TrialRecord:
    runs = []
    for i in (1, 2, 3):
        noise = rng.normal(0, [0.0003, 0.00008, 0.0006])
        metrics = {}
        for (key, value), shift in zip(record.metrics.items(), noise, strict=False):
            metrics[key] = value - abs(shift) / 2 + shift
            metrics[key.replace("valid/", "test/")] = value - 0.0004 + 1.2 * shift
        runs.append(Replicate(i, 100 * record.number + i, metrics))
    if record.number % 10 == 3:
        runs[-1] = Replicate(3, 7, {}, Failure("infrastructure", "the machine ran out of disk"))
    return replace(record, replicates=tuple(runs))


def view_of(records: Sequence[TrialRecord], objectives: Sequence[Objective], **more: Any) -> PageView:
    front = frontier(records, objectives)
    chosen = pick(front, records, objectives, Policy()) if len(front.front) else None
    made = {
        "dataset": "census-income, 299,285 rows",
        "fingerprint": "b3:9f2c61d0a7e4",
        "seed": "7",
        "search space": "quick (sha256 41ad90c2)",
        "versions": "seesaw 0.1.0, torch 2.13.0, optuna 5.0.1",
        "command": "seesaw run quick --seed 7",
    }
    given: dict[str, Any] = {"title": "Census-Income (KDD)", "dataset": "census-income", "pick": chosen, "made": made}
    given["train"] = "seesaw train census-income"
    given["retrain"] = "seesaw train census-income --config .seesaw/runs/quick-7/census-income/picked.toml"
    return build_view(records, front, **(given | more))


@pytest.fixture(scope="session")
def make_records() -> Callable[..., list[TrialRecord]]:
    return records_of


@pytest.fixture(scope="session")
def make_objectives() -> Callable[..., tuple[Objective, ...]]:
    return objectives_of


@pytest.fixture(scope="session")
def make_view() -> Callable[..., PageView]:
    return view_of


@pytest.fixture(scope="session")
def view() -> PageView:
    """Sixty trials, nine of them confirmed."""
    return view_of(records_of(), objectives_of())
