"""How far gradient points lie beyond the static front: against a linear program, and on fronts whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from bench.frontier.comparison.beyond import Beyond, beyond, directions_of, surplus
from bench.frontier.samples import Sample

PLACES = np.linspace(0, np.pi / 2, 9)
SCALE = np.array([1e3, 1e3])


def front(angles: np.ndarray, ahead: float = 0.0) -> np.ndarray:
    """Points on an arc, `ahead` before it in both objectives."""
    return 0.75 + 2e-3 * np.column_stack([np.sin(angles), np.cos(angles)]) + ahead


def seen(truth: np.ndarray, runs: int = 10, sd: float = 1e-4) -> list[Sample]:
    rng = np.random.default_rng(len(truth))
    return [Sample(each + rng.normal(0, sd, (runs, 2)), np.zeros((runs, 0, 2)), tuple(range(runs))) for each in truth]


def ask(static: np.ndarray, gradient: np.ndarray, **noise: float) -> Beyond:
    found = beyond(seen(static, **noise), seen(gradient, **noise), SCALE, 0.5)
    assert found is not None
    return found


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_it_is_the_value_of_the_game(objectives: int) -> None:
    """The other player's program: the direction in which the point is farthest beyond all static ones."""
    rng = np.random.default_rng(objectives)
    for _ in range(10):
        game = rng.normal(size=(int(rng.integers(1, 7)), objectives))
        found = linprog(
            c=np.append(np.zeros(objectives), -1.0),
            A_ub=np.hstack([-game, np.ones((len(game), 1))]),
            b_ub=np.zeros(len(game)),
            A_eq=np.append(np.ones(objectives), 0.0)[None],
            b_eq=[1.0],
            bounds=[(0, None)] * objectives + [(None, None)],
        )
        assert surplus(game) == pytest.approx(-found.fun)


def test_directions_are_even_and_few() -> None:
    assert directions_of(2)[:, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    for objectives in range(1, 9):
        directions = directions_of(objectives)
        assert directions.sum(axis=1) == pytest.approx(1)
        assert len(directions) <= 15


def test_two_margins_beyond_is_yes_and_equal_fronts_are_no() -> None:
    inner = np.array([0.3, 0.9, 1.2])
    far, near = ask(front(PLACES), front(inner, 1e-3)), ask(front(PLACES), front(inner))
    assert (far.verdict, near.verdict) == ("yes", "no")
    assert far.value == pytest.approx(1.0, abs=0.15)
    assert (far.low < far.value).all()
    assert (far.value < far.high).all()
    assert min(near.chances) > 0.8


def test_few_noisy_replicates_cannot_tell_and_say_how_many_could() -> None:
    found = ask(front(PLACES), front(np.array([0.8])), runs=2, sd=5e-4)
    assert (found.verdict, max(found.chances) < 0.5) == ("cannot tell", True)
    assert found.needed is not None
    assert found.needed > 10


def test_a_point_farther_along_the_front_is_not_beyond_it() -> None:
    """All static points lie at one place: gradient points at the ends better it in one task and lose in the other."""
    found = ask(front(np.full(9, 0.8)), front(np.array([0.0, 1.5]), 3e-4))
    assert (found.low > 0.5).all()
    assert not found.dominates.any()
    assert found.verdict == "cannot tell"


def test_unrepeated_points_have_no_bounds() -> None:
    assert beyond(seen(front(PLACES), 1), seen(front(PLACES[:1]), 1), SCALE, 0.5) is None
