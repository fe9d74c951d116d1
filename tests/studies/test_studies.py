"""Studies compute what they say, and find what they import."""

import json
import subprocess
import sys
from pathlib import Path

import front_coverage
import fronts
import numpy as np
import pytest
import torch
from analytic import TASKS, Analytic, space
from conflict import SCALES, arguments, gradients, left, path
from decision_worlds import cells_of, record_of, table_of
from drawn_worlds import Case, Ranked, climbed, drawn, starts_of
from emulator import Emulator
from scipy import stats
from search_efficiency import STEPS, compare, grid_of, leads, report, short
from searchers import DEFAULTS, OURS, SEARCHERS, TARGET
from selection_bias import auc, excess
from served_worlds import Kind, Setup, conflicting

from bench.core.registry import NoOptions
from bench.ledger.fusion import Fusion
from bench.models.balancing import BALANCING


@pytest.mark.parametrize("theta", [(0.5, -3.0), (-1.0, 0.3), (2.0, 1.5)])
def test_gradients_are_those_of_the_losses(theta):
    place = np.array(theta)

    def losses(point):
        return SCALES * np.log(np.abs(arguments(point)))

    step = 1e-6 * np.eye(2)
    numeric = np.stack(
        [(losses(place + move) - losses(place - move)) / 2e-6 for move in step], axis=1
    )
    assert gradients(place) == pytest.approx(numeric, rel=1e-5)


def test_where_the_valley_is_steep_the_gradients_conflict_and_pcgrad_changes_the_step():
    jacobian = gradients(np.array([1.8, -1.6]))
    first, second = jacobian
    assert first @ second < 0
    expected = (
        first
        - first @ second / (second @ second) * second
        + second
        - first @ second / (first @ first) * first
    )
    weights = BALANCING["pcgrad"].build(["a", "b"], NoOptions())(
        torch.from_numpy(jacobian @ jacobian.T)
    )
    assert weights.numpy() @ jacobian == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_pcgrad_gets_out_of_the_valley_in_which_the_sum_of_losses_stays():
    static, pcgrad = (left(path(kind, 1)) for kind in ("static", "pcgrad"))
    assert static.max() > 3
    assert pcgrad.max() < 0.25


def test_expected_auc_is_that_of_drawn_labels():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    true, predicted = rng.beta(1, 2, 400), rng.random(400)
    predicted = 0.5 * predicted + 0.5 * true
    drawn = [roc_auc_score(rng.random(400) < true, predicted) for _ in range(400)]
    assert auc(true, predicted) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 20)
    assert auc(true, true) >= auc(true, predicted)
    assert excess(true, true) == pytest.approx(0, abs=1e-12)
    assert excess(true, predicted) > 0


def test_a_setting_that_is_off_has_a_row_of_its_own():
    right, wrong = front_coverage.Tally(), front_coverage.Tally()
    right.chances, right.true = [0.1] * 60, [1.0] * 6 + [0.0] * 54
    wrong.chances, wrong.true = [0.1] * 60, [1.0] * 20 + [0.0] * 40
    names = [
        name
        for name, _ in front_coverage.pooled(
            [(fronts.SETTINGS[0], right), (fronts.SETTINGS[1], wrong)]
        )
    ]
    assert fronts.SETTINGS[0].name not in names
    assert fronts.SETTINGS[1].name in names


@pytest.fixture(scope="module")
def case():
    """One model that knows the probabilities of two tasks, whose events have values."""
    setup = Setup("", conflicting(2, 2_000, 0, 1), [Kind("oracle", 0, 0, 1)], "recall@10%", 800)
    return Case(setup, ("oracle", Fusion.of("power", [1, 1])), True, values=np.array([0.2, 0.6]))


@pytest.mark.parametrize("kind", ["power", "sum"])
def test_true_outcomes_are_those_that_the_package_measures(case, kind):
    fusion = Fusion.of(kind, [0.3, 0.7])
    assert case.truth(("oracle", fusion)) == pytest.approx(
        case.setup.truth(["oracle"], [fusion])[0], rel=1e-3
    )


