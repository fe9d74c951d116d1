"""The experiment on conflicting gradients computes what it says: gradients, and what PCGrad does with two of them."""

import numpy as np
import pytest
import torch
from conflict import SCALES, arguments, gradients, left, path
from selection_bias import auc, excess

from bench.balancing import BALANCING
from bench.core.registry import NoOptions


@pytest.mark.parametrize("theta", [(0.5, -3.0), (-1.0, 0.3), (2.0, 1.5)])
def test_gradients_are_those_of_the_losses(theta):
    at = np.array(theta)

    def losses(point):
        return SCALES * np.log(np.abs(arguments(point)))

    step = 1e-6 * np.eye(2)
    numeric = np.stack([(losses(at + move) - losses(at - move)) / 2e-6 for move in step], axis=1)
    assert gradients(at) == pytest.approx(numeric, rel=1e-5)


def test_where_the_valley_is_steep_the_gradients_conflict_and_pcgrad_changes_the_step():
    jacobian = gradients(np.array([1.8, -1.6]))
    first, second = jacobian
    assert first @ second < 0
    expected = first - first @ second / (second @ second) * second + second - first @ second / (first @ first) * first
    weights = BALANCING["pcgrad"].build(["a", "b"], NoOptions())(torch.from_numpy(jacobian @ jacobian.T))
    assert weights.numpy() @ jacobian == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_pcgrad_gets_out_of_the_valley_in_which_the_sum_of_losses_stays():
    static, pcgrad = (left(path(kind, 1)) for kind in ("static", "pcgrad"))
    assert static.max() > 3
    assert pcgrad.max() < 0.25


def test_expected_auc_is_that_of_drawn_labels():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    true, said = rng.beta(1, 2, 400), rng.random(400)
    said = 0.5 * said + 0.5 * true
    drawn = [roc_auc_score(rng.random(400) < true, said) for _ in range(400)]
    assert auc(true, said) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 20)
    assert auc(true, true) >= auc(true, said)
    assert excess(true, true) == pytest.approx(0, abs=1e-12)
    assert excess(true, said) > 0
