"""The price of one outcome in another, along the weights of one candidate."""

from __future__ import annotations

import numpy as np

from bench.core.arrays import Floats
from bench.core.rows import CONFIRM, TEST
from bench.ledger.effect import Effect
from bench.ledger.ledger import band
from bench.ledger.served.served import Served


def exchange(served: Served, row: int, paid: str, bought: str) -> Effect | None:
    """By which fraction one outcome rises for one per cent less of another, along the row's own
    weights.

    The slope of the logarithms: between the neighbouring weights on either side with two outcomes;
    with more, to the point of the same candidate that, on confirmation rows, moves the other
    outcomes least against what is paid.

    Returns:
        None where the candidate has no other point, or nothing is paid between them.
    """
    x, y = served.names.index(paid), served.names.index(bought)
    first, last = (_beside if len(served.measures) == 2 else _nearest)(served, row, x, y)

    def slope(values: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(values[..., last, :]) - np.log(values[..., first, :])
            return np.asarray(-logs[..., y] / logs[..., x])

    value = float(slope(served.at(TEST)))
    if first == last or not np.isfinite(value):
        return None
    drawn = slope(served.draws[TEST].astype(np.float64))
    known = drawn[np.isfinite(drawn)]
    low, high = band(known) if len(known) else (np.nan, np.nan)
    return Effect(value / 100, float(low) / 100, float(high) / 100)


def _beside(served: Served, row: int, x: int, y: int) -> tuple[int, int]:
    """The row's neighbours by the weight of the first task, of its candidate and kind; ends are of
    both kinds.
    """
    table = served.table
    first = np.array([next(iter(each.values()), np.nan) for each in table["weights"]])
    kind = (table["kind"] == table["kind"].iloc[row]).to_numpy() | np.isin(first, (0.0, 1.0))
    own = np.flatnonzero(
        (table["point"] == table["point"].iloc[row]).to_numpy() & kind & np.isfinite(first)
    )
    line = own[np.argsort(first[own], kind="stable")].tolist()
    if row not in line:
        return row, row
    at = line.index(row)
    return line[max(at - 1, 0)], line[min(at + 1, len(line) - 1)]


def _nearest(served: Served, row: int, x: int, y: int) -> tuple[int, int]:
    own = (served.table["point"] == served.table["point"].iloc[row]).to_numpy()
    values = np.log(np.maximum(served.at(CONFIRM), 1e-12))
    apart = np.abs(values - values[row])
    others = np.delete(apart, [x, y], axis=1).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(own & (apart[:, x] > 0), others / apart[:, x], np.inf)
    best = int(cost.argmin())
    return row, best if np.isfinite(cost[best]) else row
