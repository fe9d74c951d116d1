"""How far gradient points lie beyond static weights, against simulations; and the answer in a
sentence.
"""

from itertools import count

import numpy as np
import pytest
from scipy.optimize import linprog

from bench.core.objectives import Objective
from bench.ledger.comparison.beyond import answer, beyond, surplus
from bench.ledger.comparison.families import FamilyPoint
from bench.ledger.errors.evidence import Evidence

PLACES = np.linspace(0, np.pi / 2, 9)
SCALE = np.array([1e3, 1e3])


def front(angles, ahead=0.0):
    """Points on an arc, `ahead` before it in both objectives."""
    return 0.75 + 2e-3 * np.column_stack([np.sin(angles), np.cos(angles)]) + ahead


def seen(truth, runs=10, sd=0.0001):
    rng = np.random.default_rng(len(truth))
    return [
        Evidence(value + rng.normal(0, sd, (runs, 2)), np.zeros((runs, 0, 2)), tuple(range(runs)))
        for value in truth
    ]


def ask(static, gradient, **noise):
    comparison = beyond(seen(static, **noise), seen(gradient, **noise), SCALE, 0.5)
    assert comparison is not None
    return comparison


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_it_is_the_value_of_the_game(objectives):
    """The other player's program: the direction in which the point is farthest beyond all static
    ones.
    """
    rng = np.random.default_rng(objectives)
    for _ in range(10):
        game = rng.normal(size=(int(rng.integers(1, 7)), objectives))
        program = linprog(
            c=np.append(np.zeros(objectives), -1.0),
            A_ub=np.hstack([-game, np.ones((len(game), 1))]),
            b_ub=np.zeros(len(game)),
            A_eq=np.append(np.ones(objectives), 0.0)[None],
            b_eq=[1.0],
            bounds=[(0, None)] * objectives + [(None, None)],
        )
        assert surplus(game) == pytest.approx(-program.fun)


def test_two_margins_beyond_is_yes_and_equal_fronts_are_no():
    inner = np.array([0.3, 0.9, 1.2])
    far, near = ask(front(PLACES), front(inner, 1e-3)), ask(front(PLACES), front(inner))
    assert (far.verdict, near.verdict) == ("yes", "no")
    assert far.value == pytest.approx(1.0, abs=0.15)
    assert (far.low < far.value).all()
    assert (far.value < far.high).all()
    assert min(near.chances) > 0.8


BOTH = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
AT = {"click.auc": 0.5, "like.auc": 0.5}


@pytest.fixture
def point(trial):
    """A confirmed trial on an arc at `angle`; static where it has a weight."""
    numbers = count()

    def make(angle, weight=None, ahead=0.0, runs=10, sd=0.0001):
        rng = np.random.default_rng(int(1e6 * angle) + (weight is None))
        truth = 0.75 + 2e-3 * np.array([np.sin(angle), np.cos(angle)]) + ahead
        values = truth + rng.normal(0, sd, (runs, 2))
        record = trial(
            next(numbers), *truth, runs=tuple((tuple(value), tuple(value)) for value in values)
        )
        method = "pcgrad" if weight is None else "static"
        shares = None if weight is None else (weight, 1 - weight)
        return FamilyPoint(
            "first", "shop", "tpe", record.points[0], method, shares, gradient=weight is None
        )

    return make


def answered(*members):
    return answer(members, [], BOTH, AT, "test", "first")


def statics(point, count=9, **options):
    return [point(weight * np.pi / 2, weight, **options) for weight in np.linspace(0, 1, count)]


def gradients(point, ahead):
    return [point(angle, ahead=ahead) for angle in np.linspace(0.3, 1.2, 5)]


def test_tries_of_static_weights_as_good_as_gradient_trials_leave_luck_in_tuning(point):
    """They were not confirmed, but show what static weights reach with luck."""
    gradient_points, seen = gradients(point, 1e-3), [*statics(point), *gradients(point, 1e-3)]
    good = [point.point.metrics for point in gradient_points]
    assert answer(seen, [{}, {}], BOTH, AT, "test", "first").verdict == "yes"  # failed tries
    result = answer(seen, [{}, *good], BOTH, AT, "test", "first")
    assert result.verdict == "cannot tell"
    assert "trials of gradient methods: 5, of static weights: 14" in result.sentence
