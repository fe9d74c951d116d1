"""Weights that are climbed to, against a slow climber of another kind, and against what theory says
is best.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from ledger_toys import made_rows
from scipy.special import expit

from bench.core.objectives import Objective
from bench.deciding.aims import aims_of
from bench.deciding.policy import Policy
from bench.ledger.fusion import Fusion
from bench.ledger.served.climb import SHIFT, SOFT, STRICT, TRIES, Box, Goal, Look, climb, fitted
from bench.ledger.served.measuring import Candidate, CurrentRanking
from bench.ledger.served.served import served_front

EQUAL = Fusion.of("power", [1.0, 1.0, 1.0])


def world(tasks, n, noise, seed=0):
    """Rows of tasks that conflict, probabilities (n, T), and one candidate that is off by
    `noise`.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, tasks))
    p = expit(np.linspace(-1.5, -3, tasks) + x - 0.4 * np.roll(x, 1, axis=1))
    rows = made_rows(rng.random(p.shape) < p, "abcdefgh"[:tasks], p.mean(axis=0).tolist())
    predicted = expit(np.log(p / (1 - p)) + noise * rng.normal(size=p.shape)).astype(np.float32)
    return rows, p, Candidate("7", "trial 7", "mmoe", "trial", (1,), lambda split, run: predicted)


def test_what_is_below_a_floor_costs_more_than_any_gain():
    """Floors are asked for with some room; what is unknown is worth nothing."""
    aim = SimpleNamespace(
        score=lambda values, base: values.sum(axis=-1), floors=lambda base, chance: 0.9 * base
    )
    goal = Goal(aim, np.array([0.2, 0.5]), np.zeros(2), room=0.1)
    values = np.array([[0.2, 0.5], [0.19, 0.9], [0.198, 0.495], [np.nan, 0.9]])
    short = (0.198 - 0.19) / 0.198
    assert goal.worth(values) == pytest.approx([0.7, 1.09 - STRICT * short, 0.693, -np.inf])


def test_a_box_ends_at_weights_of_0_and_leaves_the_largest_weight_alone():
    setting = Fusion.of("sum", [4.0, 1.0, 0.0])
    box = Box.around(setting, "sum", 0.9)
    assert box.free == [1, 2]
    assert box.moved(np.zeros(3)).weights == pytest.approx(setting.weights)
    assert box.moved(box.lower).weights == pytest.approx((1.0, 0.0, 0.0))
    largest = np.array([1.0, 0.25, 0.0])
    raised = np.where(box.upper > 0, (largest + SHIFT) * np.exp(0.9) - SHIFT, largest)
    assert box.moved(box.upper).weights == pytest.approx(raised / raised.sum())


def test_lines_through_outcomes_that_are_lines_predict_them():
    """Of two outcomes whose logarithms, with what is added to them, are linear in the moves."""
    slopes = np.array([[0.0, 0.0], [0.4, -0.2], [-0.1, 0.3]])
    aim = SimpleNamespace(
        score=lambda values, base: values.sum(axis=-1), floors=lambda base, chance: 0 * base
    )
    goal = Goal(aim, np.array([0.2, 0.5]), np.zeros(2))

    def look(move):
        outcomes = 1.2 * np.exp(move @ slopes) - SOFT * goal.base
        return Look(EQUAL, float(goal.worth(outcomes)), outcomes)

    moves = np.array([[0.0, 0.45, 0.0], [0.0, 0.0, -0.45]])
    lines = fitted(look(np.zeros(3)), moves, [look(move) for move in moves], goal)
    np.testing.assert_allclose(lines.slopes, slopes, atol=1e-12)
    far = np.array([0.0, -0.3, 0.7])
    assert lines.score(far) == pytest.approx(look(far).score)


