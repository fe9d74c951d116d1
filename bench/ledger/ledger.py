"""The ledger: what is known of points, as cells.

A cell is a point's measure on a slice of a split's rows. Every surface selects cells and draws
them; nothing else holds the same numbers. `Ledger.long` is the same as one long table, for files
and notebooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.formats import LEDGER, read_table, write_table
from bench.core.objectives import Objective, names_of
from bench.core.rows import SEARCH, TEST
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.fusion import in_words

ALL = "all"
"""The slice of all rows. Others are `country=US`, `scenario=2`."""
PARTS = ("value", "low", "high", "gain", "gain_low", "gain_high", "sd")
"""Of a cell; see `Ledger`."""
VALUE, LOW, HIGH, GAIN, GAIN_LOW, GAIN_HIGH, SD = range(len(PARTS))
ENDS = (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)
FACTS = ("point", "name", "architecture", "role", "kind", "weights", "on_front", "p_nondominated")
"""Columns that every table of points has."""
CELLS = "cells.parquet"


@dataclass(frozen=True)
class Ledger:
    """S points in M measures.

    Attributes:
        measures: M.
        table: facts of S points, a row each: `point` (id: 7, 7@16000, trees), `name` for people,
            `architecture`, `role` (trial, baseline or current), `kind` of the fusion (power or sum;
            None of heads), its `weights` by task (sum 1; empty for a score that is not fused),
            `on_front`, `p_nondominated`, and more.
        cells: (S, M, parts) by split and slice. The parts are `PARTS`. `value` is a mean over
            replicates, or what the search saw, with its interval at `LEVEL`; `gain` how much better
            it is than the current point's, with its paired interval: a fraction of it, or a
            difference where the measure is read in thousandths; `sd` the standard deviation of one
            replicate. NaN where it is unknown. Intervals allow for no choice.
        draws: (D, S, M) by split, what the true values may be, jointly; D is 0 where nothing is
            known of seeds.
        current: place of the point that gains are over; None where there is none.

    Example:
        >>> import bench
        >>> ledger = bench.load_run("two", home).decision.serving.served
        >>> ledger.names
        ('click.recall@10%', 'like.recall@10%')
        >>> ledger.at("test").shape
        (50, 2)
        >>> str(ledger.effects(row=0)["click.recall@10%"])
        '+7.4% (-16.1 to +41.7)'
    """

    measures: tuple[Objective, ...]
    table: pd.DataFrame
    cells: Mapping[tuple[str, str], Floats]
    draws: Mapping[str, NDArray[Any]]
    current: int | None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the measures."""
        return tuple(names_of(self.measures))

    @property
    def served(self) -> bool:
        """Whether the points are served: heads with the weights that fuse them into one score."""
        return bool(self.table["kind"].notna().any())

    @property
    def front(self) -> NDArray[np.bool_]:
        """(S,), which points are on the front."""
        return self.table["on_front"].to_numpy(bool)

    def at(self, split: str, part: str = "value", slice: str = ALL) -> Floats:
        """(S, M), one part of all cells; NaN where nothing was measured."""
        cells = self.cells.get((split, slice))
        if cells is None:
            return np.full((len(self), len(self.measures)), np.nan)
        return cells[..., PARTS.index(part)]

    def slices(self, split: str) -> list[str]:
        """Names of the slices of some rows, not of all."""
        return [slice for cell_split, slice in self.cells if cell_split == split and slice != ALL]

    def effects(self, row: int, split: str = TEST, slice: str = ALL) -> dict[str, Effect]:
        """By measure how much better a point is than the current one."""
        gains = self.at(split, "gain", slice)[row].tolist()
        lows = self.at(split, "gain_low", slice)[row].tolist()
        highs = self.at(split, "gain_high", slice)[row].tolist()
        return dict(zip(self.names, map(Effect, gains, lows, highs), strict=True))

    def without(self, *splits: str) -> Self:
        """The same without what was measured on some splits."""
        cells, draws = dict(self.cells), dict(self.draws)
        for split, slice in self.cells:
            if split in splits:
                del cells[split, slice]
        for split in splits:
            draws.pop(split, None)
        return replace(self, cells=cells, draws=draws)

    @property
    def long(self) -> pd.DataFrame:
        """A row for each cell: the facts of `point`, `split`, `slice`, `measure`, `basis`, and the
        cell's parts.

        `basis` is `search`, what the one run of the search saw, or `replicates`.
        """
        count = len(self.measures)
        facts = self.table[list(FACTS)]
        facts = facts.loc[facts.index.repeat(count)].reset_index(drop=True)
        tables = []
        for (split, slice), cells in self.cells.items():
            keys = facts.assign(
                split=split,
                slice=slice,
                measure=list(self.names) * len(self),
                basis="search" if split == SEARCH and not self.served else "replicates",
            )
            parts = pd.DataFrame(cells.reshape(-1, len(PARTS)), columns=list(PARTS))
            tables.append(pd.concat([keys, parts], axis=1).dropna(subset="value"))
        return pd.concat(tables, ignore_index=True)

    @property
    def wide(self) -> pd.DataFrame:
        """A row for each point: its facts, and of all rows a column for each part that some point
        has, by the measure's key: `confirm/click.auc`, `confirm/click.auc.low`."""
        columns: dict[str, Floats] = {}
        for split, slice in self.cells:
            if slice != ALL:
                continue
            for place, measure in enumerate(self.measures):
                for part in PARTS:
                    values = self.at(split, part)[:, place]
                    if np.isfinite(values).any():
                        suffix = "" if part == "value" else f".{part}"
                        columns[f"{measure.key(split)}{suffix}"] = values

        # a cost stands among the facts already, and keeps its place there
        costs = {name: columns.pop(name) for name in list(columns) if name in self.table}
        facts = self.table.assign(**costs)
        return pd.concat([facts, pd.DataFrame(columns, index=facts.index)], axis=1)


