"""A small data set under a folder: card, raw files and home, and what a test does to them."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corruptions import goods

from bench.cli import main

Files = dict[str, bytes]


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


def run(arguments):
    """One command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


@dataclass
class Work:
    """Paths of a data set, and edits of its files; lines count from 1."""

    folder: Path
    server: Any = None

    @property
    def card(self):
        return self.folder / "card.toml"

    @property
    def raw(self):
        return self.folder / "raw"

    @property
    def home(self):
        return self.folder / "home"

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

    def edit(self, name, old, new):
        """Replaces every occurrence in a raw file."""
        content = (self.raw / name).read_bytes()
        assert old in content, f"{old!r} is not in {name}"
        (self.raw / name).write_bytes(content.replace(old, new))

    def cell(self, name, line, column, value, separator=b","):
        """Puts a value into a cell of a line; columns count from 0, quotes are not understood."""
        lines = self._lines(name)
        cells = lines[line - 1].split(separator)
        cells[column] = value
        lines[line - 1] = separator.join(cells)
        self._write(name, lines)

    def line(self, name, line, text):
        """Replaces a line."""
        lines = self._lines(name)
        lines[line - 1] = text
        self._write(name, lines)

    def insert(self, name, line, *texts):
        """Puts lines in so that the first of them becomes that line."""
        lines = self._lines(name)
        lines[line - 1 : line - 1] = texts
        self._write(name, lines)

    def _lines(self, name):
        return (self.raw / name).read_bytes().split(b"\n")[:-1]

    def _write(self, name, lines):
        (self.raw / name).write_bytes(b"\n".join(lines) + b"\n")

    def stores(self):
        """Every file of every store, hidden ones too."""
        return files(self.home / "store")

    def names(self):
        """Every file and folder under the home."""
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*")}

    def inputs(self):
        """Card and raw files."""
        return files(self.raw) | {"../card.toml": self.card.read_bytes()}

    def restore(self, inputs):
        """Puts card, raw files and server back."""
        if self.server is not None:
            goods.serve(self.server)
        for name in files(self.raw):
            (self.raw / name).unlink()
        for name, content in inputs.items():
            path = self.raw / name
            if path.is_dir():
                path.rmdir()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def files(folder):
    """Relative path -> content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arrays(store):
    """What a store holds, except the manifest, which says how long it took."""
    return {name: content for name, content in files(store).items() if name != "manifest.json"}
