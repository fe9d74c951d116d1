from __future__ import annotations

import math

import numpy as np
import pytest
from search_toys import TASKS, toy_space

from bench.search.encoding import Encoding
from bench.search.space import load_space


@pytest.mark.parametrize("space", [toy_space(), load_space("quick"), load_space("wide")], ids=["toy", "quick", "wide"])
def test_configurations_come_back(space) -> None:
    encoding = Encoding(space, TASKS)
    for seed in range(60):
        config = space.sample(np.random.default_rng(seed), TASKS)
        (row,) = encoding.rows([config])
        back = {
            name: encoding.nodes[name].decode(row[at]) for name, at in encoding.column.items() if not np.isnan(row[at])
        }
        searched = {name: value for name, value in config.items() if name in encoding.column}
        assert back == pytest.approx(searched)
        assert [type(value) for value in back.values()] == [type(searched[name]) for name in back]
        numbers = row[(encoding.options == 0) & ~np.isnan(row)]
        assert ((numbers >= 0) & (numbers <= 1)).all()


def test_numbers_lie_on_their_own_scale() -> None:
    encoding = Encoding(toy_space(), TASKS)
    rows = encoding.rows([{"optim.lr": 1e-3, "sharing.ple.levels": 3, "optim.epochs": 2}, {"sharing.kind": "ple"}])
    assert rows[0, encoding.column["optim.lr"]] == pytest.approx(0.5)  # the middle of 1e-5 .. 1e-1
    assert rows[0, encoding.column["sharing.ple.levels"]] == pytest.approx(0.5)
    assert rows[1, encoding.column["sharing.kind"]] == 2
    assert np.isnan(rows).sum() == 2 * len(encoding.names) - 3
    assert "optim.epochs" not in encoding.names  # held fixed


def test_every_number_stands_for_a_value_in_bounds() -> None:
    encoding = Encoding(toy_space(), TASKS)
    levels = [encoding.nodes["sharing.ple.levels"].decode(x) for x in np.linspace(0, 1, 1000)]
    assert [levels.count(level) for level in range(1, 6)] == pytest.approx([200] * 5, abs=2)
    assert encoding.nodes["optim.lr"].decode(1.0) <= 1e-1
    assert math.isclose(encoding.nodes["optim.lr"].decode(0.0), 1e-5)  # type: ignore[arg-type]
