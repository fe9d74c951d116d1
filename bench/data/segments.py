"""Segments: parts of the rows by which outcomes are told apart, as a card names them and as a store
holds them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from bench.core.registry import Config
from bench.core.system.mapped import mapped
from bench.data.arrays import ArrayWriter, read_parts
from bench.data.codes import TextCodes
from bench.data.values import as_numbers

SegmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
KNOWN = ("known", "new")
OTHER = "other"
MOST_OWN_VALUES = 20
"""Values of a categorical segment that are told apart."""


class SegmentRule(Config):
    """One way to cut the rows into segments: by category, by ranges of a number, or by whether
    train holds a value.
    """

    column: str | None = None
    """Raw column: its values by their frequency on train, at most `MOST_OWN_VALUES`; all others are
    `OTHER`.
    """
    ranges: tuple[float, ...] = Field((), max_length=MOST_OWN_VALUES)
    """Ends of ranges, rising: the column is then a number, and [25, 45] makes "< 25", "25 to 45"
    and ">= 45".
    """
    known: str | None = None
    """Raw column, in place of `column`: whether a row's value is among those of train."""

    @property
    def raw(self) -> str:
        """The raw column it reads."""
        return self.column or self.known or ""

    @property
    def fixed(self) -> tuple[str, ...]:
        """Its values where data does not decide them; empty for a category."""
        if self.known is not None:
            return KNOWN
        if not self.ranges:
            return ()
        ends = [f"{end:.15g}" for end in self.ranges]
        return (
            f"< {ends[0]}",
            *(f"{low} to {high}" for low, high in pairwise(ends)),
            f">= {ends[-1]}",
        )

    @model_validator(mode="after")
    def _one_way(self) -> SegmentRule:
        if bool(self.column) == bool(self.known):
            raise ValueError("expected either 'column' or 'known', the raw column that it reads")
        if self.ranges and self.known:
            raise ValueError("'ranges' go with 'column', not with 'known'")
        rising = all(low < high for low, high in pairwise(self.ranges))
        if not rising or not all(map(math.isfinite, self.ranges)):
            raise ValueError(f"expected ranges that rise, found {list(self.ranges)}")
        return self


BLOCK = 1 << 16
"""Rows whose segments are written at a time."""
WAITING = "provisional"
Numbers = NDArray[np.int32]


class Segments:
    """The segments that rows are in; takes the parts of a card's rows, in order, all splits
    together.

    Values of categories are numbered as they first appear; which are told apart is known when all
    of train has been seen. The numbers wait on disk until then.
    """

    def __init__(self, rules: Mapping[str, SegmentRule], missing: Collection[str]) -> None:
        self._rules, self._missing = list(rules.items()), missing
        self._values = [TextCodes() for _ in self._rules]
        self._counts = [np.zeros(0, np.int64) for _ in self._rules]

    def take(self, table: Any, train: NDArray[np.bool_]) -> dict[str, Numbers]:
        """What is to be kept of the n rows of an Arrow table: provisional numbers (n, G), if there
        are segments.
        """
        found = [self._numbers(at, table, train) for at in range(len(self._rules))]
        return {WAITING: np.stack(found, axis=1)} if found else {}

    def _numbers(self, at: int, table: Any, train: NDArray[np.bool_]) -> Numbers:
        """(n,) provisional: of a range its code, of any other value its number; -1 where
        missing.
        """
        rule = self._rules[at][1]
        if rule.ranges:
            values = as_numbers(table[rule.raw], self._missing, rule.raw)
            codes = np.searchsorted(rule.ranges, values, side="right")
            return np.where(np.isnan(values), -1, codes).astype(np.int32)
        numbers = self._values[at].code_column(table[rule.raw], self._missing)
        seen = np.bincount(numbers[train & (numbers >= 0)], minlength=len(self._values[at]))
        seen[: len(self._counts[at])] += self._counts[at]
        self._counts[at] = seen
        return numbers

    def finish(self, folders: Sequence[Path]) -> dict[str, Any]:
        """Writes each split's `segments.npy`, when all files are closed; gives what the manifest
        says.
        """
        if not self._rules:
            return {}
        made = [self._made(at) for at in range(len(self._rules))]
        for folder in folders:
            waiting = folder / f"{WAITING}.npy"
            with ArrayWriter(folder / "segments.npy", np.int16, (len(made),)) as out:
                for block in read_parts(mapped(waiting), BLOCK):
                    out.append(
                        np.stack(
                            [codes[block[:, at]] for at, (_, codes) in enumerate(made)], axis=1
                        )
                    )
            waiting.unlink()
        return {
            "segments": {
                name: values for (name, _), (values, _) in zip(self._rules, made, strict=True)
            }
        }

    def _made(self, at: int) -> tuple[list[str], NDArray[np.int16]]:
        """The values of a segment, and for each provisional number the place among them, the last
        for missing.
        """
        rule, counts = self._rules[at][1], self._counts[at]
        if rule.ranges:
            return list(rule.fixed), np.append(
                np.arange(len(rule.fixed), dtype=np.int16), np.int16(-1)
            )
        if rule.known is not None:
            return list(rule.fixed), np.append((counts == 0).astype(np.int16), np.int16(-1))
        # one more, in case `OTHER` is a value of its own
        frequent = np.argsort(-counts, kind="stable")[: MOST_OWN_VALUES + 1]
        texts = dict(zip(frequent.tolist(), self._values[at].texts(frequent.tolist()), strict=True))
        named = [number for number, text in texts.items() if counts[number] and text != OTHER][
            :MOST_OWN_VALUES
        ]
        values = [texts[number] for number in named]
        if len(named) < len(counts):
            values.append(OTHER)
        places = np.full(len(counts) + 1, len(named), np.int16)
        places[named] = np.arange(len(named))
        places[-1] = -1
        return values, places
