"""A small data set under a folder: card, raw files and home; a command; and a disk whose writes are
watched.
"""

import contextlib
import errno
import io
import os
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from bench.app.cli import main

Said = namedtuple("Said", "code out err")
"""What a command answered."""


def run(arguments):
    """One command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


class Work:
    """Paths of a data set, and an edit of its card."""

    def __init__(self, folder, server=None):
        self.folder, self.server = folder, server
        self.card, self.raw, self.home = folder / "card.toml", folder / "raw", folder / "home"

    @property
    def prepare(self):
        """The command; what a server has is fetched."""
        raw = [] if self.server else ["--raw", self.raw]
        return ["data", "prepare", self.card, *raw, "--home", self.home]

    def card_edit(self, old, new):
        """Replaces a piece of the card that is there once."""
        text = self.card.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times on the card"
        self.card.write_text(text.replace(old, new))

    def stores(self):
        """Every file of every store, hidden ones too."""
        return files(self.home / "store")

    def names(self):
        """Every file and folder under the home."""
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*")}


def files(folder):
    """Relative path -> content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def watched(folder, write):
    """Every write to a file below `folder` that is opened by `Path.open`.

    Args:
        write: bytes that are about to go to the system -> how many of them go; may raise.
    """
    opened = io.open

    class Raw(io.FileIO):
        def write(self, data):
            return super().write(memoryview(data).cast("B")[: write(memoryview(data).nbytes)]) or 0

    def open_watched(file, mode="r", buffering=-1, *text, **options):
        if not set(mode) & set("wax+") or not Path(file).is_relative_to(folder):
            return opened(file, mode, buffering, *text, **options)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), opener=options.pop("opener", None))
        binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, *text, **options)

    with mock.patch.object(io, "open", open_watched):
        yield


@contextmanager
def room(folder, size):
    """Lets `size` bytes be written below `folder`; then the disk is full."""
    free = size

    def write(asked):
        nonlocal free
        if free == 0 and asked:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(asked, free)
        free -= taken
        return taken

    with watched(folder, write):
        yield