def gains_over(
    values: NDArray[np.floating], base: NDArray[np.floating], signs: Floats, units: Floats
) -> Floats:
    """How much better values (.., S, M) are than a base (.., M).

    Every gain over the current point is computed here, except the expected ones of a verdict
    (`bench.ledger.served.joint`).

    Args:
        signs: (M,), 1 where more is better, else -1.
        units: (M,) or (.., M), what differences are divided by; NaN where a gain is a fraction of
            the base, and then it is NaN where the base is 0.
    """
    base = np.asarray(base, dtype=np.float64)
    fractions_of = np.where(base == 0, np.nan, np.abs(base))
    divisors = np.where(np.isnan(units), fractions_of, units)
    return np.asarray(signs * (values - base[..., None, :]) / divisors[..., None, :])


def fractions_over(values: NDArray[np.floating], row: int) -> Floats:
    """Gains of outcomes (.., S, M), where more is better, over a row's, as fractions of these."""
    count = values.shape[-1]
    return gains_over(values, values[..., row, :], np.ones(count), np.full(count, np.nan))


def as_cells(
    values: Floats, draws: Floats, sd: Floats, gained: Floats, gain_draws: Floats
) -> Floats:
    """Cells (S, M, parts) of values (S, M), of gains, and of draws of both (D, S, M); no interval
    without a draw.
    """
    low, high = _ends(values, draws)
    gain_low, gain_high = _ends(gained, gain_draws)
    return np.stack([values, low, high, gained, gain_low, gain_high, sd], axis=-1)


def _ends(values: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """Ends of the intervals of values; NaN where the value is."""
    low, high = band(draws)
    measured = np.isfinite(values)
    # draws of what was nowhere seen are all above 0
    low = np.minimum(np.where(measured, low, np.nan), values)
    return low, np.where(measured, high, np.nan)


def band(draws: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Ends of 90% intervals along the first axis; NaN without draws."""
    if not len(draws):
        nothing = np.full(draws.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.quantile(draws, ENDS, axis=0)
    return low, high


def long_of(ledgers: Mapping[str, Ledger]) -> pd.DataFrame:
    """The long tables of several ledgers, with the name of each as `front`; weights as texts,
    `click 0.8, like 0.2`.
    """
    tables = [ledger.long.assign(front=name) for name, ledger in ledgers.items()]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(weights=[in_words(weights or {}) for weights in table["weights"]])


def write_cells(cells: pd.DataFrame, file: Path) -> None:
    """Writes the long table as a parquet file."""
    write_table(LEDGER, pa.Table.from_pandas(cells, preserve_index=False), file)


def read_cells(file: str | Path) -> pd.DataFrame:
    """The long table of a run's or a decision's `cells.parquet`; raises UserError if the file is
    none.
    """
    table: pd.DataFrame = read_table(LEDGER, Path(file)).to_pandas()
    return table
