"""The splits that a model is measured on, and their names in tables.

The search reads `SEARCH` only: early stopping, promotion, shortlist, tuning. The best points are
retrained and measured on `CONFIRM`, rows that the search did not see, on which confirmed points are
compared and drawn. A pick reads replicates on both. `TEST` is only reported.
"""

from __future__ import annotations

from typing import Final

from bench.core.records import SplitName

SEARCH: Final = "valid"
CONFIRM: Final = "confirm"
TEST: Final = "test"
REPLICATED: tuple[SplitName, ...] = (SEARCH, CONFIRM, TEST)
"""Splits on which a replicate is measured."""
NAMES: dict[str, str] = {
    SEARCH: "validation (search)",
    CONFIRM: "confirmation rows, unseen by the search",
    TEST: "test",
}
"""Split -> its name in tables."""
SHORT: dict[str, str] = {SEARCH: "validation (search)", CONFIRM: "confirmation rows", TEST: "test"}
"""Split -> its short name."""
