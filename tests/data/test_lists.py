"""Columns of lists: read as parquet holds them, as texts with a separator are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import card_of

from bench.core.errors import UserError
from bench.data import Store, prepare
from bench.data.inspection.column import count_column
from bench.data.inspection.kinds import find_kind
from bench.data.splits import SPLITS
from bench.production.scorer import RawRows

KINDS = {
    "texts": (pa.string(), lambda n: f"t{n}" if n else " "),
    "whole numbers": (pa.int32(), lambda n: n - 1),
    "numbers": (pa.float64(), lambda n: n / 2),
    "bytes": (pa.binary(), lambda n: f"t{n}".encode()),
}


def card(**column: Any) -> Any:
    options = {"max_length": 3} if column.get("kind", "multi-valued") == "multi-valued" else {}
    return card_of(
        reader={"kind": "parquet", "missing": ["-1", "t3"], "drop_duplicates": True},
        files=[{"name": "log.parquet"}],
        columns={"tags": {"kind": "multi-valued", **options, **column}, "n": "numeric"},
    )


def rows(of: Any, kind: Any) -> Any:
    rng = np.random.default_rng(0)
    lists = [[of(int(n)) for n in rng.integers(0, 9, rng.integers(0, 7))] for _ in range(400)]
    lists = [None if at % 17 == 0 else value for at, value in enumerate(lists)]
    numbers = rng.integers(0, 40, 400)
    click = numbers % 2
    return pa.table({"tags": pa.array(lists, pa.list_(kind)), "n": numbers, "click": click}), lists


def stored(table: Any, folder: Path, **column: Any) -> Store:
    folder.mkdir()
    pq.write_table(table, folder / "log.parquet", row_group_size=90)
    return prepare(card(**column), folder / "home", folder)


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("kind", KINDS)
def test_lists_make_the_store_that_texts_make(kind: str, keep: str, tmp_path: Path) -> None:
    table, lists = rows(KINDS[kind][1], KINDS[kind][0])
    texts = [value.decode() if isinstance(value, bytes) else str(value) for row in lists for value in row or ()]
    at = np.cumsum([0, *(len(row or ()) for row in lists)])
    joined = [None if row is None else "|".join(texts[at[i] : at[i + 1]]) for i, row in enumerate(lists)]
    one = stored(table, tmp_path / "lists", keep=keep)
    other = stored(table.set_column(0, "tags", pa.array(joined)), tmp_path / "texts", keep=keep, separator="|")
    assert one.manifest["duplicates_dropped"] <= other.manifest["duplicates_dropped"] <= 60
    first, second = (store.encoder.fields[0].model_dump(exclude={"separator"}) for store in (one, other))
    assert first == second
    for name in SPLITS:
        for array in one.arrays:
            found, wanted = (np.load(store.path / name / f"{array}.npy") for store in (one, other))
            np.testing.assert_array_equal(found, wanted)
    assert (one.split("train").ids[:, 2] > 0).any()
    for given in (table, table.to_pylist(), table.to_pandas()) if kind != "bytes" else ():  # what serving does
        served = one.encoder.encode(RawRows(one.encoder).table(given))
        wanted = other.encoder.encode(pa.table({"tags": joined, "n": table["n"]}))
        np.testing.assert_array_equal(served[0], wanted[0])


def test_the_last_values_stay_where_the_card_says_so(tmp_path: Path) -> None:
    table = pa.table({"tags": [["a", "b", "a", "c"]] * 60, "n": range(60), "click": [0, 1, 1] * 20})
    stores = {keep: stored(table, tmp_path / keep, keep=keep, max_length=2) for keep in ("first", "last")}
    kept = {keep: store.encoder.fields[0].vocabulary.values for keep, store in stores.items()}  # type: ignore[union-attr]
    assert kept == {"first": ("a", "b"), "last": ("a", "c")}
    assert all((store.split("train").ids[:, :2] == [2, 3]).all() for store in stores.values())


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ([{"a": 1}], {}, "'tags': expected texts, numbers or lists of these, found a column of type struct<a: int64>"),
        ([[[1]]], {}, "'tags': expected texts, numbers or lists of these, found a column of type list<"),
        ([["a"]], {"kind": "categorical"}, "'tags': expected texts or numbers, found a column of type list<"),
        ([["a"]], {"kind": "numeric"}, "'tags': expected numbers, found a column of type list<"),
        ([[b"a", b"\xff"]], {}, "row 1: 'tags': expected UTF-8 text"),
    ],
)
def test_what_is_no_list_of_values_is_one_sentence(
    column: list[Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"tags": column * 60, "n": range(60), "click": [0, 1, 1] * 20}), tmp_path / "log.parquet")
    with pytest.raises(UserError) as caught:
        prepare(card(**options), tmp_path / "home", tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/log.parquet")
    assert "\n" not in str(caught.value)


def test_lists_that_arrow_cannot_read_are_one_sentence(tmp_path: Path) -> None:
    lists = pa.array([["a"]] * 60, pa.list_(pa.dictionary(pa.int8(), pa.string())))
    table = pa.table({"tags": lists, "n": range(60), "click": [0, 1, 1] * 20})
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=20)
    with pytest.raises(UserError, match=r"log\.parquet: cannot be read: Nested data conversions not implemented"):
        prepare(card(), tmp_path / "home", tmp_path)


def test_rows_of_lists_are_named_where_they_do_not_fit(tmp_path: Path) -> None:
    table = pa.table({"tags": [["a", "b"], ["c"], None] * 20, "n": range(60), "click": [0, 1, 1] * 20})
    served = RawRows(stored(table, tmp_path / "one").encoder)
    assert served.table([{"tags": ["a", 1.0, None], "n": 1}, {"n": 1}])["tags"].to_pylist() == [["a", "1", None], None]
    for value, found in (({"a": 1}, "an object"), ([{"a": 1}], "an object"), ([["a"]], "a list")):
        with pytest.raises(
            UserError, match=rf"^row 1: 'tags': expected a text, a number or a list of these, found {found}"
        ):
            served.table([{"tags": value, "n": 1}])
    with pytest.raises(UserError, match=r"^row 2: 'tags': expected a list, as other rows have, found 'a'"):
        served.table([{"tags": ["a"], "n": 1}, {"tags": "a", "n": 1}])


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.float32()])
def test_a_card_is_proposed(kind: Any) -> None:
    lists = [["1", "2"], ["3"], None, [], ["1", "2", "3"]] * 20 + [[str(at) for at in range(90)]]
    values = pa.array(lists, pa.list_(pa.string())).cast(pa.list_(kind))
    column = count_column("tags", values)
    assert (column.known, column.rows, len(column.counts)) == (61, 101, 4)
    found = find_kind(column)
    assert found.option == {"kind": "multi-valued", "max_length": 3}
    assert found.why == "lists, up to 90 long; 95% are no longer than 3, later values are left out"
    assert not column.single
    assert column.texts(3) == ["1|2", "3", "1|2|3"] or kind == pa.float32()
