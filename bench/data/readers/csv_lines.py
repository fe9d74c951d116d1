"""Delimited text for Arrow's reader: lines without the empty ones, and no quotes that are still open where a line ends.

Arrow reads empty lines at the cost of their square, and where a value goes on in the next line it takes what follows
for part of it, or gives up, depending on where its blocks end.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError

UNFIT = "\x1a"
"""What a line with an open quote is replaced by, one separator more than it should have."""
OPEN = "expected a row on one line, found a quote that is not closed on it"
_EMPTY = re.compile(rb"(\A|\n)[\r\n]+")


class CleanLines(io.RawIOBase):
    """Blocks of whole lines as a stream.

    Args:
        columns: how many a line has, where one with an open quote is to be replaced by `UNFIT`; 0 where it is an error.
    """

    def __init__(self, source: Iterator[bytes], separator: str, name: str, columns: int = 0) -> None:
        self._source, self._separator, self._name = source, separator, name
        self._unfit = (UNFIT + separator * columns).encode() + b"\n" if columns else None
        self._lines, self._at = 0, 0
        self._block = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As of any stream.

        Raises:
            UserError: a line with an open quote, with its number.
        """
        while self._at == len(self._block):
            if (block := next(self._source, None)) is None:
                return 0
            self._block, self._at = self._cleaned(block), 0
        size = min(len(buffer), len(self._block) - self._at)
        buffer[:size] = self._block[self._at : self._at + size]
        self._at += size
        return size

    def _cleaned(self, block: bytes) -> bytes:
        found = block.count(b"\n")
        if self._lines == 0:
            block = block.removeprefix(codecs.BOM_UTF8)
        if b'"' in block:
            block = self._closed(block)
        self._lines += found
        return _EMPTY.sub(rb"\1", block) if b"\n\n" in block or b"\n\r" in block or block[:1] in b"\r\n" else block

    def _closed(self, block: bytes) -> bytes:
        starts = _open_quotes(np.frombuffer(block, np.uint8), ord(self._separator), block.count(b"\n") + 1).tolist()
        if not starts:
            return block
        if self._unfit is None:
            raise UserError(f"{self._name}, line {self._lines + block.count(bytes([10]), 0, starts[0]) + 1}: {OPEN}")
        pieces, at = [], 0
        for start in starts:
            pieces += [block[at:start], self._unfit]
            at = block.find(b"\n", start) + 1 or len(block)
        return b"".join([*pieces, block[at:]])


@numba.njit(nogil=True, cache=True)
def _open_quotes(data: Any, separator: int, most: int) -> NDArray[np.int64]:
    """Where lines begin that end within quotes. A quote counts where a field begins, as in Arrow's reader."""
    found, count, line = np.empty(most, np.int64), 0, 0
    beginning, within, closing = True, False, False
    for at in range(len(data)):
        byte = data[at]
        if byte == 10:
            if within and not closing:
                found[count] = line
                count += 1
            line, beginning, within, closing = at + 1, True, False, False
        elif within and not closing:
            closing = byte == 34
        elif closing and byte == 34:
            closing = False  # two quotes stand for one
        elif byte == separator or byte == 13:
            beginning, within, closing = True, False, False
        else:
            within = beginning and byte == 34
            beginning, closing = False, False
    if within and not closing:
        found[count] = line
        count += 1
    return found[:count]
