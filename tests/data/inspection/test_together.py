from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from known_labels import known

from bench.data.inspection import trying
from bench.data.inspection.column import count_column
from bench.data.inspection.leaks import find_leak
from bench.data.inspection.trying import Together, halves_of

N = 6000
RNG = np.random.default_rng(0)
SPLIT = (np.arange(N) % 3).astype(np.int8)


@pytest.mark.parametrize("binary", [True, False])
def test_two_times_that_tell_a_delay_are_named(binary: bool) -> None:
    planned, delay, other = RNG.integers(0, 20, N), 10 * RNG.integers(0, 2, N), RNG.integers(0, 9, N)
    y = (delay > 0).astype(float) if binary else delay + RNG.normal(size=N) / 9
    label, values = known(y, binary), {"planned": planned, "actual": planned + delay, "other": other}
    columns = {name: count_column(name, pa.array(each.astype(float))) for name, each in values.items()}
    assert not any(find_leak(column, {"y": label}) for column in columns.values())
    together = Together(halves_of(SPLIT, {"y": label}))
    for column in columns.values():
        together.add(column)
    note = together.notes(list(columns))["y"]
    assert "'actual' and 'planned'" in note
    assert "other" not in note
    assert together.notes(["actual", "other"]) == {}
    assert together.notes([]) == {}


def test_inputs_that_tell_much_but_not_all_are_no_suspects() -> None:
    shop = RNG.integers(0, 30, N).astype(float)
    label = known((RNG.random(N) < shop / 30).astype(float))
    together = Together(halves_of(SPLIT, {"y": label}))
    together.add(count_column("shop", pa.array(shop)))
    assert together.notes(["shop"]) == {}


def test_a_rare_label_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trying, "LEARN", 100)
    monkeypatch.setattr(trying, "TRY", 100)
    first, second = RNG.integers(0, 20, N), RNG.integers(0, 20, N)
    label = known(((first == 3) & (second > 2)).astype(float))
    together = Together(halves_of(SPLIT, {"y": label}))
    for name, values in (("first", first), ("second", second)):
        together.add(count_column(name, pa.array(values.astype(float))))
    assert "'first'" in together.notes(["first", "second"])["y"]
