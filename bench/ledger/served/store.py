"""Files of a served front: `served.json` with its tables, `served.npz` with its draws. Writes and
reads them.

It is found again by the digest of what it was computed from, so that pages and commands need not
sweep again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from bench.core.objectives import Objective
from bench.core.plain import jsonable
from bench.core.rows import CONFIRM, TEST
from bench.core.system.atomic import atomic_path, write_text
from bench.ledger.effect import Effect
from bench.ledger.ledger import ALL
from bench.ledger.served.climb import Aim
from bench.ledger.served.measuring import Candidate, CurrentRanking
from bench.ledger.served.served import SERVED_DRAWS, SPLITS, Served
from bench.ledger.served.slices import SLICES
from bench.measure.predictions import KeptRows

SERVED, TURNED = "served", "turned"
"""Names of the files: of what is served, and of the same the other way round."""
ARRAYS, NUMBERS = ("random", "expected"), ("current", "replicates", "today", "model", "seeded")
"""Parts of a front that are written as they are, into `served.npz` and `served.json`."""
VERSION = 15
"""Raised whenever the same predictions give another front."""


def digest_of(
    candidates: Sequence[Candidate],
    rows: Mapping[str, KeptRows],
    outcomes: Sequence[Objective],
    current: CurrentRanking,
    seed: int,
    aims: Sequence[Aim] = (),
) -> str:
    """Of all that a served front depends on; of predictions by the digests that they are kept
    with.
    """
    facts = [
        VERSION,
        SERVED_DRAWS,
        seed,
        [each.name for each in outcomes],
        repr(current),
        list(SLICES),
        [each.name for each in aims],
        [[each.id, each.name, each.architecture, each.role, each.seeds] for each in candidates],
        [
            [split, each.tasks, each.kinds, each.rates, each.of, each.segments]
            for split, each in rows.items()
        ],
    ]
    digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16)
    for each in rows.values():
        weights = () if each.counts is None else (each.counts,)
        beside = (*each.logged.values(), *weights, *each.items.values())
        for array in (each.labels, each.group, each.units, each.codes, *beside):
            digest.update(np.ascontiguousarray(array).tobytes())
    for candidate in candidates:
        for split in rows:
            for run in range(candidate.replicates):
                kept = candidate.digest(split, run) if candidate.digest else None
                digest.update(
                    kept or np.ascontiguousarray(candidate.predictions(split, run)).tobytes()
                )
    return digest.hexdigest()


def save(served: Served, folder: Path, digest: str, name: str = SERVED) -> None:
    """Writes both files into a folder, each whole or not at all, draws first."""
    document = {
        "outcomes": [asdict(each) for each in served.measures],
        "table": served.table.to_dict("records"),
        "cells": list(served.cells),
        **{part: getattr(served, part) for part in NUMBERS},
    }
    text = json.dumps(jsonable(document), allow_nan=False)
    with atomic_path(folder / f"{name}.npz") as temporary, temporary.open("wb") as file:
        arrays = {part: getattr(served, part) for part in ARRAYS} | dict(served.draws)
        arrays |= {
            "cells": np.array(list(served.cells.values())),
            "volume": np.array(astuple(served.hypervolume)),
        }
        arrays |= {"digest": np.array(digest), "tables": np.array(_sum(text))}
        np.savez(file, allow_pickle=False, **arrays)
    write_text(folder / f"{name}.json", text)


def load(folder: Path, digest: str, name: str = SERVED) -> Served | None:
    """The front that was saved with this digest; None where there is none, or its files are
    damaged.
    """
    try:
        text = (folder / f"{name}.json").read_text(encoding="utf-8")
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            if str(arrays["digest"]) != digest or str(arrays["tables"]) != _sum(text):
                return None
            document = json.loads(text)
            table = pd.DataFrame(document["table"])
            return Served(
                measures=tuple(Objective(**each) for each in document["outcomes"]),
                table=table.assign(p_nondominated=table["p_nondominated"].astype(float)),
                cells=dict(zip(map(tuple, document["cells"]), arrays["cells"], strict=True)),
                draws={split: arrays[split] for split in SPLITS},
                hypervolume=Effect(*arrays["volume"].tolist()),
                **{part: document[part] for part in NUMBERS},
                **{part: arrays[part] for part in ARRAYS},
            )
    except (BadZipFile, EOFError, LookupError, OSError, TypeError, ValueError):
        return None


def _sum(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def to_json(served: Served) -> dict[str, object]:
    """What `--json` shows as `served`: points with their outcomes on test, the front first; null is
    unknown.
    """
    order = served.table["on_front"].sort_values(ascending=False, kind="stable").index
    whole = {
        "points": [_point(served, row) for row in order],
        "current": _point(served, served.current),
        "hypervolume": served.hypervolume.to_json(),
    }
    return dict(jsonable(whole))


NAMES = {"value": "outcomes", "low": "outcomes_low", "high": "outcomes_high"}
NAMES |= {"gain": "gains", "gain_low": "gains_low", "gain_high": "gains_high"}
"""Of a cell's parts, in the document of a point."""


def _point(served: Served, row: int) -> dict[str, Any]:
    def of(split: str, part: str = "value", slice: str = ALL) -> dict[str, float]:
        return dict(zip(served.names, served.at(split, part, slice)[row].tolist(), strict=True))

    facts = {str(name): each for name, each in served.table.iloc[row].items()}
    entry = {
        "trial": facts.pop("point"),
        **facts,
        **{name: of(TEST, part) for part, name in NAMES.items()},
        "confirm": of(CONFIRM),
    }
    for slice in served.slices(TEST):
        gains = served.effects(row, slice=slice)
        known = {name: value for name, value in of(TEST, slice=slice).items() if np.isfinite(value)}
        if known:
            entry.setdefault("segments", {})[slice] = {
                name: {
                    "value": value,
                    "gain": gains[name].value,
                    "low": gains[name].low,
                    "high": gains[name].high,
                }
                for name, value in known.items()
            }
    return entry
