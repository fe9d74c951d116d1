import numpy as np
import pandas as pd
import pytest

from bench.data.synthetic.feed import FeedConfig, generate


def feed(**values):
    frame: pd.DataFrame = generate(FeedConfig.model_validate({"rows": 40_000} | values)).to_pandas()
    return frame


def agree(found, truth, by):
    """Means of ten ranges are within four standard errors of the truth's."""
    for _, rows in found.groupby(pd.qcut(by, 10)):
        error = rows.std() / np.sqrt(len(rows))
        assert abs(rows.mean() - truth[rows.index].mean()) < 4 * error + 1e-9


def test_labels_follow_their_truth():
    frame = feed(wave=2.0)
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
    whole, thinned = feed(), feed(kept=0.1, uneven=uneven)
    assert thinned.click.sum() == whole.click.sum()
    none, left = whole[whole.click == 0], thinned[thinned.click == 0]
    assert left.p_click.isin(none.p_click).all()
    for (tab, late), rows in left.groupby(["tab", left.day > 8]):
        before = ((none.tab == tab) & ((none.day > 8) == late)).sum()
        assert rows.kept_rate.nunique() == 1
        assert len(rows) / before == pytest.approx(rows.kept_rate.iloc[0], rel=0.2)
    assert (left.kept_rate[left.day > 8] == 1).all() == uneven
