"""Configurations as rows of numbers, and the columns that a row has."""

import math

import numpy as np
import pytest
from search_toys import TASKS, toy_space

from bench.search.gaussian import Encoding
from bench.search.space import load_space


@pytest.mark.parametrize("space", [toy_space(), load_space("quick"), load_space("wide")], ids=["toy", "quick", "wide"])
def test_configurations_come_back(space):
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


def test_every_number_stands_for_a_value_in_bounds():
    encoding = Encoding(toy_space(), TASKS)
    levels = [encoding.nodes["sharing.ple.levels"].decode(x) for x in np.linspace(0, 1, 1000)]
    assert [levels.count(level) for level in range(1, 6)] == pytest.approx([200] * 5, abs=2)
    assert encoding.nodes["optim.lr"].decode(1.0) <= 1e-1
    assert math.isclose(encoding.nodes["optim.lr"].decode(0.0), 1e-5)


SHAPE = Encoding(toy_space(), TASKS)


def random_rows(count, seed=0):
    return SHAPE.draw(count, np.random.default_rng(seed))


def valid(row, shape=SHAPE):
    """A row has what its configuration has, and stands for it exactly."""
    return bool(np.allclose(shape.rows([shape.config(row)])[0], row, equal_nan=True, atol=1e-9))


@pytest.mark.parametrize("name", ["quick", "funnel", "joint", "losses", "wide"])
def test_every_way_of_making_rows_makes_configurations(name):
    """`config` walks the space's tree, which knows nothing of columns."""
    shape, rng = Encoding(load_space(name), ("a", "b", "c")), np.random.default_rng(1)
    rows = shape.draw(60, rng)
    for made in (rows, shape.vary(rows, 0.3, rng), shape.cross(rows, rows[::-1], rng)):
        assert all(valid(row, shape) for row in made)


@pytest.mark.slow
def test_rows_are_drawn_as_the_space_draws():
    rows, rng = random_rows(4000), np.random.default_rng(5)
    drawn = SHAPE.rows([toy_space().sample(rng, TASKS) for _ in range(4000)])
    np.testing.assert_allclose(np.isnan(rows).mean(axis=0), np.isnan(drawn).mean(axis=0), atol=0.04)
    np.testing.assert_allclose(np.nanmean(rows, axis=0), np.nanmean(drawn, axis=0), rtol=0.1, atol=0.03)


def test_rows_stand_for_what_is_pinned():
    rng, rows, pinned = np.random.default_rng(2), random_rows(30), {"sharing.kind": "mmoe", "optim.lr": 0.01}
    (given,) = SHAPE.rows([pinned])
    known = ~np.isnan(given)
    for made in (SHAPE.draw(30, rng, pinned), SHAPE.vary(rows, 0.3, rng, pinned), SHAPE.cross(rows, rows, rng, pinned)):
        assert (made[:, known] == given[known]).all()
        assert all("sharing.mmoe.experts" in SHAPE.config(row, pinned) for row in made)


def test_a_change_is_small_on_both_sides_also_beside_a_bound():
    rng, column = np.random.default_rng(0), SHAPE.column["optim.lr"]
    for at in (0.03, 0.5, 0.97):
        rows = random_rows(1500)
        rows[:, column] = at
        found = SHAPE.vary(rows, 0.9, rng)[:, column]
        found = found[found != at]
        assert not np.isin(found, (0, 1)).any()  # a step beyond a bound comes back
        near = np.abs(found - at) < 0.2
        assert 0.65 < near.mean() < 0.95  # the others are new draws
        assert np.abs(found - at)[near].mean() == pytest.approx(0.07, abs=0.02)


def test_a_child_has_only_what_a_parent_has():
    """A branch's own parameters come from the parent that has the branch: nothing is drawn again."""
    first, second = random_rows(200, 1), random_rows(200, 2)
    children = SHAPE.cross(first, second, np.random.default_rng(4))
    inherited = (children == first) | (children == second) | np.isnan(children)
    # Only a switch within the branch of one, which the other lacks, can bring in what neither has.
    assert inherited.mean() > 0.99
    same = SHAPE.cross(first, first, np.random.default_rng(4))
    np.testing.assert_allclose(same, first)
