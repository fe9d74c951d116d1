import numpy as np
import pytest

from bench.data import parse_card, prepare
from bench.data.tasks import scale_of

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(100, 7, 4000)
SKEWED = RNG.lognormal(2, 1.2, 4000)
RARE = np.where(np.arange(4000) % 50 == 0, SKEWED, 0.0)


@pytest.mark.parametrize(
    ("labels", "log"),
    [(NORMAL, False), (-SKEWED, False), (SKEWED, True), (RARE, True), (RNG.integers(1, 6, 4000) * 1.0, False)],
)
def test_a_logarithm_is_taken_of_skewed_labels_that_are_never_negative(labels, log):
    found = scale_of(labels)
    values = np.log1p(labels) if log else labels
    assert found.log == log
    assert found.centre == pytest.approx(values.mean(), rel=0.05)
    assert found.spread == pytest.approx(values.std(), rel=0.05)
    assert found.mean == pytest.approx(labels.mean(), rel=0.05)


def test_a_store_keeps_the_scale_of_train_as_its_card_asks(shop, shop_raw, tmp_path):
    shop["split"] = {"kind": "time", "train": {"last": 20240106}, "valid": {"first": 20240107, "last": 20240108},
                     "test": {"first": 20240109}}  # fmt: skip
    shop["time"], found = "day", {}
    for scale in ("auto", "none", "standard", "log1p"):
        shop["tasks"] = [{"name": "weight", "column": "weight", "kind": "regression", "scale": scale}]
        (task,) = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw).schema.tasks
        found[scale] = task.scale
    train = np.arange(120.0)  # rows to the sixth day
    assert found["none"] is None
    assert found["auto"] == found["standard"] == scale_of(train, log=False)
    assert found["log1p"] == scale_of(train, log=True)
