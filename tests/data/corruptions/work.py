"""A small data set under a folder: card, raw files and home; and a command."""

import contextlib
import io
from collections import namedtuple

from bench.cli import main

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
        return ["prepare", self.card, *raw, "--home", self.home]

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
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
