"""Files of a served front: `served.json` with its tables, `served.npz` with its draws. Writes and reads them.

It is found again by the digest of what it was computed from, so that pages and commands need not sweep again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from bench.atomic import atomic_path, write_text
from bench.frontier.served.measuring import Candidate, Current
from bench.frontier.served.served import DRAWS, Served
from bench.frontier.statistics import Interval
from bench.objectives import Objective
from bench.plain import jsonable
from bench.predictions import Rows
from bench.rows import CONFIRM, TEST

JSON, NPZ = "served.json", "served.npz"
ARRAYS, NUMBERS = ("draws", "test_draws", "row_variance", "random"), ("current", "replicates")
"""Parts of a front that are written as they are, into `served.npz` and `served.json`."""
VERSION = 6
"""Raised whenever the same predictions give another front."""


def digest_of(
    candidates: Sequence[Candidate],
    rows: Mapping[str, Rows],
    outcomes: Sequence[Objective],
    current: Current,
    seed: int,
) -> str:
    """Of all that a served front depends on; of predictions by the digests that they are kept with."""
    facts = [
        VERSION, DRAWS, seed, [each.name for each in outcomes], repr(current),
        [[each.id, each.name, each.architecture, each.role, each.seeds] for each in candidates],
        [[split, each.tasks, each.kinds, each.rates, each.of, each.segments] for split, each in rows.items()],
    ]  # fmt: skip
    found = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16)
    for each in rows.values():
        weights = () if each.weights is None else (each.weights,)
        for array in (each.labels, each.group, each.units, each.codes, *each.logged.values(), *weights):
            found.update(np.ascontiguousarray(array).tobytes())
    for candidate in candidates:
        for split in rows:
            for run in range(candidate.replicates):
                kept = candidate.digest(split, run) if candidate.digest else None
                found.update(kept or np.ascontiguousarray(candidate.predictions(split, run)).tobytes())
    return found.hexdigest()


def save(served: Served, folder: Path, digest: str) -> None:
    """Writes both files into a folder, each whole or not at all, draws first."""
    document = {
        "outcomes": [asdict(each) for each in served.outcomes],
        "table": served.table.to_dict("records"),
        **{name: getattr(served, name) for name in NUMBERS},
        "segments": served.segments.to_dict("list"),
    }
    text = json.dumps(jsonable(document), allow_nan=False)
    with atomic_path(folder / NPZ) as temporary, temporary.open("wb") as file:
        volume = np.array(list(asdict(served.hypervolume).values()))
        arrays = {name: getattr(served, name) for name in ARRAYS}
        arrays |= {"digest": np.array(digest), "tables": np.array(_sum(text))}
        np.savez(file, allow_pickle=False, hypervolume=volume, reach=np.array(served.reach), **arrays)
    write_text(folder / JSON, text)


def load(folder: Path, digest: str) -> Served | None:
    """The front that was saved with this digest; None where there is none, or its files are damaged."""
    try:
        text = (folder / JSON).read_text(encoding="utf-8")
        with np.load(folder / NPZ, allow_pickle=False) as arrays:
            if str(arrays["digest"]) != digest or str(arrays["tables"]) != _sum(text):
                return None
            document = json.loads(text)
            return Served(
                outcomes=tuple(Objective(**each) for each in document["outcomes"]),
                table=_numbers(pd.DataFrame(document["table"])),
                segments=_numbers(pd.DataFrame(document["segments"])),
                hypervolume=Interval(*arrays["hypervolume"].tolist()),
                reach=float(arrays["reach"]),
                **{name: document[name] for name in NUMBERS},
                **{name: arrays[name] for name in ARRAYS},
            )
    except (BadZipFile, EOFError, LookupError, OSError, TypeError, ValueError):
        return None


def _sum(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def to_json(served: Served) -> dict[str, Any]:
    """What `--json` shows as `served`: points with their outcomes on test, the front first; null is unknown."""
    table = served.table.sort_values(["on_front", "id"], ascending=[False, True])
    volume = served.hypervolume
    whole: dict[str, Any] = {
        "points": [_point(served, line) for line in table.to_dict("records")],
        "current": _point(served, served.table.iloc[served.current].to_dict()),
        "hypervolume": {"value": volume.value, "low": volume.low, "high": volume.high},
    }
    return {key: jsonable(value) for key, value in whole.items()}


def _point(served: Served, line: Mapping[Any, Any]) -> dict[str, Any]:
    def of(suffix: str) -> dict[str, Any]:
        return {each.name: line[f"{each.key(TEST)}{suffix}"] for each in served.outcomes}

    return {
        "trial": line["point"],
        "name": line["name"],
        "architecture": line["architecture"],
        "role": line["role"],
        "kind": line["kind"],
        "weights": line["weights"],
        "on_front": line["on_front"],
        "p_nondominated": line["p_nondominated"],
        "outcomes": of(""),
        "outcomes_low": of(".low"),
        "outcomes_high": of(".high"),
        "gains": of(".gain"),
        "gains_low": of(".gain.low"),
        "gains_high": of(".gain.high"),
        "confirm": {each.name: line[each.key(CONFIRM)] for each in served.outcomes},
        **({"segments": found} if (found := _segments(served, line["id"])) else {}),
    }


def _segments(served: Served, row: int) -> dict[str, dict[str, dict[str, float]]]:
    """By segment and outcome on test the value of a point, and its gain with its interval."""
    if served.segments.empty:
        return {}
    own = served.segments[(served.segments["row"] == row) & (served.segments["split"] == TEST)]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for line in own.dropna(subset="value").to_dict("records"):
        told = {"value": line["value"], "gain": line["gain"], "low": line["gain.low"], "high": line["gain.high"]}
        found.setdefault(line["segment"], {})[line["outcome"]] = told
    return found


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    for name in table.columns:
        if any(each is None for each in table[name]):
            table[name] = table[name].astype(float)
    return table
