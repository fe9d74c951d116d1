"""What changed between the rows of a run that chose and its test, see `bench.ledger.drift`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.app.runs.ranked import candidates_of
from bench.app.runs.result import DatasetResult
from bench.core.rows import CONFIRM, TEST
from bench.data import Store
from bench.data.store import part_of
from bench.ledger.drift import Change, changes
from bench.measure.predictions import FOLDER, read_rows

LOOKED_AT = 200_000
"""Rows of a split that are looked at for unseen values."""


def drift_of(result: DatasetResult) -> list[Change]:
    """What changed from confirmation rows to test; of unseen values only where the prepared data
    are still there.
    """
    folder = result.run.folder / FOLDER
    rows = {
        split: kept for split in (CONFIRM, TEST) if (kept := read_rows(folder, split)) is not None
    }
    if len(rows) < 2:
        return []
    said = None
    if result.decision.pick is not None:
        own = [
            each
            for each in candidates_of(
                folder, result.decision.frontier.points, result.objectives, rows[TEST]
            )
            if each.id == result.decision.pick.point
        ]
        said = (
            {
                split: np.mean(
                    [own[0].predictions(split, run) for run in range(own[0].replicates)], axis=0
                )
                for split in rows
            }
            if own
            else None
        )
    return changes(rows, said, _unseen(result.run.store))


def _unseen(store: Store | None) -> dict[str, dict[str, NDArray[Any]]]:
    if store is None:
        return {}
    unseen = dict[str, dict[str, NDArray[Any]]]()
    for split in (CONFIRM, TEST):
        data = part_of(store.split(split), LOOKED_AT)
        ids, at = data.ids, 0
        schema = store.schema.without_ranges
        for each, offset in zip(schema.fields, schema.offsets, strict=True):
            if each.of is None and each.slots == 1:
                unseen.setdefault(each.name, {})[split] = ids[:, at] == offset
            at += each.slots
    return unseen
