"""The distinct values of a column as codes 0, 1, 2, ..; whole numbers are held as such until another value comes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.codes import NULL, Codes, IntegerCodes
from bench.data.spans import Spans, canonical_spans, stretches
from bench.data.text_codes import TextCodes


class ColumnCodes:
    """The values seen so far, as they are spelled; a whole number is its digits."""

    def __init__(self) -> None:
        self._numbers, self._texts = IntegerCodes(), TextCodes()

    def __len__(self) -> int:
        return len(self._numbers) + len(self._texts)

    @property
    def whole(self) -> bool:
        """Whether all values so far are whole numbers."""
        return len(self._texts) == 0

    def code_numbers(self, numbers: NDArray[np.int64], grow: bool = True) -> Codes:
        """Codes of whole numbers (n,), where no text came yet; see `IntegerCodes.code`."""
        assert self.whole
        return self._numbers.code(numbers, grow)

    def code(self, spans: Spans, grow: bool = True) -> Codes:
        """Codes of texts (n,); see `TextCodes.code`."""
        if len(self._numbers):
            self._texts.code(stretches(pa.array(self._numbers.values).cast(pa.string())))  # codes stay what they are
            self._numbers = IntegerCodes()
        return self._texts.code(spans, grow)

    def texts(self, codes: Sequence[int]) -> list[str]:
        """What they stand for."""
        return self._texts.texts(codes) if not self.whole else list(map(str, self._numbers.values[codes].tolist()))

    def two_spellings(self) -> tuple[str, str] | None:
        """Texts that are one number in two spellings, as 1 and 1.0 are; None where there are none."""
        values = self._texts
        short = canonical_spans(values.spans)
        at = np.flatnonzero(short.ends - short.starts != np.diff(values.spans.ends, prepend=0))
        longer = Spans(short.data, short.starts[at], short.ends[at])
        apart = TextCodes()
        shorter, same = values.code(longer, grow=False), apart.code(longer)
        if (found := np.flatnonzero(shorter >= 0)).size:
            return values.texts([int(shorter[found[0]])])[0], values.texts([int(at[found[0]])])[0]
        if len(apart) < len(at):
            again = int(np.argmax(np.bincount(same) > 1))
            first, second = np.flatnonzero(same == again)[:2]
            one, other = values.texts(at[[first, second]].tolist())
            return one, other
        return None


def whole_numbers(values: Any, missing: Collection[str] = ()) -> NDArray[np.int64] | None:
    """An Arrow array (n,) of whole numbers, `NULL` where missing; None where it holds others or is of another type."""
    if not pa.types.is_integer(values.type):
        return None
    if values.type != pa.int64():
        try:
            values = values.cast(pa.int64())
        except pa.ArrowInvalid:  # beyond 2^63
            return None
    numbers: NDArray[np.int64] = pc.fill_null(values, NULL).to_numpy(zero_copy_only=False)
    if np.count_nonzero(numbers == NULL) > values.null_count:
        return None
    marks = [int(marker) for marker in missing if marker.lstrip("-").isdecimal() and str(int(marker)) == marker]
    return np.where(np.isin(numbers, marks), NULL, numbers) if marks else numbers
