"""The compiled reader against one that goes line by line."""

from itertools import takewhile

import ali_ccp_line_by_line as twin
import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.system import content
from bench.core.system.progress import Silent
from bench.data import load_card, parse_card, prepare
from bench.data.readers import blocks
from bench.data.readers.ali_ccp import COMMON, SKELETON, read_ali_ccp
from bench.data.splits import SPLITS
from bench.data.synthetic import synthesise

RATES = {"click_rate": 0.3, "buy_rate": 0.4}
SLOTS = dict.fromkeys((*COMMON, *SKELETON), 1) | {
    "109_14": 5,
    "110_14": 2,
    "150_14": 40,
    "210": 4,
    "853": 3,
}


def tables(raw, drop=False):
    """The train pair of files, every field of it as a list."""
    values = load_card("ali-ccp@position").model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    values["columns"] = {
        f: {"kind": "multi-valued", "max_length": SLOTS[f]} for f in (*COMMON, *SKELETON)
    } | {f"{f}.value": "numeric" for f in (*COMMON, *SKELETON)}
    values["reader"] |= {"on_bad_row": "drop" if drop else "fail"}
    card = parse_card(values, "here")
    paths = {file.name: [raw / file.name] for file in card.files}
    return list(
        takewhile(
            lambda part: part.file == card.row_files[0], read_ali_ccp(card, paths, Silent(), raw)
        )
    )


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("ali") / "raw"
    synthesise(
        "ali-ccp", out, {"rows": 4000, "users": 500, "items": 800, "dirty_rate": 0.01} | RATES
    )
    return out


def test_every_row_is_that_of_the_line_by_line_reader(raw, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 50_000)  # many blocks, cut anywhere
    skeleton, common = raw / "sample_skeleton_train.csv", raw / "common_features_train.csv"
    rows_read: list[tuple] = []
    for part in tables(raw):
        for row in part.table.to_pylist():
            ids = {field: row[field] for field in SLOTS if row[field]}
            sums = {
                field: row[f"{field}.value"]
                for field in SLOTS
                if not np.isnan(row[f"{field}.value"])
            }
            rows_read.append((row["common_index"], row["click"], row["buy"], ids, sums))
    expected = list(twin.rows(skeleton, common, SLOTS))
    assert len(rows_read) == 2000
    assert [row[1:] for row in rows_read] == [row[1:] for row in expected]
    groups = dict(zip((row[0] for row in rows_read), (row[0] for row in expected), strict=True))
    assert len(set(groups.values())) == len(groups) > 20  # one hash an index
    assert any(len(row[3]["150_14"]) == 40 for row in rows_read if "150_14" in row[3])
    assert sorted(path.name for path in raw.iterdir() if path.suffix not in (".csv", ".npy")) == []


def test_no_group_is_in_two_splits_and_a_purchase_without_a_click_is_none(raw, tmp_path):
    values = content.read_toml(content.find("datasets", "ali-ccp"))
    values["split"]["valid_fraction"] = 0.4
    store = prepare(parse_card(values, "here"), tmp_path, raw)
    splits = [store.split(name) for name in SPLITS]
    groups = [set(split.group.tolist()) for split in splits]
    assert sum(map(len, groups)) == len(set.union(*groups)) == len(indices(raw))
    assert sum(map(len, splits)) == 4000
    assert all((split.labels[:, 1] <= split.labels[:, 0]).all() for split in splits)
    assert store.manifest["schema"]["dense"][:2] == [
        "met_categories_weight",
        "met_categories_weight_missing",
    ]
    assert len(store.schema.numbers) == 8


def indices(raw):
    """Of common features: all rows of one are a group."""
    files = [raw / f"sample_skeleton_{name}.csv" for name in ("train", "test")]
    return {line.split(",")[3] for file in files for line in file.read_text().splitlines()}


GOOD = "1,0,0,ab,1,205\x025\x031.0\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2,0,0,ab,1", "expected 6 columns separated by commas, found 5"),
        ("2,2,0,ab,1,205\x025\x031.0", "expected click and buy to be 0 or 1, found 2 and 0"),
        ("2,0,0,,1,205\x025\x031.0", "expected a common index, found none"),
        (
            "2,0,0,cd,1,205\x025\x031.0",
            "expected a common index of common_features_train.csv, found 'cd'",
        ),
        (
            "2,0,0,ab,1,2055\x031.0",
            r"expected features as field\x02id\x03value joined by \x01, found '2055\x031.0'",
        ),
        (
            "2,0,0,ab,1,205\x02\x031.0",
            r"a feature's id to be a whole number below 2^63, found '205\x02\x031.0'",
        ),
        ("2,0,0,ab,1,205\x025\x03", "a feature's value to be a number"),
        ("2,0,0,ab,1,205\x025\x031.0\x01", r"expected features as field\x02id\x03value"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    common = tmp_path / "common_features_train.csv"
    skeleton = tmp_path / "sample_skeleton_train.csv"
    common.write_text("ab,1,101\x023\x031.0\n")
    skeleton.write_text(GOOD + GOOD + line + "\n" + GOOD)
    with pytest.raises(UserError) as caught:
        tables(tmp_path)
    assert str(caught.value).startswith(f"{skeleton}, line 3: ")
    assert message in str(caught.value)
    common.write_text(f"{common.read_text()}lost,1\n")
    nothing, part = tables(tmp_path, drop=True)
    assert nothing.table.num_rows == 0
    assert [part.place(row).rpartition(" ")[2] for row in range(part.table.num_rows)] == [
        "1",
        "2",
        "4",
    ]
    assert part.table["205"].to_pylist() == [[5]] * 3
    assert part.table["101"].to_pylist() == [[3]] * 3
    assert [sentence() for _, sentence in part.bad] == [
        f"{common}, line 2: expected 3 columns separated by commas, found 2",
        str(caught.value),
    ]
