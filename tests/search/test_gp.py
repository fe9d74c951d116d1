"""Expected improvement of the hypervolume against definitions, and what the sampler finds with it."""

from __future__ import annotations

import moocore
import numpy as np
import pytest
from search_toys import OBJECTIVES, TASKS, objectives, printed_under_other_hashes, toy_space

from bench.core.records import Scalar
from bench.core.seeds import derive
from bench.search.gaussian import Shape
from bench.search.gp import GaussianSampler, expected, merit
from bench.search.ranking import best_first


@pytest.mark.parametrize(("objectives", "tolerance"), [(1, 1e-9), (2, 1e-9), (3, 0.25)])
def test_improvements_are_in_proportion_to_hypervolume(objectives: int, tolerance: float) -> None:
    """Against exact hypervolume: one factor for all points, up to the number of directions."""
    rng = np.random.default_rng(0)
    front, points = rng.random((6, objectives)), 1 + rng.random((12, objectives))
    reference = np.full(objectives, -0.2)
    found = expected(points[None], front, reference)
    if objectives == 1:
        exact = points[:, 0] - front.max()
    else:
        of = [moocore.hypervolume(np.vstack([front, p]), ref=reference, maximise=True) for p in points]
        exact = np.array(of) - moocore.hypervolume(front, ref=reference, maximise=True)
    ratio = found / exact
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=tolerance)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_front_without_a_range_is_improved_by_what_does_not_dominate_it(rows: int) -> None:
    """Against exact hypervolume, of a front of one point, and of one whose points share a value."""
    rng = np.random.default_rng(0)
    front, reference = 0.4 + 0.4 * rng.random((rows, 3)), np.zeros(3)
    front[:, 2] = 0.6
    points = front[rng.integers(rows, size=40)] + rng.normal(0, 0.1, (40, 3))
    of = [moocore.hypervolume(np.vstack([front, p]), ref=reference, maximise=True) for p in points]
    exact = np.array(of) - moocore.hypervolume(front, ref=reference, maximise=True)
    assert np.corrcoef(expected(points[None], front, reference), exact)[0, 1] > 0.9


def test_what_is_dominated_or_below_the_reference_adds_nothing() -> None:
    front = np.array([[1.0, 2.0], [2.0, 1.0]])
    points = np.array([[[0.9, 1.9], [1.0, 2.0], [-1.0, 9.0]]])
    np.testing.assert_array_equal(expected(points, front, np.zeros(2)), 0)


def test_samples_are_averaged() -> None:
    points = np.array([[[1.0, 1.0]], [[3.0, 3.0]]])
    one, two = (expected(points[[i]], np.empty((0, 2)), np.zeros(2)) for i in (0, 1))
    assert expected(points, np.empty((0, 2)), np.zeros(2)) == pytest.approx((one + two) / 2)


def test_what_adds_nothing_is_in_order_of_how_far_it_is_from_that() -> None:
    front, reference = np.array([[1.0, 2.0], [2.0, 1.0]]), np.zeros(2)
    points = np.array([[[0.1, 0.1], [0.9, 1.9], [1.4, 0.9], [2.0, 2.0]]])
    found = merit(points, front, reference)
    assert (found[:3] < 0).all()
    assert found[3] == pytest.approx(expected(points, front, reference)[3])
    assert found.argsort().tolist() == [0, 1, 2, 3]
    both = merit(np.concatenate([points, points - 1]), front, reference)
    np.testing.assert_allclose(both[:3], found[:3])  # the best sample counts


def test_what_is_beyond_the_reference_comes_after_what_is_within() -> None:
    points = np.array([[[-1.0, 9.0], [-0.5, 9.0], [0.5, 0.5]]])
    found = merit(points, np.array([[1.0, 1.0]]), np.zeros(2))
    assert found.argsort().tolist() == [0, 1, 2]


def test_there_is_an_order_far_behind_the_front() -> None:
    found = merit(np.array([[[1.0], [2.0], [3.0]]]), np.array([[1000.0]]), np.array([900.0]))
    assert found.argsort().tolist() == [0, 1, 2]
    assert len(set(found)) == 3


REFERENCE = {"click.auc": 0.0, "like.auc": 0.0}
PROCESS = GaussianSampler(Shape(toy_space(), TASKS), OBJECTIVES, REFERENCE, (4, 16, 64))


def one(results, configs: list[dict[str, Scalar]], seed: int, pinned: dict[str, Scalar] | None = None):
    return PROCESS.propose_batch(results, configs, seed, [pinned or {}])[0]


def propose(values: list[tuple[float, float]], configs: list[dict[str, Scalar]], seed: int, **pinned: Scalar):
    given = {key.replace("__", "."): value for key, value in pinned.items()}
    return one([(value,) for value in values], configs, seed, given)


def sequence(seed: int, trials: int, learns: bool = True) -> list[tuple[float, float]]:
    """Objectives of a search, one trial after the other; without `learns` all are random."""
    configs: list[dict[str, Scalar]] = []
    values: list[tuple[float, float]] = []
    for number in range(trials):
        known = (values, configs) if learns else ([], [])
        configs.append(propose(*known, derive(seed, number)))
        values.append(objectives(configs[-1]))
    return values


def hypervolume(values: list[tuple[float, float]]) -> float:
    return float(moocore.hypervolume(np.array(values), ref=[0.0, 0.0], maximise=True))


@pytest.mark.slow
def test_learns_on_a_conditional_space() -> None:
    learnt = np.array([hypervolume(sequence(seed, 40)) for seed in range(5)])
    random = np.array([hypervolume(sequence(seed, 40, learns=False)) for seed in range(5)])
    assert np.median(learnt) > np.median(random)
    assert (learnt > random).sum() >= 4


