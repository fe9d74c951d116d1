"""Generated data: labels follow the probabilities and means written beside them, and files have the
published form.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from bench.data.reachable import auc, reachable
from bench.data.readers.ali_ccp import COMMON
from bench.data.synthetic import feed, funnel, relatedness, synthesise
from bench.data.tasks import TaskRule


def impressions(**values):
    frame: pd.DataFrame = feed.generate(
        feed.FeedConfig.model_validate({"rows": 40_000} | values)
    ).to_pandas()
    return frame


def agree(values, truth, by):
    """Means of ten ranges are within four standard errors of the truth's."""
    for _, rows in values.groupby(pd.qcut(by, 10)):
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


def test_what_videos_do_to_clicks_is_as_strong_as_asked():
    none, some, twice = (logit(impressions(appeal=appeal).p_click) for appeal in (0, 0.5, 1))
    np.testing.assert_allclose(2 * (some - none), twice - none, atol=1e-9)
    # of 50 videos, some of them shown often
    assert (twice - none).std() == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize("uneven", [False, True])
def test_thinned_rows_are_rows_of_the_whole_log(uneven):
    whole, thinned = impressions(), impressions(kept=0.1, uneven=uneven)
    assert thinned.click.sum() == whole.click.sum()
    none, kept_rows = whole[whole.click == 0], thinned[thinned.click == 0]
    assert kept_rows.p_click.isin(none.p_click).all()
    for (tab, late), rows in kept_rows.groupby(["tab", kept_rows.day > 8]):
        before = ((none.tab == tab) & ((none.day > 8) == late)).sum()
        assert rows.kept_rate.nunique() == 1
        assert len(rows) / before == pytest.approx(rows.kept_rate.iloc[0], rel=0.2)
    assert (kept_rows.kept_rate[kept_rows.day > 8] == 1).all() == uneven


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
    children = [
        (table[name].to_numpy(), table[f"p_{name}"].to_numpy()) for name in ("purchase", "like")
    ]
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
    w1, w2 = relatedness.weights(
        relatedness.RelatednessConfig(p=p, c=c, d=20), np.random.default_rng(0)
    )
    np.testing.assert_allclose([np.linalg.norm(w1), np.linalg.norm(w2)], c)
    np.testing.assert_allclose(w1 @ w2 / c**2, p, atol=1e-12)


def test_labels_are_their_means_with_noise():
    table = relatedness.generate(relatedness.RelatednessConfig(rows=20_000, d=8, noise=0.04))
    for task in ("1", "2"):
        noise = table[f"y{task}"].to_numpy() - table[f"mean_y{task}"].to_numpy()
        np.testing.assert_allclose([noise.mean(), noise.var()], [0, 0.04], atol=6e-3)


FILES = {
    f"{kind}_{name}.csv"
    for kind in ("sample_skeleton", "common_features")
    for name in ("train", "test")
}
FILES |= {"truth_train.npy", "truth_test.npy"}
SMALL = {
    "rows": 30_000,
    "users": 3000,
    "items": 5000,
    "list_length": 20,
    "click_rate": 0.2,
    "buy_rate": 0.3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "raw"
    synthesise("ali-ccp", out, SMALL | {"dirty_rate": 0.01})
    return out


def lines(path):
    return [line.split(",") for line in path.read_text().splitlines()]


def test_lines_have_the_published_form(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    samples = [
        line[0]
        for name in ("train", "test")
        for line in lines(folder / f"sample_skeleton_{name}.csv")
    ]
    assert samples == [str(number) for number in range(1, 30_001)]
    for name in ("train", "test"):
        common = {
            index: (int(count), text)
            for index, count, text in lines(folder / f"common_features_{name}.csv")
        }
        indices = [line[3] for line in lines(folder / f"sample_skeleton_{name}.csv")]
        runs = 1 + sum(a != b for a, b in pairwise(indices))
        assert runs == len(set(indices))  # impressions of one index stand together
        assert set(indices) <= set(common)
        seen = set()
        for count, text in common.values():
            features = [
                feature.replace("\x03", "\x02").split("\x02") for feature in text.split("\x01")
            ]
            assert len(features) == count
            assert len({(field, id_) for field, id_, _ in features}) == count
            seen |= {field for field, _, _ in features}
            assert all(value == "1.0" or float(value) >= 0.69 for _, _, value in features)
        assert seen == set(COMMON)


def test_labels_follow_the_known_probabilities(folder):
    for name in ("train", "test"):
        truth = np.load(folder / f"truth_{name}.npy")
        labels = np.array(
            [line[1:3] for line in lines(folder / f"sample_skeleton_{name}.csv")]
        ).astype(np.float32)
        click, buy = labels.T
        assert truth.shape == labels.shape
        for counted, p in ((click, truth[:, 0]), (buy[click == 1], truth[click == 1, 1])):
            deviation = np.sqrt((p * (1 - p)).sum())
            assert abs(counted.sum() - p.sum()) < 5 * deviation
            assert auc(counted, p.astype(float)) > 0.6
        assert truth[:, 0].mean() == pytest.approx(0.2, abs=0.04)
        dirty = (click == 0) & (buy == 1)
        assert 0 < dirty.sum() < 0.03 * len(click)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_auc_is_that_of_another_library(rows):
    labels = np.array([row[0] for row in rows], np.float32)
    scores = np.array([float(row[1]) for row in rows])
    if len(set(labels.tolist())) < 2:
        assert np.isnan(auc(labels, scores))
    else:
        assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


def test_a_child_is_measured_among_its_parents_and_among_all():
    rules = (TaskRule(name="click", column="c"), TaskRule(name="buy", column="b", parent="click"))
    labels = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 0]], np.float32)
    truth = {
        "click": np.array([0.9, 0.2, 0.8, 0.7, 0.1]),
        "buy": np.array([0.6, 0.5, 0.9, 0.4, 0.3]),
    }
    best = reachable("test", rules, labels, truth)
    clicked = labels[:, 0] == 1
    joint = truth["click"] * truth["buy"]
    assert best == {
        "test/click.auc": pytest.approx(roc_auc_score(labels[:, 0], truth["click"])),
        "test/buy.cvr.auc": pytest.approx(roc_auc_score(labels[clicked, 1], truth["buy"][clicked])),
        "test/buy.ctcvr.auc": pytest.approx(roc_auc_score(labels[:, 1], joint)),
    }


def test_a_regression_with_a_parent_is_measured_where_it_happened_and_on_all_rows():
    rules = (
        TaskRule(name="z", column="z"),
        TaskRule(name="y", column="y", kind="regression", parent="z"),
    )
    labels = np.array([[1, 2], [1, 5], [0, np.nan], [0, 7]], np.float32)
    best = reachable(
        "valid",
        rules,
        labels,
        {"z": np.array([0.5, 0.5, 0.5, 0.25]), "y": np.array([2.0, 4, 2, 8])},
    )
    assert best["valid/y.cvr.rmse"] == pytest.approx(np.sqrt(1 / 2))
    assert best["valid/y.ctcvr.rmse"] == pytest.approx(np.sqrt((1 + 9 + 1 + 4) / 4))
