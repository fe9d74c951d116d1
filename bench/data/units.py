"""Units: what is resampled as a whole, such as a user whose requests are ranked one by one. A unit holds whole groups.

A row without a unit belongs to its group, and without a group to itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.values import Text

Codes = NDArray[np.int32]


def with_groups(unit: Text, group: Text | None) -> Text:
    """The unit of each row; of a row without one its group, after a mark that no unit has. By first appearance."""
    if group is None or (unit.codes >= 0).all():
        return unit
    of_group = np.where(group.codes >= 0, group.codes + len(unit.values), -1)
    codes = np.where(unit.codes >= 0, unit.codes, of_group).astype(np.int32)
    known, values = codes >= 0, (*unit.values, *(f"\0{value}" for value in group.values))
    distinct, first, place = np.unique(codes[known], return_index=True, return_inverse=True)
    order = np.argsort(first)
    codes[known] = np.argsort(order)[place]
    return Text(codes, tuple(values[at] for at in distinct[order]))


class WholeGroups:
    """Tells whether all rows of a group are of one unit; takes rows part by part."""

    def __init__(self) -> None:
        self._unit_of: Codes = np.empty(0, np.int32)

    def parted(self, group: Codes, unit: Codes) -> int | None:
        """The first row of a part (n,) whose group has had another unit; None where there is none."""
        rows = np.flatnonzero(group >= 0)
        group, unit = group[rows], unit[rows]
        new = max(0, 1 + int(group.max(initial=-1)) - len(self._unit_of))
        known = self._unit_of = np.append(self._unit_of, np.full(new, -2, np.int32))
        distinct, first = np.unique(group, return_index=True)
        known[distinct] = np.where(known[distinct] == -2, unit[first], known[distinct])
        apart = rows[known[group] != unit]
        return int(apart[0]) if len(apart) else None
