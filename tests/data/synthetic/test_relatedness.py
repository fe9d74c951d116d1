from __future__ import annotations

import numpy as np
import pytest

from bench.data.synthetic.relatedness import RelatednessConfig, generate, weights


@pytest.mark.parametrize("p", [-1.0, -0.3, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("c", [0.5, 2.0])
def test_weights_have_the_given_cosine_and_length(p: float, c: float) -> None:
    w1, w2 = weights(RelatednessConfig(p=p, c=c, d=20), np.random.default_rng(0))
    np.testing.assert_allclose([np.linalg.norm(w1), np.linalg.norm(w2)], c)
    np.testing.assert_allclose(w1 @ w2 / c**2, p, atol=1e-12)


def config(**values: float) -> RelatednessConfig:
    return RelatednessConfig.model_validate({"rows": 20_000, "d": 8} | values)


def test_labels_are_their_means_with_noise() -> None:
    table = generate(config(noise=0.04))
    for task in ("1", "2"):
        noise = table[f"y{task}"].to_numpy() - table[f"mean_y{task}"].to_numpy()
        np.testing.assert_allclose([noise.mean(), noise.var()], [0, 0.04], atol=6e-3)


def test_without_sines_means_are_linear_and_correlate_as_their_weights() -> None:
    table = generate(config(m=0, p=0.3))
    x = np.stack([table[f"x{i}"].to_numpy() for i in range(8)], axis=1)
    means = np.stack([table["mean_y1"].to_numpy(), table["mean_y2"].to_numpy()], axis=1)
    solved, residual, *_ = np.linalg.lstsq(x, means)
    np.testing.assert_allclose(residual, 0, atol=1e-6)
    np.testing.assert_allclose(solved[:, 0] @ solved[:, 1], 0.3, atol=1e-6)
    np.testing.assert_allclose(np.corrcoef(means.T)[0, 1], 0.3, atol=0.03)
