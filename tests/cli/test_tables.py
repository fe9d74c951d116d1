"""Tables and prose at any width: no number and no word is ever broken."""

import io
import re

import pytest

from bench.cli import output

HEADERS = ["trial", "architecture", "balancing", "valid/income.auc", "valid/never_married.auc"]
HEADERS += ["P(non-dominated)", "why[country=US]"]
ROWS = [
    [25, "shared_embeddings", "upgrad", 0.95493, 0.99485, 0.91, "the best single-task model of each task is behind"],
    [3, "ple+entire_space", "revised_uncertainty", None, 1234567, 0.5, "0.9549 (0.954 to 0.9556)"],
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(monkeypatch, width, do):
    stream = io.StringIO() if width is None else Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", str(width or 80))  # where there is no terminal it counts for nothing
    do()
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def words_of(text):
    return set(re.sub(r"[│┃┏┓┡┩└┘━─╇┳┴]", " ", text).split())


@pytest.mark.parametrize("width", [None, 200, 120, 80, 60, 40])
def test_a_table_never_breaks_a_number_or_a_word(monkeypatch, width):
    title = "what came of a search on synthetic-funnel@rows=20000 with all of its columns"
    shown = printed(monkeypatch, width, lambda: output.print_table(HEADERS, ROWS, title))
    texts = [title, *HEADERS, *(output.number(value) for row in ROWS for value in row)]
    found = words_of(shown)
    for word in " ".join(texts).split():
        assert word in found, f"{word}\n{shown}"
    lines = shown.splitlines()
    if width is None:
        assert len(lines) == 7  # a title, a frame and two rows, each on one line
    else:
        assert max(map(len, lines)) <= width
        heads = [line for line in lines if line.startswith("┃") and "trial" in line]
        assert len(heads) > 1 or width >= 120  # each part has the first column
        assert sum("│    25 │" in line for line in lines) == len(heads)
