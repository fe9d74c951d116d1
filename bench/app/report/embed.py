"""The data of a section's scripts, as plain JSON values."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.app.report.effort import course, influences
from bench.app.report.markup import looks_of
from bench.app.report.section import (
    Axis,
    PageSection,
    axes_of,
    scenario_fronts,
    splits_of,
    spread_of,
)
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
    *(
        "point",
        "name",
        "architecture",
        "balancing",
        "role",
        "kind",
        "weights",
        "on_front",
        "p_nondominated",
    ),
    *("replicates", "samples", "params", "size", "cost/parameters", "cost/latency_ms"),
)


MOST_DRAWS, MOST_DRAWN = 150, 45_000
"""Draws of either kind that a page carries, and numbers in them: of more choices it takes the best
of each point.
"""


def section_data(section: PageSection) -> dict[str, Any]:
    """Everything: fronts, what can be picked, and the search."""
    decision, verdict = section.decision, section.decision.verdict
    every = pd.concat([front.table["architecture"] for front in section.fronts])
    titles = titles_of(decision.frontier.points)
    planes = {
        "served" if front.served else "heads": _plane(front, decision.formulas, titles)
        for front in section.fronts
    }
    return {
        "title": section.title,
        "dataset": section.dataset,
        "run": section.run,
        "policy": decision.policy.toml,
        "asked": section.asked,
        # in whole per cent as the verdict has it: Python and JavaScript round halves differently
        "holds": None if decision.holds is None else round(100 * decision.holds) / 100,
        "answer": verdict.kind,
        "overall": verdict.overall,
        "limited": bool(verdict.limits),
        "picked": None if decision.pick is None else decision.choices.of("point", _shown(section)),
        "refused": [model.point for model in verdict.models if model.refused],
        "looks": {kind: list(look) for kind, look in looks_of([*every, "current"]).items()},
        "splits": SHORT | {each: each for plane in planes.values() for each in plane["fronts"]},
        "planes": planes,
        "expected": _expected(section),
        "decision": _sliders(section, titles) if section.decides else None,
        "leads": [
            [title, {point: _ends(each) for point, each in of.items()}]
            for title, of in decision.leads.items()
        ],
        "history": course(decision.frontier, section.records),
        "influences": [
            list(astuple(each)) for each in influences(section.records, decision.frontier)
        ],
    }


def _expected(section: PageSection) -> dict[str, Any] | None:
    """What the verdict expects of its row: `gains` has `[value, low, high]` of each outcome,
    `segments` by slice.
    """
    verdict = section.decision.verdict
    if not verdict.changes:
        return None
    segments = None
    if verdict.slices:
        segments = {
            slice: [_ends(gain) for gain in changes.values()]
            for slice, changes in verdict.slices.items()
        }
    gains = [_ends(gain) for gain in verdict.changes.values()]
    return {"row": verdict.about, "gains": gains, "segments": segments}


def _rows_of(scenario: str) -> str:
    """What a page calls the rows of a scenario that has a front."""
    return f"{SHORT[TEST]}, {scenario}"


def _axis(axis: Axis) -> dict[str, Any]:
    of, unit = axis.objective, "%" if axis.relative else ""
    return {
        "name": of.name,
        "label": axis.label,
        "sign": of.sign,
        "scale": axis.scale,
        "unit": unit,
    }


def _ends(gain: Effect) -> list[float]:
    return [plain(100 * each) for each in (gain.value, gain.low, gain.high)]


def _plane(ledger: Ledger, formulas: Sequence[str], titles: Mapping[str, str]) -> dict[str, Any]:
    """`at[split][row]` is `[value, low, high, gain, its low, its high]` of each axis, gains in the
    unit shown; `spread[split][row]` the covariance of gains; `segments.rows[row][slice]` `[gain,
    low, high]` of each axis."""
    axes, splits, fronts = axes_of(ledger), splits_of(ledger), scenario_fronts(ledger)

    def shown(split: str, slice: str = ALL) -> NDArray[np.float64]:
        cells = ledger.cells[split, slice][..., :SD].copy()
        cells[..., GAIN:] *= np.array([axis.scale for axis in axes])[:, None]
        return cells

    slices, current = ledger.slices(splits[0]), ledger.current
    by_slice = [shown(splits[0], slice)[..., GAIN:] for slice in slices]
    of_rows = {str(row): [each[row] for each in by_slice] for row in range(len(ledger))}
    is_current = current is not None and (
        ledger.today
        if isinstance(ledger, Served)
        else ledger.table["role"].iloc[current] == "current"
    )
    return {
        "kind": "served" if ledger.served else "heads",
        "axes": [_axis(axis) for axis in axes],
        "rows": _rows(ledger.table, formulas if ledger.served else (), titles),
        "against": "current" if is_current else reference(ledger),
        "current": current,
        "at": {split: plain(shown(split)) for split in splits}
        | {_rows_of(slice): plain(shown(TEST, slice)) for slice in fronts},
        "fronts": {_rows_of(slice): each.tolist() for slice, each in fronts.items()},
        "segments": {"names": slices, "rows": plain(of_rows)} if slices else None,
        "spread": {split: plain(values) for split, values in spread_of(ledger).items()},
    }


def _rows(
    table: pd.DataFrame, formulas: Sequence[str], titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    facts = table[[name for name in FACTS if name in table]]
    facts = facts.assign(title=[named(row, titles) for _, row in table.iterrows()])
    rows = facts.assign(formula=[formulas[row] if formulas else "" for row in table.index]).to_dict(
        "records"
    )
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


def _sliders(section: PageSection, titles: Mapping[str, str]) -> dict[str, Any]:
    """What the sliders need; `row` of a choice is its place in the first plane.

    `draws` are the posterior's, `retrained` what a retraining may measure: float32 in base64, (D,
    R, M). `rates` are mean labels by axis where outcomes add up, so that an event can have a worth,
    and `worth` the policy's.
    """
    decision = section.decision
    choices, pick, names = decision.choices, decision.pick, decision.choices.objectives
    losses = decision.allowed_losses if pick else {}
    assert choices.current is not None
    known = len(choices.draws)
    shown = (
        np.unique(np.linspace(0, known - 1, min(known, MOST_DRAWS)).astype(int))
        if known
        else np.arange(0)
    )
    after = [each.row for each in pick.runners_up] if pick else []
    needed = [choices.current, *([_shown(section)] if pick else []), *after]
    table = choices.table
    below = (choices.values(names) < [choices.chance.get(name, -np.inf) for name in names]).any(
        axis=1
    )
    hidden = below & (not choices.today)
    worth = pd.Series(
        np.where(hidden, -np.inf, choices.gains(names, choices.values(names)).mean(axis=1))
    )
    # all points alike
    likely = (-worth.groupby(table["point"]).rank(ascending=False)).where(worth > -np.inf, -np.inf)
    likely.iloc[needed] = np.inf
    most = max(MOST_DRAWN // (max(len(shown), 1) * len(names)), len(needed))
    order = likely[likely > -np.inf].sort_values(ascending=False, kind="stable")
    kept = np.sort(order.index.to_numpy()[:most])
    place = {int(row): at for at, row in enumerate(kept)}

    def packed(draws: NDArray[Any]) -> str:
        some = draws[shown][:, kept] if len(draws) else np.empty((0, len(kept), len(names)))
        return base64.b64encode(np.ascontiguousarray(some, dtype="<f4").tobytes()).decode()

    table = table.iloc[kept]
    costs = [
        name
        for name in LIMITS
        if name in table and choices.table[name].nunique() > 1 and name not in names
    ]
    rows = {point: row for row, point in enumerate(decision.frontier.table["point"])}
    return {
        "axes": [_axis(axis) for axis in axes_of(section.fronts[0])],
        "rows": _rows(table, decision.formulas if choices.served else (), titles),
        "rates": [decision.serving.rates.get(name.partition(".")[0], 0.0) for name in names]
        if _adds_up(section)
        else None,
        **({"items": items} if any(items := [of_items(name) for name in names]) else {}),
        "worth": [worths.get(name.partition(".")[0], 0) for name in names]
        if (worths := decision.policy.values)
        else None,
        "row": kept.tolist() if choices.served else [rows[point] for point in table["point"]],
        "values": plain(table[list(names)].to_numpy(dtype=float)),
        "confidence": decision.policy.guard.confidence if known else 0.0,
        "loss": [_allowed(losses.get(name), choices, name) for name in names],
        "today": choices.today or not choices.served,
        "costs": {name: plain(table[name].to_numpy(dtype=float)) for name in costs},
        "draws": packed(choices.draws),
        "retrained": packed(choices.retrained),
        "count": len(shown),
        "current": place[choices.current],
        "pick": place[_shown(section)] if pick else None,
        "runnersUp": [place[row] for row in after],
    }


def _shown(section: PageSection) -> int:
    """The row of the choices that a page calls the answer: what is advised, of heads the pick."""
    assert section.decision.pick is not None
    return (
        section.decision.pick.row if section.decision.advised is None else section.decision.advised
    )


def _allowed(loss: float | None, choices: Choices, name: str) -> float | None:
    """What the limits in force allow to be lost, in the unit of the sliders; None where nothing
    limits it.
    """
    if loss is None or not choices.in_thousandths(name):
        return loss
    return loss * abs(float(choices.of(name, choices.current or 0))) / THOUSANDTHS


def _adds_up(section: PageSection) -> bool:
    """Whether what happens in the first places adds up over events of all tasks' outcomes."""
    parts = [
        name.partition(".")[::2]
        for name in section.decision.choices.objectives
        if not of_items(name)
    ]
    rates = section.decision.serving.rates
    return all(rates.get(task, 0.0) > 0 and adds_up(metric) for task, metric in parts)


def plain(value: Any) -> Any:
    """Numbers to six digits, None for what is not finite; arrays as lists."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [
            plain(each) for each in (value.tolist() if isinstance(value, np.ndarray) else value)
        ]
    value = jsonable(value)
    return None if value is pd.NA else float(f"{value:.6g}") if isinstance(value, float) else value
