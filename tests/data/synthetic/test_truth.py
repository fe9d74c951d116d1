"""Labels of generated data follow the probabilities and means that are written beside them."""

import numpy as np
import pandas as pd
import pytest

from bench.data.synthetic import feed, funnel, relatedness


def impressions(**values):
    frame: pd.DataFrame = feed.generate(feed.FeedConfig.model_validate({"rows": 40_000} | values)).to_pandas()
    return frame


def agree(found, truth, by):
    """Means of ten ranges are within four standard errors of the truth's."""
    for _, rows in found.groupby(pd.qcut(by, 10)):
        error = rows.std() / np.sqrt(len(rows))
        assert abs(rows.mean() - truth[rows.index].mean()) < 4 * error + 1e-9


def test_labels_follow_their_truth():
    frame = impressions(wave=2.0)
    agree(frame.click, frame.p_click, frame.p_click)
    clicked = frame[frame.click == 1]
    agree(clicked.watch, clicked.mean_seen, clicked.mean_watch)
    assert (clicked.mean_seen < clicked.mean_watch).all()
    assert 0.1 < (clicked.watch == clicked.duration).mean() < 0.6
    assert (clicked.watch <= clicked.duration).all()
    assert not frame.watch[frame.click == 0].any()
    may = frame[frame.comments_open == 1]
    agree(may.comment, may.p_comment, may.p_comment)
    assert not frame.comment[frame.comments_open == 0].any()


@pytest.mark.parametrize("uneven", [False, True])
def test_thinned_rows_are_rows_of_the_whole_log(uneven):
    whole, thinned = impressions(), impressions(kept=0.1, uneven=uneven)
    assert thinned.click.sum() == whole.click.sum()
    none, left = whole[whole.click == 0], thinned[thinned.click == 0]
    assert left.p_click.isin(none.p_click).all()
    for (tab, late), rows in left.groupby(["tab", left.day > 8]):
        before = ((none.tab == tab) & ((none.day > 8) == late)).sum()
        assert rows.kept_rate.nunique() == 1
        assert len(rows) / before == pytest.approx(rows.kept_rate.iloc[0], rel=0.2)
    assert (left.kept_rate[left.day > 8] == 1).all() == uneven


def table_of(**values):
    return funnel.generate(funnel.FunnelConfig.model_validate({"rows": 40_000} | values))


@pytest.mark.parametrize("zipf", [0.0, 0.8, 1.5])
def test_ids_follow_zipf(zipf):
    counts = np.bincount(funnel.zipf_ids(np.random.default_rng(0), 20, zipf, 200_000), minlength=20)
    expected = np.arange(1, 21) ** -zipf
    np.testing.assert_allclose(counts / counts.sum(), expected / expected.sum(), atol=0.004)


def test_labels_follow_their_probabilities():
    table = table_of()
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
        table = table_of(bias=bias)
        price, click = np.log(table["price"].to_numpy()), table["click"].to_numpy() == 1
        return float((price[click].mean() - price.mean()) / price.std())

    assert dearness_of_clicks(1.0) < -0.3
    assert abs(dearness_of_clicks(0.0)) < 0.1


@pytest.mark.parametrize("p", [-1.0, -0.3, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("c", [0.5, 2.0])
def test_weights_have_the_given_cosine_and_length(p, c):
    w1, w2 = relatedness.weights(relatedness.RelatednessConfig(p=p, c=c, d=20), np.random.default_rng(0))
    np.testing.assert_allclose([np.linalg.norm(w1), np.linalg.norm(w2)], c)
    np.testing.assert_allclose(w1 @ w2 / c**2, p, atol=1e-12)


def test_labels_are_their_means_with_noise():
    table = relatedness.generate(relatedness.RelatednessConfig(rows=20_000, d=8, noise=0.04))
    for task in ("1", "2"):
        noise = table[f"y{task}"].to_numpy() - table[f"mean_y{task}"].to_numpy()
        np.testing.assert_allclose([noise.mean(), noise.var()], [0, 0.04], atol=6e-3)
