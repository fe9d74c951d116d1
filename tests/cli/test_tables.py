"""Tables and prose at any width: no number and no word is ever broken."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench.cli import output
from bench.cli.output import tables, wrapped

HEADERS = [
    "trial",
    "architecture",
    "balancing",
    "valid/income.auc",
    "valid/never_married.auc",
    "P(non-dominated)",
    "why",
]
ROWS = [
    [25, "shared_embeddings", "upgrad", 0.95493, 0.99485, 0.91, "the best single-task model of each task is behind"],
    [3, "ple+entire_space", "revised_uncertainty", None, 1234567, 0.5, "0.9549 (0.954 to 0.9556)"],
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(monkeypatch: pytest.MonkeyPatch, width: int | None, do) -> str:
    stream = io.StringIO() if width is None else Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("COLUMNS", str(width or 80))  # where there is no terminal it counts for nothing
    do()
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def words_of(text: str) -> set[str]:
    return set(re.sub(r"[│┃┏┓┡┩└┘━─╇┳┴]", " ", text).split())


@pytest.mark.parametrize("width", [None, 200, 120, 80, 60, 40])
def test_a_table_never_breaks_a_number_or_a_word(monkeypatch: pytest.MonkeyPatch, width: int | None) -> None:
    title = "what came of a search on synthetic-funnel@rows=20000 with all of its columns"
    shown = printed(monkeypatch, width, lambda: output.print_table(HEADERS, ROWS, title))
    texts = [title, *HEADERS, *(output.number(value) for row in ROWS for value in row)]
    found = words_of(shown)
    for word in " ".join(texts).split():
        assert word in found or all(part in found for part in re.split("(?<=/)", word)), f"{word}\n{shown}"
    lines = shown.splitlines()
    if width is None:
        assert len(lines) == 7  # a title, a frame and two rows, each on one line
    else:
        assert max(map(len, lines)) <= width
        heads = [line for line in lines if line.startswith("┃") and "trial" in line]
        assert len(heads) > 1 or width >= 120  # each part has the first column
        assert sum("│    25 │" in line for line in lines) == len(heads)


def test_a_word_longer_than_the_terminal_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/a/very/long/path" * 9
    assert path in printed(monkeypatch, 80, lambda: output.print_table(["store", "path"], [["census", path]]))
    assert path in printed(monkeypatch, 80, lambda: output.say(f"store: {path}"))


def test_prose_keeps_the_terminal_s_width_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "  not trial 3 (ple): it is 0.02 worse in like.auc than single-task trial 0 (0.8), where 2 are allowed"
    assert printed(monkeypatch, None, lambda: output.say(text)) == f"{text}\n"
    assert printed(monkeypatch, 40, lambda: output.say(text, whole=True)) == f"{text}\n"
    lines = printed(monkeypatch, 40, lambda: output.say(text)).splitlines()
    assert max(map(len, lines)) <= 40
    assert [len(line) - len(line.lstrip()) for line in lines] == [2, 4, 4]
    assert " ".join(text.split()) == " ".join(" ".join(lines).split())


@given(st.text(alphabet="ab 1./日", max_size=60), st.integers(1, 30))
def test_wrapping_loses_nothing_and_keeps_the_width_where_it_can(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    for line in lines:
        assert Console().measure(line).maximum <= width or len(line.split()) <= 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.integers(20, 100))
def test_every_column_is_in_one_table_and_the_first_in_all(lengths: list[int], width: int) -> None:
    headers = [f"{at}" + "x" * length for at, length in enumerate(lengths)]
    made = tables(headers, [["1"] * len(headers)], [True] * len(headers), width)
    columns = [[str(column.header) for column in table.columns] for table in made]
    assert all(names[0] == headers[0] for names in columns)
    assert [name for names in columns for name in names[1:]] == headers[1:]
