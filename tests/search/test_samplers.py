"""Optuna's samplers, and ours: expected improvement of the hypervolume, and what is found with
it.
"""

import moocore
import numpy as np
import pytest
from search_toys import OBJECTIVES, TASKS, objectives, printed_under_other_hashes, toy_space

from bench.core.records import Scalar
from bench.core.seeds import derive
from bench.search.encoding import Encoding
from bench.search.gp import GaussianSampler, expected
from bench.search.promotion import best_first
from bench.search.samplers import SAMPLERS
from bench.testing.sampler_checks import it_depends_on_its_seed_and_on_nothing_else


def toy(trial):
    return objectives(toy_space().suggest(trial, TASKS))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_depends_on_its_seed_and_on_nothing_else(name):
    it_depends_on_its_seed_and_on_nothing_else(name, toy)


@pytest.mark.slow
def test_no_sampler_depends_on_the_order_of_sets():
    """Text hashes differ from process to process, and with them the order of sets."""
    code = (
        "from test_samplers import *; from bench.testing.sampler_checks import sequence; "
        "print([sequence(name, 5, 45, toy) for name in SAMPLERS])"
    )
    first, second = printed_under_other_hashes(code)
    assert first == second
    assert first.count("(") == 45 * len(SAMPLERS)


@pytest.mark.parametrize(("objectives", "tolerance"), [(1, 1e-9), (2, 1e-9), (3, 0.25)])
def test_improvements_are_in_proportion_to_hypervolume(objectives, tolerance):
    """Against exact hypervolume: one factor for all points, up to the number of directions."""
    rng = np.random.default_rng(0)
    front, points = rng.random((6, objectives)), 1 + rng.random((12, objectives))
    reference = np.full(objectives, -0.2)
    improvements = expected(points[None], front, reference)
    if objectives == 1:
        exact = points[:, 0] - front.max()
    else:
        volumes = [
            moocore.hypervolume(np.vstack([front, p]), ref=reference, maximise=True) for p in points
        ]
        exact = np.array(volumes) - moocore.hypervolume(front, ref=reference, maximise=True)
    ratio = improvements / exact
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=tolerance)


def test_what_is_dominated_or_below_the_reference_adds_nothing():
    front = np.array([[1.0, 2.0], [2.0, 1.0]])
    points = np.array([[[0.9, 1.9], [1.0, 2.0], [-1.0, 9.0]]])
    np.testing.assert_array_equal(expected(points, front, np.zeros(2)), 0)


REFERENCE = {"click.auc": 0.0, "like.auc": 0.0}
PROCESS = GaussianSampler(Encoding(toy_space(), TASKS), OBJECTIVES, REFERENCE, (4, 16, 64))


def one(results, configs, seed, pinned=None):
    return PROCESS.propose_batch(results, configs, seed, [pinned or {}])[0]


def propose(values, configs, seed, **pinned):
    fixed = {key.replace("__", "."): value for key, value in pinned.items()}
    return one([(value,) for value in values], configs, seed, fixed)


def sequence(seed, trials, learns=True):
    """Objectives of a search, one trial after the other; without `learns` all are random."""
    configs: list[dict[str, Scalar]] = []
    values: list[tuple[float, float]] = []
    for number in range(trials):
        history = (values, configs) if learns else ([], [])
        configs.append(propose(*history, derive(seed, number)))
        values.append(objectives(configs[-1]))
    return values


def hypervolume(values):
    return float(moocore.hypervolume(np.array(values), ref=[0.0, 0.0], maximise=True))


@pytest.mark.slow
def test_learns_on_a_conditional_space():
    learnt = np.array([hypervolume(sequence(seed, 40)) for seed in range(5)])
    random = np.array([hypervolume(sequence(seed, 40, learns=False)) for seed in range(5)])
    assert np.median(learnt) > np.median(random)
    assert (learnt > random).sum() >= 4


@pytest.mark.parametrize("count", [0, 3, 40])
def test_a_proposal_is_a_configuration_and_keeps_what_is_pinned(count):
    configs = [toy_space().sample(np.random.default_rng(seed), TASKS) for seed in range(count)]
    values = [objectives(config) for config in configs]
    for seed in range(5):
        proposal = propose(values, configs, seed, sharing__kind="mmoe", optim__lr=0.01)
        assert (proposal["sharing.kind"], proposal["optim.lr"]) == ("mmoe", 0.01)
        row = PROCESS.shape.rows([proposal])[0]
        assert len(proposal) == (~np.isnan(row)).sum()


def test_results_at_low_rungs_lead_to_the_same_place():
    """All trials except a few stay at the lowest rung, where every value is less by the same."""
    configs = [toy_space().sample(np.random.default_rng(seed), TASKS) for seed in range(60)]
    results = []
    for number, config in enumerate(configs):
        rungs = [tuple(value - loss for value in objectives(config)) for loss in (0.5, 0.1, 0.0)]
        results.append(tuple(rungs[: 3 if number < 4 else 1]))
    reached = [objectives(one(results, configs, seed)) for seed in range(6)]
    order = best_first(np.array([objectives(config) for config in configs]), OBJECTIVES, REFERENCE)
    middle = objectives(configs[order[30]])
    assert np.mean([sum(values) > sum(middle) for values in reached]) > 0.8


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**100])
def test_objectives_may_have_any_unit(unit):
    results, configs = known(40)
    scaled = [tuple(tuple(unit * value for value in rung) for rung in rungs) for rungs in results]
    assert one(scaled, configs, 1) == one(results, configs, 1)


@pytest.mark.slow
def test_a_proposal_depends_on_its_arguments_alone():
    code = "from test_samplers import *; print(sequence(5, 16))"
    assert printed_under_other_hashes(code) == [str(sequence(5, 16))] * 2


def nearest(configs):
    """The least root mean square of differences between two configurations; 1 where options or
    branches differ.
    """
    rows = PROCESS.shape.rows(configs)
    gaps = np.abs(rows[:, None] - rows[None])
    gaps = np.where(PROCESS.shape.options > 0, gaps > 0, gaps)
    gaps = np.where(np.isnan(gaps), np.isnan(rows[:, None]) != np.isnan(rows[None]), gaps)
    distances = np.sqrt((gaps**2).mean(axis=2))
    return float(distances[np.triu_indices(len(configs), 1)].min())


def known(count):
    configs = [toy_space().sample(np.random.default_rng(seed), TASKS) for seed in range(count)]
    return [(objectives(config),) for config in configs], configs


def test_a_batch_is_spread_out_and_keeps_what_each_member_pins():
    results, configs = known(40)
    pinned: list[dict[str, Scalar]] = [
        {},
        {"sharing.kind": "ple"},
        {},
        {"sharing.kind": "ple"},
        {},
        {},
    ]
    for seed in range(3):
        batch = PROCESS.propose_batch(results, configs, seed, pinned)
        assert batch == PROCESS.propose_batch(results, configs, seed, pinned)
        assert [batch[member]["sharing.kind"] for member in (1, 3)] == ["ple", "ple"]
        assert nearest(batch) > 0.01
        assert batch[0] == one(results, configs, seed)
    assert len(PROCESS.propose_batch([], [], 0, pinned)) == len(pinned)


def test_proposals_keep_away_from_trials_under_way():
    """A trial under way, whether results name it or not, is not proposed again."""
    results, configs = known(40)
    for seed in range(3):
        first = one(results, configs, seed)
        for pending in (results, [*results, ()]):
            second = one(pending, [*configs, first], seed)
            assert nearest([first, second]) > 0.01
