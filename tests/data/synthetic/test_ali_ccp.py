from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.data.reachable import auc
from bench.data.readers.ali_ccp import COMMON
from bench.data.synthetic import synthesise

FILES = {f"{kind}_{name}.csv" for kind in ("sample_skeleton", "common_features") for name in ("train", "test")}
FILES |= {"truth_train.npy", "truth_test.npy"}
SMALL = {"rows": 30_000, "users": 3000, "items": 5000, "list_length": 20, "click_rate": 0.2, "buy_rate": 0.3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "raw"
    synthesise("ali-ccp", out, SMALL | {"dirty_rate": 0.01})
    return out


def lines(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def test_lines_have_the_published_form(folder: Path) -> None:
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


def test_fields_may_be_absent_and_lists_long(folder: Path) -> None:
    texts = [line[-1] for line in lines(folder / "common_features_train.csv")]
    assert 0 < sum("124\x02" not in f"\x01{text}" for text in texts) < len(texts) / 4
    rows = [line[-1] for line in lines(folder / "sample_skeleton_train.csv")]
    for field in ("216", "210", "508", "853"):
        there = np.mean([f"\x01{field}\x02" in text for text in rows])
        assert 0.02 < there < 0.98, field
    assert max(text.count("\x01210\x02") for text in rows) > 8


def test_labels_follow_the_known_probabilities(folder: Path) -> None:
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


def test_the_seed_decides_every_byte(folder: Path, tmp_path: Path) -> None:
    synthesise("ali-ccp", tmp_path / "same", SMALL | {"dirty_rate": 0.01})
    facts = synthesise("ali-ccp", tmp_path / "other", SMALL | {"dirty_rate": 0.01, "seed": 1})
    assert facts["train"]["rows"] == facts["test"]["rows"] == 15_000
    for name in FILES:
        assert (folder / name).read_bytes() == (tmp_path / "same" / name).read_bytes()
        assert (folder / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UserError, match="new or empty folder"):
        synthesise("ali-ccp", tmp_path, SMALL)
    with pytest.raises(UserError, match="unknown data set to synthesise 'ali-cpp'"):
        synthesise("ali-cpp", tmp_path / "new", SMALL)
    with pytest.raises(UserError, match="rows"):
        synthesise("ali-ccp", tmp_path / "new", {"rows": 3})
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
