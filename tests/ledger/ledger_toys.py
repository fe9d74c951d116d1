"""Served fronts made by hand: facts, values and draws; cells are made of these as those of measured
fronts are.
"""

from dataclasses import replace

import numpy as np

from bench.core.rows import TEST
from bench.ledger.effect import Effect
from bench.ledger.ledger import ALL, PARTS, as_cells, fractions_over
from bench.ledger.served.served import Served
from bench.measure.predictions import KeptRows

GAINS = [PARTS.index(part) for part in ("gain", "gain_low", "gain_high")]


def made_cells(values, draws, current):
    """Cells of values (S, M) and draws about them, as those of a measured front."""
    return as_cells(
        values,
        draws,
        np.full(values.shape, np.nan),
        fractions_over(values, current),
        fractions_over(draws, current),
    )


def made_served(outcomes, table, values, draws, current, slices=None, today=True):
    """A front of values and draws by split, and cells by split and slice."""
    cells = {
        (split, ALL): made_cells(value, draws[split], current)
        for split, value in values.items()
        if split in draws
    }
    for split in values.keys() - draws.keys():
        cells[split, ALL] = np.full((*values[split].shape, len(PARTS)), np.nan)
        cells[split, ALL][..., 0] = values[split]
    about = current, Effect(np.nan), 3, today, np.zeros(len(outcomes))
    return Served(tuple(outcomes), table, cells | dict(slices or {}), dict(draws), *about)


def made_rows(labels, tasks, rates, **attributes):
    """Kept rows with these labels (n, T), each a unit of its own, without groups; `attributes` are other
    attributes.
    """
    n, t = labels.shape
    defaults = {
        "group": np.full(n, -1, np.int32),
        "units": np.arange(n, dtype=np.uint64),
        "kinds": ("binary",) * t,
        "of": n,
    }
    defaults |= {"segments": {}, "codes": np.empty((n, 0), np.int16), "logged": {}}
    return KeptRows(
        labels=labels.astype(np.float32),
        tasks=tuple(tasks),
        rates=tuple(rates),
        **(defaults | attributes),
    )


def noisy(served, seed=0):
    """The same with noise in place of all that was measured on test."""
    rng = np.random.default_rng(seed)
    cells = {
        key: rng.random(cell.shape) if key[0] == TEST else cell
        for key, cell in served.cells.items()
    }
    return replace(
        served,
        cells=cells,
        draws=served.draws | {TEST: rng.random(served.draws[TEST].shape).astype(np.float32)},
        hypervolume=Effect(*rng.random(3).tolist()),
    )
