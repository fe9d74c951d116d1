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
from numpy.typing import NDArray

from bench.core.objectives import Objective, names_of
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
    facts_of_splits = []
    for split, of_split in rows.items():
        header = [split, of_split.tasks, of_split.kinds, of_split.rates]
        facts_of_splits.append([*header, of_split.of, of_split.segments])
    facts = [
        VERSION,
        SERVED_DRAWS,
        seed,
        names_of(outcomes),
        repr(current),
        list(SLICES),
        [aim.name for aim in aims],
        list(map(_facts_of, candidates)),
        facts_of_splits,
    ]
    digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16)
    for of_split in rows.values():
        for array in _arrays_of(of_split):
            digest.update(np.ascontiguousarray(array).tobytes())
    for candidate in candidates:
        for split in rows:
            for replicate in range(candidate.replicates):
                digest.update(_digest_of_predictions(candidate, split, replicate))
    return digest.hexdigest()


def _facts_of(candidate: Candidate) -> list[object]:
    return [
        candidate.id,
        candidate.name,
        candidate.architecture,
        candidate.role,
        candidate.seeds,
    ]


def _arrays_of(rows: KeptRows) -> list[NDArray[Any]]:
    """All that is known of rows beside predictions."""
    arrays = [rows.labels, rows.group, rows.units, rows.codes, *rows.logged.values()]
    if rows.counts is not None:
        arrays.append(rows.counts)
    return [*arrays, *rows.items.values()]


def _digest_of_predictions(candidate: Candidate, split: str, replicate: int) -> bytes:
    """The digest that predictions are kept with, else the predictions themselves."""
    digest = candidate.digest(split, replicate) if candidate.digest else None
    if digest:
        return digest
    return np.ascontiguousarray(candidate.predictions(split, replicate)).tobytes()


def save(served: Served, folder: Path, digest: str, name: str = SERVED) -> None:
    """Writes both files into a folder, each whole or not at all, draws first."""
    document = {
        "outcomes": list(map(asdict, served.measures)),
        "table": served.table.to_dict("records"),
        "cells": list(served.cells),
        **{part: getattr(served, part) for part in NUMBERS},
    }
    text = json.dumps(jsonable(document), allow_nan=False)
    arrays = {part: getattr(served, part) for part in ARRAYS} | dict(served.draws)
    arrays["cells"] = np.array(list(served.cells.values()))
    arrays["volume"] = np.array(astuple(served.hypervolume))
    arrays["digest"] = np.array(digest)
    arrays["tables"] = np.array(_sum(text))
    with atomic_path(folder / f"{name}.npz") as temporary, temporary.open("wb") as file:
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
                measures=tuple(Objective(**outcome) for outcome in document["outcomes"]),
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
    facts: dict[str, Any] = {str(name): fact for name, fact in served.table.iloc[row].items()}
    document = {"trial": facts.pop("point"), **facts}
    for part, name in NAMES.items():
        document[name] = _by_outcome(served, row, TEST, part)
    document["confirm"] = _by_outcome(served, row, CONFIRM)
    segments = {}
    for slice in served.slices(TEST):
        outcomes = _of_slice(served, row, slice)
        if outcomes:
            segments[slice] = outcomes
    if segments:
        document["segments"] = segments
    return document


def _by_outcome(
    served: Served, row: int, split: str, part: str = "value", slice: str = ALL
) -> dict[str, float]:
    return dict(zip(served.names, served.at(split, part, slice)[row].tolist(), strict=True))


def _of_slice(served: Served, row: int, slice: str) -> dict[str, dict[str, float]]:
    """By outcome that is known there its value on test, and its gain."""
    gains = served.effects(row, slice=slice)
    outcomes = {}
    for name, value in _by_outcome(served, row, TEST, slice=slice).items():
        if np.isfinite(value):
            gain = gains[name]
            outcomes[name] = {
                "value": value,
                "gain": gain.value,
                "low": gain.low,
                "high": gain.high,
            }
    return outcomes
