from itertools import pairwise

import numpy as np
import pytest

from bench.data.reachable import auc
from bench.data.readers.ali_ccp import COMMON
from bench.data.synthetic import synthesise

FILES = {f"{kind}_{name}.csv" for kind in ("sample_skeleton", "common_features") for name in ("train", "test")}
FILES |= {"truth_train.npy", "truth_test.npy"}
SMALL = {"rows": 30_000, "users": 3000, "items": 5000, "list_length": 20, "click_rate": 0.2, "buy_rate": 0.3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "raw"
    synthesise("ali-ccp", out, SMALL | {"dirty_rate": 0.01})
    return out


def lines(path):
    return [line.split(",") for line in path.read_text().splitlines()]


def test_lines_have_the_published_form(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    samples = [line[0] for name in ("train", "test") for line in lines(folder / f"sample_skeleton_{name}.csv")]
    assert samples == [str(number) for number in range(1, 30_001)]
    for name in ("train", "test"):
        common = {index: (int(count), text) for index, count, text in lines(folder / f"common_features_{name}.csv")}
        indices = [line[3] for line in lines(folder / f"sample_skeleton_{name}.csv")]
        runs = 1 + sum(a != b for a, b in pairwise(indices))
        assert runs == len(set(indices))  # impressions of one index stand together
        assert set(indices) <= set(common)
        seen = set()
        for count, text in common.values():
            features = [feature.replace("\x03", "\x02").split("\x02") for feature in text.split("\x01")]
            assert len(features) == count
            assert len({(field, id_) for field, id_, _ in features}) == count
            seen |= {field for field, _, _ in features}
            assert all(value == "1.0" or float(value) >= 0.69 for _, _, value in features)
        assert seen == set(COMMON)


def test_labels_follow_the_known_probabilities(folder):
    for name in ("train", "test"):
        truth = np.load(folder / f"truth_{name}.npy")
        labels = np.array([line[1:3] for line in lines(folder / f"sample_skeleton_{name}.csv")]).astype(np.float32)
        click, buy = labels.T
        assert truth.shape == labels.shape
        for own, p in ((click, truth[:, 0]), (buy[click == 1], truth[click == 1, 1])):
            deviation = np.sqrt((p * (1 - p)).sum())
            assert abs(own.sum() - p.sum()) < 5 * deviation
            assert auc(own, p.astype(float)) > 0.6
        assert truth[:, 0].mean() == pytest.approx(0.2, abs=0.04)
        dirty = (click == 0) & (buy == 1)
        assert 0 < dirty.sum() < 0.03 * len(click)
