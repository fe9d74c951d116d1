"""Categories -> local ids: 0 for unknown and rare, then by falling count in train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bench.registry import Config


def ranked(values: Sequence[str | None], counts: NDArray[np.int64], min_count: int) -> list[int]:
    """Which of `values` occur `min_count` times or more, by falling count, then by text, missing last.

    The order does not depend on the order of rows.
    """
    kept = np.flatnonzero(counts >= max(min_count, 1)).tolist()
    by_text = [at for at in kept if values[at] is not None]
    by_text.sort(key=cast("Sequence[str]", values).__getitem__)
    by_text += [at for at in kept if values[at] is None]
    order = np.array(by_text, np.int64)
    found: list[int] = order[np.argsort(-counts[order], kind="stable")].tolist()
    return found


class Vocabulary(Config):
    """The categories that train holds often enough. `None` among them stands for missing, a category like others."""

    values: tuple[str | None, ...]

    @property
    def cardinality(self) -> int:
        """Local ids in use, unknown among them."""
        return len(self.values) + 1

    @property
    def numbers(self) -> NDArray[np.int32]:
        """Local ids of the values."""
        return np.arange(1, self.cardinality, dtype=np.int32)
