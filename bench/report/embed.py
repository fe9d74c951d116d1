"""The data of a section's scripts, as plain JSON values."""

from __future__ import annotations

import base64
import math
from dataclasses import astuple
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.report.effort import course, influences
from bench.report.markup import SYMBOLS, looks_of
from bench.report.view import Axis, Decision, Plane, View
from bench.rows import SHORT

PARTS = ("", ".low", ".high", ".gain", ".gain.low", ".gain.high")
FACTS = (
    *("point", "name", "architecture", "balancing", "role", "kind", "weights", "on_front", "p_nondominated"),
    *("replicates", "samples", "params", "size", "cost/parameters", "cost/latency_ms"),
)


def section_data(view: View) -> dict[str, Any]:
    """Everything: planes, what can be picked, and the search."""
    every = pd.concat([plane.table["architecture"] for plane in view.planes])
    looks = looks_of(every)
    holds = view.pick.stability.holds if view.pick else None
    history, by_samples = course(view.front, view.records)
    return {
        "title": view.title,
        "dataset": view.dataset,
        "run": view.run,
        "policy": view.policy,
        # in whole per cent as the verdict has it: Python and JavaScript round halves differently
        "holds": None if holds is None else round(100 * holds) / 100,
        "picked": view.pick.point if view.pick else None,
        "looks": {kind: [look.role, SYMBOLS[look.symbol]] for kind, look in looks.items()},
        "splits": SHORT | {each: each for plane in view.planes for each in _rows_of_scenarios(plane)},
        "planes": {plane.kind: _plane(plane) for plane in view.planes},
        "decision": None if view.decision is None else _decision(view.decision, view.planes[0]),
        "history": history,
        "bySamples": by_samples,
        "influences": [list(astuple(each)) for each in influences(view.records, view.front)],
    }


def _axis(axis: Axis) -> dict[str, Any]:
    more = {"label": axis.label, "sign": axis.sign, "scale": axis.scale, "unit": "%" if axis.relative else ""}
    return {"name": axis.name, **more}


def _plane(plane: Plane) -> dict[str, Any]:
    """`at[split][row]` is `[value, low, high, gain, its low, its high]` of each axis, gains in the unit shown;
    `spread[split][row]` the covariance of gains."""
    at = {}
    for split in plane.splits:
        cells = [[_column(plane, split, axis, part) for part in PARTS] for axis in plane.axes]
        at[split] = plain(np.array(cells, dtype=float).transpose(2, 0, 1))
    scenarios = _rows_of_scenarios(plane)
    at |= {each: _cells_of(plane, name) for each, name in scenarios.items()}
    return {
        "kind": plane.kind,
        "axes": [_axis(axis) for axis in plane.axes],
        "rows": _rows(plane.table),
        "against": plane.against,
        "current": plane.current,
        "at": at,
        "fronts": {each: plane.fronts[name].tolist() for each, name in scenarios.items()},
        "segments": _segments(plane),
        "spread": {split: plain(values) for split, values in plane.covariance.items()},
    }


def _segments(plane: Plane) -> dict[str, Any] | None:
    """By row, as text, and segment `[gain, low, high]` of each axis in per cent, on the split that is told."""
    if plane.segments.empty:
        return None
    told = plane.segments[plane.segments["split"] == plane.splits[0]]
    names = list(dict.fromkeys(told["segment"]))
    cells = {
        (row, segment, outcome): [100 * gain, 100 * low, 100 * high]
        for row, segment, outcome, gain, low, high in told[
            ["row", "segment", "outcome", "gain", "gain.low", "gain.high"]
        ].itertuples(index=False)
    }
    nothing = [None, None, None]
    rows = {
        str(row): [[cells.get((row, name, axis.name), nothing) for axis in plane.axes] for name in names]
        for row in dict.fromkeys(told["row"])
    }
    return {"names": names, "rows": plain(rows)}


def _rows_of_scenarios(plane: Plane) -> dict[str, str]:
    """What the page calls the rows of each scenario that has a front -> its segment."""
    return {f"{SHORT[plane.splits[0]]}, {name}": name for name in plane.fronts}


def _cells_of(plane: Plane, segment: str) -> Any:
    """`at` of a segment, on the split that is told."""
    cells = plane.segments[(plane.segments["segment"] == segment) & (plane.segments["split"] == plane.splits[0])]
    parts = [part.removeprefix(".") or "value" for part in PARTS]
    by_axis = [cells[cells["outcome"] == axis.name].sort_values("row")[parts].to_numpy(float) for axis in plane.axes]
    found = np.stack(by_axis, axis=1)
    found[:, :, 3:] *= np.array([axis.scale for axis in plane.axes])[:, None]
    return plain(found)


def _column(plane: Plane, split: str, axis: Axis, part: str) -> NDArray[np.float64]:
    values = plane.table[f"{split}/{axis.name}{part}"].to_numpy(dtype=float)
    return values * axis.scale if ".gain" in part else values


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table[[name for name in FACTS if name in table]].to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


def _decision(decision: Decision, plane: Plane) -> dict[str, Any]:
    """`row` of a choice is its place in the plane, or -1; draws are float32 in base64, (D, R, M)."""
    places = {key: at for at, key in enumerate(_keys(plane.table))}
    table = decision.table
    return {
        "axes": [_axis(axis) for axis in decision.axes],
        "rows": _rows(table),
        "row": [places.get(key, -1) for key in _keys(table)],
        "values": plain(decision.values),
        "confidence": decision.confidence,
        "sure": plain(decision.sure),
        "deployable": decision.deployable.tolist(),
        "costs": {name: plain(table[name].to_numpy(dtype=float)) for name in decision.costs},
        "draws": base64.b64encode(np.ascontiguousarray(decision.draws, dtype="<f4").tobytes()).decode(),
        "count": len(decision.draws),
        "current": decision.current,
        "pick": decision.pick,
        "runnersUp": decision.runners_up,
    }


def _keys(table: pd.DataFrame) -> list[str]:
    """What tells serving points apart."""
    return [f"{row.point} {row.kind} {_weights(row.weights)}" for row in table.itertuples()]


def _weights(value: Any) -> str:
    return ",".join(f"{task}={weight:.9g}" for task, weight in value.items()) if isinstance(value, dict) else ""


def plain(value: Any) -> Any:
    """Numbers to six digits, None for what is not finite; arrays as lists."""
    if isinstance(value, np.ndarray):
        return [plain(each) for each in value.tolist()]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return None if value is pd.NA else value
