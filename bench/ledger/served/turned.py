"""The other way round: where rows are few, confirmation rows and test change places, and judge a
second time.

Weights that validation rows and test chose are judged on confirmation rows. So about twice as many
rows judge, and none judges weights that it chose: cross-fitting with two folds. What is picked and
announced never reads test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from bench.core.rows import CONFIRM, TEST
from bench.ledger.served.measuring import Candidate
from bench.measure.predictions import KeptRows

FEW_POSITIVES = 1_000
"""Positives of the rarest task on test: with fewer the verdict judges both ways round."""
OTHER = {CONFIRM: TEST, TEST: CONFIRM}
ReadT = TypeVar("ReadT")


def few(rows: Mapping[str, KeptRows]) -> bool:
    """Whether test alone has few rows to judge with, as they count."""
    test = rows[TEST]
    if test.exposure is not None:
        return float(test.exposure.positives(test.labels).min()) < FEW_POSITIVES
    return int(np.count_nonzero(np.nan_to_num(test.labels), axis=0).min()) < FEW_POSITIVES


def turned(
    candidates: Sequence[Candidate], rows: Mapping[str, KeptRows]
) -> tuple[list[Candidate], dict[str, KeptRows]]:
    """Candidates and rows, each split under the other's name."""

    swapped = []
    for candidate in candidates:
        digest = None
        if candidate.digest is not None:
            digest = partial(_of_other, candidate.digest)
        swapped.append(
            replace(candidate, predictions=partial(_of_other, candidate.predictions), digest=digest)
        )
    return swapped, {split: rows[OTHER.get(split, split)] for split in rows}


def _of_other(read: Callable[[str, int], ReadT], split: str, run: int) -> ReadT:
    return read(OTHER.get(split, split), run)
