import numpy as np
import pyarrow as pa
import pytest

from bench.core.errors import UserError
from bench.data import parse_card
from bench.data.assemble import Assembler, Rows
from bench.data.readers import base, read, read_sides
from bench.data.spill import LabelCounts
from bench.data.splits import SPLITS
from bench.system.progress import Silent


@pytest.fixture(params=[7, 1 << 16], autouse=True)
def part_size(request, monkeypatch):
    monkeypatch.setattr(base, "PART", request.param)


def assembled(values, folder):
    """All rows, and who took them."""
    card = parse_card(values, "here")
    paths = {file.name: (folder / file.name,) for file in card.files}
    assembler = Assembler(card, read_sides(card, paths, Silent()))
    parts = [assembler.take(part) for part in read(card, paths, Silent())]
    labels, group, split = (np.concatenate([getattr(p, n) for p in parts]) for n in ("labels", "group", "split"))
    weights = np.concatenate([p.weights for p in parts])
    whole = pa.concat_tables([p.table for p in parts]).unify_dictionaries()
    return Rows(whole, labels, group, split, weights), assembler


def rows(values, folder):
    """All rows, their labels checked split by split."""
    found, assembler = assembled(values, folder)
    for number, name in enumerate(SPLITS):
        counts = LabelCounts(assembler.card.task_rules, assembler.card.key)
        counts.add(found.labels[found.split == number], found.weights[found.split == number])
        counts.check(name, assembler.empty_reason())
    return found


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("city,user\nRome,u1\nOslo,u1\n", "users.csv, line 3: key 'user' = u1 is there twice"),
        ("city,who\nRome,u1\n", "cannot join users.csv: users.csv have no column 'user'"),
        ("town,user\nRome,u1\n", "log.csv: unknown raw column 'city'"),
    ],
)
def test_side_tables_that_do_not_fit(shop, shop_raw, side, message):
    (shop_raw / "users.csv").write_text(side)
    shop["files"].append({"name": "users.csv"})
    shop["reader"]["joins"] = [{"file": "users.csv", "on": "user"}]
    shop["columns"]["city"] = "categorical"
    with pytest.raises(UserError, match=message):
        rows(shop, shop_raw)


AFTER = {"kind": "time", "train": {"last": 20240105}, "valid": {"first": 20240106}, "test": {"first": 20240201}}
AFTER["valid"] |= {"last": 20240110}
NEVER = {"name": "click", "column": "click", "where": {"price": {"last": -1}}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {"age": "numeric"}}, "log.csv: unknown raw column 'age'"),
        ({"columns": {"user": "numeric"}}, "log.csv, line 2: 'user': expected a number, found 'u0'"),
        ({"time": "day", "split": AFTER}, "split 'test' is empty: 'day' runs from 20240101 to 20240110 in log.csv"),
        ({"tasks": [NEVER]}, "'click' needs both classes in split 'train', but 0 of 0 are positive"),
    ],
)
def test_data_that_does_not_fit_its_card_is_one_sentence(shop, shop_raw, change, message):
    with pytest.raises(UserError) as caught:
        rows(shop | change, shop_raw)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
