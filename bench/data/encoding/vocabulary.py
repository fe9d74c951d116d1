"""Categories -> local ids: 0 for unknown and rare, then by falling count in train."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.data.values import Text
from bench.registry import Config


def ranked(values: Sequence[str | None], counts: NDArray[np.int64], min_count: int) -> list[int]:
    """Which of `values` occur `min_count` times or more, by falling count, then by text, missing last.

    The order does not depend on the order of rows.
    """
    kept = np.flatnonzero(counts >= max(min_count, 1)).tolist()
    return sorted(kept, key=lambda at: (-int(counts[at]), values[at] is None, values[at] or ""))


class Vocabulary(Config):
    """The categories that train holds often enough. `None` among them stands for missing, a category like others."""

    values: tuple[str | None, ...]

    @property
    def cardinality(self) -> int:
        """Local ids in use, unknown among them."""
        return len(self.values) + 1

    @cached_property
    def _local(self) -> dict[str | None, int]:
        return {value: local for local, value in enumerate(self.values, 1)}

    def local(self, values: Sequence[str | None]) -> NDArray[np.int32]:
        """Local ids of distinct values."""
        return np.fromiter((self._local.get(value, 0) for value in values), np.int32, len(values))

    def encode(self, text: Text) -> NDArray[np.int32]:
        """Local ids (N,) of a column."""
        encoded: NDArray[np.int32] = self.local([*text.values, None])[text.codes]  # code -1, missing, takes the last
        return encoded
