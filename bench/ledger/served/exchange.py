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
    if len(served.measures) == 2:
        first, last = _neighbours(served, row)
    else:
        first, last = _nearest(served, row, x, y)

    def slope(values: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(values[..., last, :]) - np.log(values[..., first, :])
            return np.asarray(-logs[..., y] / logs[..., x])

    value = float(slope(served.at(TEST)))
    if first == last or not np.isfinite(value):
        return None
    drawn = slope(served.draws[TEST].astype(np.float64))
    low, high = band(drawn[np.isfinite(drawn)])
    return Effect(value / 100, float(low) / 100, float(high) / 100)


def _neighbours(served: Served, row: int) -> tuple[int, int]:
    """The row's neighbours by the weight of the first task, of its candidate and kind; ends are of
    both kinds.
    """
    table = served.table
    weight = np.array([next(iter(weights.values()), np.nan) for weights in table["weights"]])
    same_point = (table["point"] == table["point"].iloc[row]).to_numpy()
    same_kind = (table["kind"] == table["kind"].iloc[row]).to_numpy()
    is_end = np.isin(weight, (0.0, 1.0))
    rows = np.flatnonzero(same_point & (same_kind | is_end) & np.isfinite(weight))
    line = rows[np.argsort(weight[rows], kind="stable")].tolist()
    if row not in line:
        return row, row
    place = line.index(row)
    return line[max(place - 1, 0)], line[min(place + 1, len(line) - 1)]


def _nearest(served: Served, row: int, x: int, y: int) -> tuple[int, int]:
    """The row, and that of its candidate that moves other outcomes least against what is paid."""
    same_point = (served.table["point"] == served.table["point"].iloc[row]).to_numpy()
    values = np.log(np.maximum(served.at(CONFIRM), 1e-12))
    distances = np.abs(values - values[row])
    paid = distances[:, x]
    of_others = np.delete(distances, [x, y], axis=1).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(same_point & (paid > 0), of_others / paid, np.inf)
    best = int(cost.argmin())
    return row, best if np.isfinite(cost[best]) else row
