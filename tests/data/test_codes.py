from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.codes import ABSENT, UNKNOWN, IntegerCodes

NUMBERS = st.one_of(st.integers(0, 40), st.integers(-1, 2**63 - 1))


@settings(max_examples=60)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 3)), max_size=60), st.lists(NUMBERS, min_size=1, max_size=9))
def test_codes_are_those_of_a_dictionary(rows: list[tuple[int, int, int]], asked: list[int]) -> None:
    table, known, counts = IntegerCodes(), dict[int, int](), dict[int, int]()
    for part in (rows[:7], rows[7:]):
        ids = np.array([row[:2] for row in part], np.int64).reshape(-1, 2)
        out = np.empty(ids.shape, np.int32)
        table.code(ids, out, grow=True)
        expected = [[ABSENT if i < 0 else known.setdefault(i, len(known)) for i in row] for row in ids.tolist()]
        assert out.tolist() == expected
        table.count(out, np.array([row[2] for row in part], np.int64))
        for a, b, weight in part:
            for i in (a, b):
                counts[i] = counts.get(i, 0) + weight
    assert table.values.tolist() == list(known)
    assert table.counts.tolist() == [counts[value] for value in known]
    out = np.empty((len(asked), 1), np.int32)
    table.code(np.array(asked)[:, None], out, grow=False)
    assert out[:, 0].tolist() == [ABSENT if i < 0 else known.get(i, UNKNOWN) for i in asked]


def test_a_table_grows() -> None:
    ids = np.random.default_rng(0).integers(0, 2**62, (50_000, 2))
    table, out = IntegerCodes(), np.empty((50_000, 2), np.int32)
    table.code(ids, out, grow=True)
    np.testing.assert_array_equal(table.values[out], ids)
    assert len(table) == len(np.unique(ids))
