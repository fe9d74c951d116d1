from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from bench.data.inspection.render import comment, key, packed, toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT, st.one_of(TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.lists(TEXT))))
def test_what_is_written_reads_back(values: dict) -> None:
    assert tomllib.loads("".join(f"{key(name)} = {toml(value)}\n" for name, value in values.items())) == values


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back(value: float) -> None:
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value


@given(TEXT)
def test_a_comment_stays_a_comment(text: str) -> None:
    assert tomllib.loads("\n".join(comment(text)) + "\n") == {}


def test_inline_tables() -> None:
    assert tomllib.loads(f"x = {toml({'a b': 1, 'c': [True]})}") == {"x": {"a b": 1, "c": [True]}}


@given(st.lists(TEXT))
def test_a_packed_array_reads_back(values: list[str]) -> None:
    assert tomllib.loads("\n".join(["x = [", *packed(values), "]"]))["x"] == values
