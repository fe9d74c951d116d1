import numpy as np
import pytest

from bench.data.synthetic.funnel import FunnelConfig, generate, zipf_ids


def config(**values):
    return FunnelConfig.model_validate({"rows": 40_000} | values)


@pytest.mark.parametrize("zipf", [0.0, 0.8, 1.5])
def test_ids_follow_zipf(zipf):
    counts = np.bincount(zipf_ids(np.random.default_rng(0), 20, zipf, 200_000), minlength=20)
    expected = np.arange(1, 21) ** -zipf
    np.testing.assert_allclose(counts / counts.sum(), expected / expected.sum(), atol=0.004)


def test_labels_follow_their_probabilities():
    table = generate(config())
    click, p_click = table["click"].to_numpy(), table["p_click"].to_numpy()
    children = [(table[name].to_numpy(), table[f"p_{name}"].to_numpy()) for name in ("purchase", "like")]
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1)):
        inside = (p_click >= low) & (p_click < high)
        assert click[inside].mean() == pytest.approx(p_click[inside].mean(), abs=0.02)
        for child, p_child in children:
            assert (child <= click).all()
            clicked = (click == 1) & (p_child >= low) & (p_child < high)
            assert child[clicked].mean() == pytest.approx(p_child[clicked].mean(), abs=0.04)


def test_a_click_is_no_fair_sample_of_impressions_unless_the_bias_is_off():
    def dearness_of_clicks(bias):
        table = generate(config(bias=bias))
        price, click = np.log(table["price"].to_numpy()), table["click"].to_numpy() == 1
        return float((price[click].mean() - price.mean()) / price.std())

    assert dearness_of_clicks(1.0) < -0.3
    assert abs(dearness_of_clicks(0.0)) < 0.1