@pytest.mark.parametrize("known", [0, 3, 40])
def test_a_proposal_is_a_configuration_and_keeps_what_is_pinned(known: int) -> None:
    configs = [toy_space().sample(np.random.default_rng(seed), TASKS) for seed in range(known)]
    values = [objectives(config) for config in configs]
    for seed in range(5):
        found = propose(values, configs, seed, sharing__kind="mmoe", optim__lr=0.01)
        assert (found["sharing.kind"], found["optim.lr"]) == ("mmoe", 0.01)
        row = PROCESS.shape.encoding.rows([found])[0]
        assert len(found) == (~np.isnan(row)).sum()


def test_results_at_low_rungs_lead_to_the_same_place() -> None:
    """All trials except a few stay at the lowest rung, where every value is less by the same."""
    configs = [toy_space().sample(np.random.default_rng(seed), TASKS) for seed in range(60)]
    results = []
    for number, config in enumerate(configs):
        rungs = [tuple(value - loss for value in objectives(config)) for loss in (0.5, 0.1, 0.0)]
        results.append(tuple(rungs[: 3 if number < 4 else 1]))
    found = [objectives(one(results, configs, seed)) for seed in range(6)]
    order = best_first(np.array([objectives(config) for config in configs]), OBJECTIVES, REFERENCE)
    middle = objectives(configs[order[30]])
    assert np.mean([sum(each) > sum(middle) for each in found]) > 0.8


def test_failed_trials_and_many_trials_are_no_trouble() -> None:
    """A proposal models a bounded part of 5,000 trials, of those under way as well; NaN is passed over."""
    rng = np.random.default_rng(0)
    configs = PROCESS.shape.draw(5000, rng)
    plain = [PROCESS.shape.config(row) for row in configs]
    results = [(objectives(config),) if i % 3 else () for i, config in enumerate(plain)]
    results[1] = ((float("nan"), 1.0),)
    belief = PROCESS.learn(results, plain, 1)
    assert belief is not None
    assert len(belief.posterior._rows) <= 256 + 64  # those that it is given, and trials under way
    assert belief.propose_batch(3, [{}]) == PROCESS.learn(results, plain, 1).propose_batch(3, [{}])  # type: ignore[union-attr]


def test_less_is_expected_beside_a_failed_trial() -> None:
    """The more, the more of them failed; a search by rungs has None for them."""
    results, configs = known(40)
    config = one(results, configs, 1)
    row, expected_there = PROCESS.shape.encoding.rows([config]), []
    for failures in (0, 1, 4):
        belief = PROCESS.learn([*results, *[None] * failures], [*configs, *[config] * failures], 1)
        assert belief is not None
        expected_there.append(belief.posterior.at(row)[0])
    assert (np.diff(expected_there, axis=0) < 0).all()


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**100])
def test_objectives_may_have_any_unit(unit: float) -> None:
    results, configs = known(40)
    scaled = [tuple(tuple(unit * value for value in rung) for rung in rungs) for rungs in results]
    assert one(scaled, configs, 1) == one(results, configs, 1)


def test_equal_values_are_no_trouble() -> None:
    configs = [toy_space().sample(np.random.default_rng(seed), TASKS) for seed in range(12)]
    assert one([((0.5, 0.5),)] * 12, configs, 0)


@pytest.mark.slow
def test_a_proposal_depends_on_its_arguments_alone() -> None:
    code = "from test_gp import *; print(sequence(5, 16))"
    assert printed_under_other_hashes(code) == [str(sequence(5, 16))] * 2


def nearest(found: list[dict[str, Scalar]]) -> float:
    """The least root mean square of differences between two configurations; 1 where options or branches differ."""
    rows = PROCESS.shape.encoding.rows(found)
    apart = np.abs(rows[:, None] - rows[None])
    apart = np.where(PROCESS.shape.encoding.options > 0, apart > 0, apart)
    apart = np.where(np.isnan(apart), np.isnan(rows[:, None]) != np.isnan(rows[None]), apart)
    distances = np.sqrt((apart**2).mean(axis=2))
    return float(distances[np.triu_indices(len(found), 1)].min())


def known(count: int) -> tuple[list[tuple[tuple[float, float]]], list[dict[str, Scalar]]]:
    configs = [toy_space().sample(np.random.default_rng(seed), TASKS) for seed in range(count)]
    return [(objectives(config),) for config in configs], configs


def test_a_batch_is_spread_out_and_keeps_what_each_member_pins() -> None:
    results, configs = known(40)
    pinned: list[dict[str, Scalar]] = [{}, {"sharing.kind": "ple"}, {}, {"sharing.kind": "ple"}, {}, {}]
    for seed in range(3):
        found = PROCESS.propose_batch(results, configs, seed, pinned)
        assert found == PROCESS.propose_batch(results, configs, seed, pinned)
        assert [found[at]["sharing.kind"] for at in (1, 3)] == ["ple", "ple"]
        assert nearest(found) > 0.01
        assert found[0] == one(results, configs, seed)
    assert len(PROCESS.propose_batch([], [], 0, pinned)) == len(pinned)


def test_proposals_keep_away_from_trials_under_way() -> None:
    """A trial under way, whether results name it or not, is not proposed again."""
    results, configs = known(40)
    for seed in range(3):
        first = one(results, configs, seed)
        for pending in (results, [*results, ()]):
            second = one(pending, [*configs, first], seed)
            assert nearest([first, second]) > 0.01
