"""The log of a search: `study.jsonl`, one JSON object a line for each event, appended and flushed to disk.

It is the only source of truth; all else that is known of a search is a view of it. An event is there whole or not at
all: readers ignore a torn last line, and a driver cuts it off.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from bench.atomic import room_for, write_text
from bench.errors import UserError

FILE = "study.jsonl"
AT_LENGTH = "at length"
"""The last key of an event, for what few readers need. An event that was read has a function there that decodes it."""
_MARK = f',"{AT_LENGTH}":'.encode()  # unique: no name of a configuration or of a metric has a space

Event = dict[str, Any]


class Log:
    """The log, for one writer at a time, which must hold the folder's lock, and for any number of readers.

    Args:
        folder: of the search; the file is created with its first event.
        write: whether this is the writer, which checks every line whole and cuts off a torn one.

    Raises:
        UserError: the file is damaged elsewhere than at its end, or is no log of a search.
    """

    def __init__(self, folder: Path, write: bool = False) -> None:
        self.path = folder / FILE
        self._write = write
        text = self.path.read_bytes() if self.path.is_file() else b""
        *self._lines, _torn = text.split(b"\n")
        try:
            self._at(len(self._lines), whole=True) if self._lines else None
        except UserError:
            self._lines.pop()
        if text and (not self._lines or self._at(1).get("event") != "begun"):
            raise UserError(f"{self.path}: expected the log of a search, found another file")
        self._size = sum(len(line) + 1 for line in self._lines)
        if write and self._size < len(text):
            os.truncate(self.path, self._size)

    def take(self) -> Iterator[Event]:
        """The events that the file held, in order; once, since what is taken is let go."""
        for number in range(1, len(self._lines) + 1):
            yield self._at(number)
        self._lines = []

    def append(self, event: Event) -> Event:
        """Puts an event on the disk; gives it as a reader would find it."""
        assert self._write
        line = json.dumps(event, separators=(",", ":"))
        if not self._size:
            write_text(self.path, f"{line}\n")  # so that a file with anything in it has a whole first line
        else:
            self._add(f"{line}\n".encode())
        self._size += len(line) + 1
        return _parse(line.encode(), str(self.path))

    def _add(self, text: bytes) -> None:
        with room_for(self.path), self.path.open("ab", buffering=0) as file:
            try:
                left = memoryview(text)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except BaseException:
                with suppress(OSError):  # the first error is the one to report; the next driver cuts off what is left
                    file.truncate(self._size)
                raise

    def _at(self, number: int, whole: bool = False) -> Event:
        event = _parse(self._lines[number - 1], f"{self.path}: line {number}")
        if (whole or self._write) and AT_LENGTH in event:
            event[AT_LENGTH]()
        return event


@contextmanager
def many_objects() -> Iterator[None]:
    """For code that makes many objects and no garbage: looking for garbage among them would take most of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _parse(line: bytes, where: str) -> Event:
    head, mark, rest = line.partition(_MARK)
    event = _object(head + b"}" if mark else line, where)
    if mark:
        event[AT_LENGTH] = partial(_object, rest[:-1], where)
    return event


def _object(text: bytes, where: str) -> Event:
    try:
        found = from_json(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{where} is damaged; expected one event of a search as a JSON object")
    return found
