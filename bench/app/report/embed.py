"""The data of a section's scripts, as plain JSON values."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, cast

import numpy as np
import pandas as pd

from bench.app.report.markup import looks_of
from bench.app.report.section import (
    Axis,
    PageSection,
    axes_of,
    course,
    influences,
    scenario_fronts,
    splits_of,
    spread_of,
)
from bench.core.arrays import Floats, Ints
from bench.core.objectives import adds_up, of_items
from bench.core.plain import jsonable
from bench.core.rows import SHORT, TEST
from bench.deciding.choices import THOUSANDTHS, Choices
from bench.deciding.words.verdict import named, reference, titles_of
from bench.ledger.effect import Effect
from bench.ledger.heads import LIMITS
from bench.ledger.ledger import ALL, GAIN, SD, Ledger
from bench.ledger.served.served import Served

FACTS = (
    "point",
    "name",
    "architecture",
    "balancing",
    "role",
    "kind",
    "weights",
    "on_front",
    "p_nondominated",
    "replicates",
    "samples",
    "params",
    "size",
    "cost/parameters",
    "cost/latency_ms",
)
MOST_DRAWS = 150
"""Draws of either kind that a page carries."""
MOST_DRAWN = 45_000
"""Numbers in these draws: of more choices a page carries the best of each point."""


def section_data(section: PageSection) -> dict[str, Any]:
    """Everything: fronts, what can be picked, and the search."""
    decision, verdict = section.decision, section.decision.verdict
    titles = titles_of(decision.frontier.points)
    planes = {}
    splits = dict(SHORT)
    architectures = ["current"]
    for front in section.fronts:
        plane = _plane(front, decision.formulas, titles)
        planes[plane["kind"]] = plane
        splits |= {rows: rows for rows in plane["fronts"]}
        architectures += front.table["architecture"].tolist()
    picked = holds = None
    if decision.pick is not None:
        picked = decision.choices.of("point", _row_of_answer(section))
    if decision.holds is not None:
        # in whole per cent as the verdict has it: Python and JavaScript round halves differently
        holds = round(100 * decision.holds) / 100
    important = influences(section.records, decision.frontier)
    return {
        "title": section.title,
        "dataset": section.dataset,
        "run": section.run,
        "policy": decision.policy.toml,
        "asked": section.asked,
        "holds": holds,
        "answer": verdict.kind,
        "overall": verdict.overall,
        "limited": bool(verdict.limits),
        "picked": picked,
        "refused": [model.point for model in verdict.models if model.refused],
        "looks": looks_of(architectures),
        "splits": splits,
        "planes": planes,
        "expected": _expected(section),
        "decision": _sliders(section, titles) if section.decides else None,
        "leads": [[title, _ends_of(leads)] for title, leads in decision.leads.items()],
        "history": course(decision.frontier, section.records),
        "influences": list(map(astuple, important)),
    }


def _row_of_answer(section: PageSection) -> int:
    """The row of the choices that a page calls the answer: what is advised, of heads the pick."""
    decision = section.decision
    assert decision.pick is not None
    return decision.pick.row if decision.advised is None else decision.advised


def _expected(section: PageSection) -> dict[str, Any] | None:
    """What the verdict expects of its row: `gains` has `[value, low, high]` of each outcome,
    `segments` by slice.
    """
    verdict = section.decision.verdict
    if not verdict.changes:
        return None
    segments = {}
    for slice, changes in verdict.slices.items():
        segments[slice] = list(map(_ends, changes.values()))
    gains = list(map(_ends, verdict.changes.values()))
    return {"row": verdict.about, "gains": gains, "segments": segments or None}


def _ends(gain: Effect) -> list[float]:
    return [plain(100 * end) for end in (gain.value, gain.low, gain.high)]


def _ends_of(gains: Mapping[str, Effect]) -> dict[str, list[float]]:
    return {point: _ends(gain) for point, gain in gains.items()}


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "name": axis.objective.name,
        "label": axis.label,
        "sign": axis.objective.sign,
        "scale": axis.scale,
        "unit": "%" if axis.relative else "",
    }


def _plane(ledger: Ledger, formulas: Sequence[str], titles: Mapping[str, str]) -> dict[str, Any]:
    """`at[split][row]` is `[value, low, high, gain, its low, its high]` of each axis, gains in the
    unit shown; `spread[split][row]` the covariance of gains; `segments.rows[row][slice]` `[gain,
    low, high]` of each axis."""
    splits = splits_of(ledger)
    cells = {split: plain(_cells(ledger, split)) for split in splits}
    fronts = {}
    for scenario, front in scenario_fronts(ledger).items():
        rows = f"{SHORT[TEST]}, {scenario}"
        cells[rows] = plain(_cells(ledger, TEST, scenario))
        fronts[rows] = front.tolist()
    return {
        "kind": "served" if ledger.served else "heads",
        "axes": [_axis(axis) for axis in axes_of(ledger)],
        "rows": _rows(ledger.table, formulas if ledger.served else (), titles),
        "against": "current" if _compares_with_current(ledger) else reference(ledger),
        "current": ledger.current,
        "at": cells,
        "fronts": fronts,
        "segments": _segments(ledger, splits[0]),
        "spread": plain(spread_of(ledger)),
    }


def _cells(ledger: Ledger, split: str, slice: str = ALL) -> Floats:
    """(rows, axes, 6), gains in the unit shown."""
    cells = ledger.cells[split, slice][..., :SD].copy()
    cells[..., GAIN:] *= np.array([axis.scale for axis in axes_of(ledger)])[:, None]
    return cells


def _compares_with_current(ledger: Ledger) -> bool:
    if ledger.current is None:
        return False
    if isinstance(ledger, Served):
        return ledger.today
    return bool(ledger.table["role"].iloc[ledger.current] == "current")


def _segments(ledger: Ledger, split: str) -> dict[str, Any] | None:
    slices = ledger.slices(split)
    if not slices:
        return None
    gains = np.stack([_cells(ledger, split, slice)[..., GAIN:] for slice in slices], axis=1)
    return {"names": slices, "rows": plain(dict(enumerate(gains)))}


def _rows(
    table: pd.DataFrame, formulas: Sequence[str], titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    documents: list[dict[Any, Any]] = table.filter(FACTS).to_dict("records")
    for document, (row, facts) in zip(documents, table.iterrows(), strict=True):
        document["title"] = named(facts, titles)
        document["formula"] = formulas[cast(int, row)] if formulas else ""
    return list(map(plain, documents))


def _sliders(section: PageSection, titles: Mapping[str, str]) -> dict[str, Any]:
    """What the sliders need; `row` of a choice is its place in the first plane.

    `draws` are the posterior's, `retrained` what a retraining may measure: float32 in base64, (D,
    R, M). `rates` are mean labels by axis where outcomes add up, so that an event can have a worth,
    and `worth` the policy's.
    """
    decision = section.decision
    choices, pick, names = decision.choices, decision.pick, decision.choices.names
    assert choices.current is not None
    draws = _spread_out(len(choices.drawn), MOST_DRAWS)
    needed = [choices.current]
    if pick:
        needed += [_row_of_answer(section), *(runner_up.row for runner_up in pick.runners_up)]
    limit = MOST_DRAWN // (max(len(draws), 1) * len(names))
    rows = _best_rows(choices, needed, max(limit, len(needed)))

    table = choices.table.iloc[rows]
    tasks = [name.partition(".")[0] for name in names]
    policy = decision.policy
    losses = decision.allowed_losses if pick else {}
    current, *answer_and_next = np.searchsorted(rows, needed).tolist()
    document: dict[str, Any] = {
        "axes": [_axis(axis) for axis in axes_of(section.fronts[0])],
        "rows": _rows(table, decision.formulas if choices.served else (), titles),
        "rates": None,
    }
    if _adds_up(section):
        document["rates"] = [decision.serving.rates.get(task, 0.0) for task in tasks]
    if any(map(of_items, names)):
        document["items"] = list(map(of_items, names))
    document["worth"] = None
    if policy.values:
        document["worth"] = [policy.values.get(task, 0) for task in tasks]
    return document | {
        "row": rows.tolist() if choices.served else _rows_of_heads(section, table),
        "values": plain(table[list(names)].to_numpy(dtype=float)),
        "confidence": policy.guard.confidence if len(choices.drawn) else 0.0,
        "loss": [_allowed(losses.get(name), choices, name) for name in names],
        "today": choices.today or not choices.served,
        "costs": _costs(choices, table),
        "draws": _packed(choices.drawn, draws, rows, names),
        "retrained": _packed(choices.retrained, draws, rows, names),
        "count": len(draws),
        "current": current,
        "pick": answer_and_next[0] if pick else None,
        "runnersUp": answer_and_next[1:],
    }


def _spread_out(total: int, limit: int) -> Ints:
    places = np.linspace(0, total - 1, min(total, limit))
    return np.unique(places.astype(int))


def _best_rows(choices: Choices, needed: Sequence[int], limit: int) -> Ints:
    """Some rows, ascending: those needed, then of each point the best, its second best, and so on.

    Rows that a random order beats in an outcome are left out, where what is served is unknown.
    """
    names = choices.names
    values = choices.values(names)
    by_chance = [choices.chance.get(name, -np.inf) for name in names]
    hidden = (values < by_chance).any(axis=1) & (not choices.today)
    mean_gains = choices.gains(names, values).mean(axis=1)
    worth = pd.Series(np.where(hidden, -np.inf, mean_gains))
    rank_in_point = worth.groupby(choices.table["point"]).rank(ascending=False)
    order = (-rank_in_point).where(worth > -np.inf, -np.inf)
    order.iloc[list(needed)] = np.inf
    order = order[order > -np.inf].sort_values(ascending=False, kind="stable")
    return np.sort(order.index.to_numpy()[:limit])


def _rows_of_heads(section: PageSection, table: pd.DataFrame) -> list[int]:
    points = pd.Index(section.decision.frontier.table["point"])
    return list(map(points.get_loc, table["point"]))


def _costs(choices: Choices, table: pd.DataFrame) -> dict[str, Any]:
    costs = {}
    for name in LIMITS:
        if name in table and choices.table[name].nunique() > 1 and name not in choices.names:
            costs[name] = plain(table[name].to_numpy(dtype=float))
    return costs


def _packed(values: Floats, draws: Ints, rows: Ints, names: Sequence[str]) -> str:
    some = np.empty((0, len(rows), len(names)))
    if len(values):
        some = values[draws][:, rows]
    return base64.b64encode(np.ascontiguousarray(some, dtype="<f4").tobytes()).decode()


def _allowed(loss: float | None, choices: Choices, name: str) -> float | None:
    """What the limits in force allow to be lost, in the unit of the sliders; None where nothing
    limits it.
    """
    if loss is None or not choices.in_thousandths(name):
        return loss
    return loss * abs(float(choices.of(name, choices.current or 0))) / THOUSANDTHS


def _adds_up(section: PageSection) -> bool:
    """Whether what happens in the first places adds up over events of all tasks' outcomes."""
    rates = section.decision.serving.rates
    for name in section.decision.choices.names:
        task, _, metric = name.partition(".")
        if not of_items(name) and not (rates.get(task, 0.0) > 0 and adds_up(metric)):
            return False
    return True


def plain(value: Any) -> Any:
    """Numbers to six digits, None for what is not finite; arrays as lists."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [plain(content) for content in value]
    value = jsonable(value)
    if value is pd.NA:
        return None
    return float(f"{value:.6g}") if isinstance(value, float) else value