def test_climbing_finds_that_true_probabilities_are_best_weighted_by_the_values_of_their_events(
    case,
):
    p = case.setup.world.joint(case.setup.world.logits)
    rows = Ranked([p], p, p.mean(axis=0), np.ones(1))
    rng = np.random.default_rng(0)
    reached = [
        climbed(lambda fusion: case.u(rows.outcomes(fusion)), start, rng)[0]
        for start in starts_of(2, 3, rng)
    ]
    best = case.u(rows.outcomes(Fusion.of("sum", case.values.tolist())))
    assert best - 1e-4 < max(reached) < best + 1e-6


@pytest.mark.slow
def test_in_null_worlds_nothing_gains_and_in_others_the_first_candidate_is_ahead():
    for kind, lowest, highest in (("null", -1e-9, 1e-3), ("one ahead", 0.003, 0.15)):
        world = drawn(2, kind, 3)
        best = world.best([])
        assert lowest <= world.u(world.truth(best)) - world.u(world.truth(world.today)) <= highest
    assert best[0] == "1"


@pytest.mark.slow
def test_a_world_is_drawn_decided_and_recorded():
    line = json.loads(json.dumps(record_of(2, "mixed", 1)))
    assert line["u"]["picked"] <= line["u"]["best"] + 1e-9 or line["broken"]
    assert len(cells_of([line])) == table_of([line]).splitlines()[0].count("|") - 2


@pytest.mark.slow
def test_an_emulator_knows_the_order_of_configurations():
    problem = Analytic()
    emulator = Emulator(problem.table(100))
    quality = emulator.quality()
    configs = [space().sample(np.random.default_rng(seed), TASKS) for seed in range(100)]
    curves = emulator.curves(configs)
    np.testing.assert_allclose(emulator.train(configs[:1]).curve, curves[0])
    truth = np.array([problem.train([config]).worth for config in configs])
    for m in range(2):
        achieved = stats.spearmanr(curves[:, -1, m], truth[:, -1, m]).statistic
        assert achieved > 0.5
        # what cross-validation says holds of others
        assert quality[m] == pytest.approx(achieved, abs=0.2)
    assert 0 < emulator.best[0] < 0.15**2


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("problem", [Analytic(), Analytic().table(25)], ids=["function", "table"])
def test_searchers_keep_to_their_budget_and_repeat(name, problem):
    times, values, judged = SEARCHERS[name](problem.fresh(), 3, 1.2)
    again = SEARCHERS[name](problem.fresh(), 3, 1.2)
    np.testing.assert_array_equal(times, again[0])
    np.testing.assert_array_equal(values, again[1])
    np.testing.assert_array_equal(judged, again[2])
    assert (np.diff(times) > 0).all()
    assert times[-1] <= 1.7  # the last job may end later than the budget
    assert np.isfinite(values).all()
    different = SEARCHERS[name](problem.fresh(), 4, 1.2)
    assert different[1].shape != values.shape or (different[1] != values).any()


@pytest.mark.slow
def test_rungs_take_a_fraction_of_the_samples():
    """The harness must show this on a problem where rungs are known to help."""
    curves = compare([Analytic(0), Analytic(1)], 3, 8.0, [TARGET, DEFAULTS, OURS], workers=1)
    assert curves[OURS].shape == (3, STEPS)
    assert (np.diff(curves[OURS], axis=1) >= 0).all()
    grid, column = grid_of(8.0), int(0.6 * STEPS)
    assert curves[DEFAULTS][:, column].mean() > curves[TARGET][:, -1].mean()
    ahead = leads(curves, grid, np.random.default_rng(0))
    assert report("log", curves, grid, ahead)[-3].startswith(f"| log | {OURS} | ")
    assert short("log", curves, grid, ahead).count(" | ") == 7


STUDIES = Path(__file__).parents[2] / "studies"


@pytest.mark.slow
def test_every_study_finds_what_it_imports():
    names = sorted(file.stem for file in STUDIES.glob("*.py"))
    code = f"import sys; sys.path[0] = {str(STUDIES)!r}\nimport {', '.join(names)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