def recalls(labels, score):
    """Recall of each task in the first tenth: (T,)."""
    first = np.argpartition(-score, len(score) // 10)[: len(score) // 10]
    return labels[first].sum(axis=0) / labels.sum(axis=0)


def slowly(worth, tasks, rng, restarts):
    """The most that steps in random directions find, from many starts, of a sum or a power, and
    where.
    """
    best = -np.inf, "", np.zeros(tasks)
    for restart in range(restarts):
        kind, log_weights, size = ("power", "sum")[restart % 2], rng.normal(size=tasks), 1.0
        now = worth(kind, np.exp(log_weights))
        while size > 0.05:
            to = log_weights + size * rng.normal(size=tasks)
            then = worth(kind, np.exp(to))
            log_weights, now, size = (
                (to, then, size) if then > now else (log_weights, now, 0.85 * size)
            )
        best = max(best, (now, kind, np.exp(log_weights)), key=lambda entry: entry[0])
    return best


def climbed_to(rows, candidate, aim):
    """The weights that the served front has for a candidate alone."""
    outcomes = [Objective(f"{task}.recall@10%", "maximize") for task in rows.tasks]
    splits = dict.fromkeys(("confirm", "test"), rows)
    served = served_front(
        [candidate], splits, outcomes, CurrentRanking("7", today=False), 0, 2, 2, [aim]
    )
    row = served.table.iloc[served.current]
    return row["kind"], np.array([*row["weights"].values()])


@pytest.mark.parametrize(
    ("tasks", "seed"),
    [(2, 0), (3, 1), *(pytest.param(5, seed, marks=pytest.mark.slow) for seed in (1, 3))],
)
def test_weights_are_as_good_as_a_slow_climbers_best_of_many_restarts(tasks, seed):
    """By the mean logarithm, where no outcome is below a random order; by labels, and by what they
    are drawn from.
    """
    rows, p, candidate = world(tasks, 12_000, 0.7, seed)
    predicted = candidate.predictions("confirm", 0).astype(float)

    def worth(kind, weights, truth=rows.labels):
        outcomes = recalls(
            truth,
            np.log(predicted) @ weights if kind == "power" else predicted / rows.rates @ weights,
        )
        return np.log(outcomes).mean() - 10 * np.maximum(0, 1 - outcomes / 0.1).sum()

    best, *slow = slowly(worth, tasks, np.random.default_rng(1), 10 * tasks)
    climbed = climbed_to(
        rows,
        candidate,
        aims_of(Policy(), [f"{task}.recall@10%" for task in rows.tasks], {}, False)[0],
    )
    assert worth(*climbed) > best - 0.03
    assert worth(*climbed, p) > worth(*slow, p) - 0.01


@pytest.mark.parametrize(("tasks", "seed"), [(3, 0), (5, 1), (8, 2)])
def test_within_a_guard_a_climb_is_as_good_as_a_slow_climbers_best_of_many_restarts(tasks, seed):
    """No outcome may be below 95% of what today's weights give: the best weights are on several
    such edges.
    """
    rows, p, candidate = world(tasks, 3_000, 0.7, seed)
    scores = np.log(candidate.predictions("confirm", 0).astype(float))
    today = np.exp(1.5 * np.random.default_rng(seed).normal(size=tasks))
    aim = aims_of(Policy(), [f"{task}.recall@10%" for task in rows.tasks], {}, True)[0]
    goal = Goal(aim, recalls(p, scores @ today), np.full(tasks, 0.1))
    best, *_ = slowly(
        lambda _, weights: float(goal.worth(recalls(p, scores @ weights))),
        tasks,
        np.random.default_rng(1),
        5,
    )
    equal = Fusion.of("power", [1.0] * tasks)
    reached, best_fusion = climb(
        lambda fusion: recalls(p, scores @ np.array(fusion.weights)), [equal], goal, TRIES
    )
    assert reached == goal.worth(recalls(p, scores @ np.array(best_fusion.weights))) > best - 0.02


@pytest.mark.filterwarnings("error")
def test_a_climb_gets_from_a_weight_of_0_to_one_and_past_outcomes_below_0():
    """The best weights are 3 and 1; an amount that is lost elsewhere is below 0."""

    def measure(fusion):
        first, second = np.array(fusion.weights) / max(fusion.weights)
        return np.array([2 - (second - 1 / 3) ** 2, -first])

    aim = SimpleNamespace(
        score=lambda values, base: values[..., 0], floors=lambda base, chance: 0 * base
    )
    _, climbed = climb(
        measure, [Fusion.of("sum", [1.0, 0.0])], Goal(aim, np.ones(2), np.zeros(2)), TRIES
    )
    assert climbed.weights[1] / climbed.weights[0] == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_of_true_probabilities_what_each_event_is_worth_is_its_best_weight(tasks):
    """All that is earned in the first tenth is most where rows are ranked by what they are expected
    to earn.
    """
    rows, p, candidate = world(tasks, 12_000, 0.0)
    value = np.arange(1, tasks + 1.0)
    policy = Policy(rule="value", values=dict(zip(rows.tasks, value.tolist(), strict=True)))
    names = [f"{task}.recall@10%" for task in rows.tasks]
    aim = aims_of(policy, names, dict(zip(rows.tasks, rows.rates, strict=True)), False)[0]

    def earned(kind, weights):
        score = np.log(p) @ weights if kind == "power" else p / rows.rates @ weights
        return float(recalls(p, score) @ (p.sum(axis=0) * value))

    best = earned("sum", value * rows.rates)
    assert 0.985 < earned(*climbed_to(rows, candidate, aim)) / best <= 1 + 1e-9
