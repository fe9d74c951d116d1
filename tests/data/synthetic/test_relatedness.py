import numpy as np
import pytest

from bench.data.synthetic.relatedness import RelatednessConfig, generate, weights


@pytest.mark.parametrize("p", [-1.0, -0.3, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("c", [0.5, 2.0])
def test_weights_have_the_given_cosine_and_length(p, c):
    w1, w2 = weights(RelatednessConfig(p=p, c=c, d=20), np.random.default_rng(0))
    np.testing.assert_allclose([np.linalg.norm(w1), np.linalg.norm(w2)], c)
    np.testing.assert_allclose(w1 @ w2 / c**2, p, atol=1e-12)


def config(**values):
    return RelatednessConfig.model_validate({"rows": 20_000, "d": 8} | values)


def test_labels_are_their_means_with_noise():
    table = generate(config(noise=0.04))
    for task in ("1", "2"):
        noise = table[f"y{task}"].to_numpy() - table[f"mean_y{task}"].to_numpy()
        np.testing.assert_allclose([noise.mean(), noise.var()], [0, 0.04], atol=6e-3)
