"""Which rows a number is on: the splits that a model is measured on, and their names in tables.

The search reads `SEARCH` alone: early stopping, promotion, shortlist, tuning. The best points are trained again and
measured on `CONFIRM`, rows that the search did not see: there confirmed points are compared and drawn. A pick reads
replicates on both. `TEST` is only reported.
"""

from __future__ import annotations

from typing import Final

from bench.records import Split

SEARCH: Final = "valid"
CONFIRM: Final = "confirm"
TEST: Final = "test"
REPLICATED: tuple[Split, ...] = (SEARCH, CONFIRM, TEST)
"""The splits on which a replicate is measured."""
NAMES: dict[str, str] = {
    SEARCH: "validation (search)",
    CONFIRM: "confirmation rows, unseen by the search",
    TEST: "test",
}
"""What tables call them."""
SHORT: dict[str, str] = {SEARCH: "validation (search)", CONFIRM: "confirmation rows", TEST: "test"}
"""The same where there is little room."""
