"""Files to files: the scorer's numbers, row for row; what is finished is not done again; mistakes name their line."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from serving_toys import raw_rows

from bench.core.errors import UserError
from bench.data.readers import base
from bench.production import batch_scoring
from bench.production.batch_scoring import BatchScoring, Done
from bench.production.package import Package
from bench.production.scorer import Scorer
from bench.system.progress import Silent


@pytest.fixture(scope="module")
def raw() -> pa.Table:
    return raw_rows().slice(0, 1000)


@pytest.fixture
def file(raw: pa.Table, tmp_path: Path) -> Path:
    pq.write_table(raw, tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def read(out: Path) -> pa.Table:
    return pq.read_table(out)  # as a user does: table libraries skip names with an underscore


def scoring(package: Package, file: Path, **more: object) -> BatchScoring:
    return BatchScoring(package, [file], file.parent / "out", part_rows=300, **more)  # type: ignore[arg-type]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PART", 100)


@pytest.mark.usefixtures("small_batches")
def test_predictions_in_order_and_parts(package: Package, raw: pa.Table, file: Path, tmp_path: Path) -> None:
    assert scoring(package, file, keep=["user_id"]).run() == Done(1000, 4, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "_scoring.json", *(f"log-0000{number}.parquet" for number in range(4)),
    ]  # fmt: skip
    found = read(tmp_path / "out")
    assert found.column_names == ["user_id", "click", "purchase.cvr", "purchase.ctcvr", "score"]
    assert found["user_id"].equals(raw["user_id"])
    expected = package.scorer().predict(raw)
    np.testing.assert_allclose(found.drop_columns("user_id").to_pandas(), expected, atol=1e-5)


def test_csv_packed_and_plain(package: Package, raw: pa.Table, tmp_path: Path) -> None:
    pacsv.write_csv(raw, tmp_path / "a.csv")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    work = BatchScoring(package, [tmp_path / "a.csv", tmp_path / "b.csv.gz"], tmp_path / "out")
    assert work.run() == Done(2000, 2, 0)
    expected = package.scorer().predict(raw)
    for name in ("a", "b"):
        found = pq.read_table(tmp_path / "out" / f"{name}-00000.parquet").to_pandas()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_package_of_many_inputs_gets_few_rows_at_once(
    package: Package, raw: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    width, seen, encode = package.schema.slots + len(package.schema.dense), [], Scorer.encode
    monkeypatch.setattr(batch_scoring, "MAX_NUMBERS", 25 * width + 1)
    monkeypatch.setattr(Scorer, "encode", lambda self, table: seen.append(table.num_rows) or encode(self, table))
    pq.write_table(raw.slice(0, 60), tmp_path / "log.parquet")
    assert scoring(package, tmp_path / "log.parquet").run() == Done(60, 1, 0)
    assert seen == [0, 25, 25, 10]
    found = read(tmp_path / "out").to_pandas()
    np.testing.assert_allclose(found, package.scorer().predict(raw.slice(0, 60)), atol=1e-5)


@pytest.mark.usefixtures("small_batches")
def test_kept_whole_numbers_of_csv_stay_such_where_all_files_hold_them(
    package: Package, raw: pa.Table, tmp_path: Path
) -> None:
    request = pa.array([2**62 + row for row in range(1000)])  # no input of the model
    rows = raw.append_column("request", request).append_column("code", request.cast(pa.string()))
    at = rows.column_names.index("code")
    other = rows.set_column(at, "code", pa.array([*rows["code"].to_pylist()[:-1], "007"]))
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file, table in zip(files, (rows, other), strict=True):
        pacsv.write_csv(table, file)
    BatchScoring(package, files, tmp_path / "out", keep=["user_id", "request", "code", "segment"], part_rows=300).run()
    found = read(tmp_path / "out")
    assert [found[name].type for name in found.column_names[:4]] == [pa.int64(), pa.int64(), pa.string(), pa.int64()]
    assert found["request"].to_pylist() == request.to_pylist() * 2
    assert found["code"].to_pylist()[-1] == "007"


@pytest.mark.usefixtures("small_batches")
def test_what_is_finished_is_not_done_again(package: Package, file: Path, tmp_path: Path) -> None:
    scoring(package, file).run()
    out = tmp_path / "out"
    whole = read(out)
    half = out / ".log-00001.parquet.00000000-1-1.abc.part"  # of a process that was killed, on another machine
    half.touch()
    os.utime(half, (0, 0))
    assert scoring(package, file).run() == Done(0, 0, 4)
    assert not half.exists()
    # As if it had been stopped in the second part.
    for number in (1, 3):
        (out / f"log-0000{number}.parquet").unlink()
    state = (out / "_scoring.json").read_text()
    (out / "_scoring.json").write_text(state.replace('"log": 4', ""))
    kept = (out / "log-00000.parquet").stat().st_mtime_ns
    assert scoring(package, file).run() == Done(400, 2, 2)
    assert (out / "log-00000.parquet").stat().st_mtime_ns == kept
    assert read(out).equals(whole)


def test_another_work_is_refused(package: Package, raw: pa.Table, file: Path) -> None:
    scoring(package, file).run()
    with pytest.raises(UserError, match="expected a new folder or one with this same work, found that of another keep"):
        scoring(package, file, keep=["item_id"])
    pq.write_table(raw.slice(0, 10), file)
    with pytest.raises(UserError, match="found that of another files"):
        scoring(package, file)


def test_a_kept_column_that_is_called_as_a_prediction_is_not_lost(package: Package, raw: pa.Table, file: Path) -> None:
    notes: list[str] = []
    progress = Silent()
    progress.note = notes.append  # type: ignore[method-assign]
    scoring(package, file, keep=["click", "user_id"]).run(progress)
    found = read(file.parent / "out")
    assert found.column_names == ["click_kept", "user_id", "click", "purchase.cvr", "purchase.ctcvr", "score"]
    assert found["click_kept"].equals(raw["click"])
    assert notes == ["note: 'click' is a prediction; the column of that name is kept as 'click_kept'"]
    for keep in (["click", "click_kept"], ["user_id", "user_id"]):
        with pytest.raises(UserError, match="--keep: expected columns of different names, found"):
            scoring(package, file, keep=keep)


def test_no_rows(package: Package, raw: pa.Table, tmp_path: Path) -> None:
    pq.write_table(raw.slice(0, 0), tmp_path / "log.parquet")
    assert scoring(package, tmp_path / "log.parquet").run() == Done(0, 1, 0)
    assert read(tmp_path / "out").column_names == ["click", "purchase.cvr", "purchase.ctcvr", "score"]


def test_mistakes(package: Package, raw: pa.Table, file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a file of raw rows, found no"):
        scoring(package, tmp_path / "nothing.parquet")
    (tmp_path / "more").mkdir()
    pq.write_table(raw, tmp_path / "more" / "log.parquet")
    with pytest.raises(UserError, match="expected files of different names"):
        BatchScoring(package, [file, tmp_path / "more" / "log.parquet"], tmp_path / "out")
    pq.write_table(raw.drop_columns("price"), tmp_path / "lacks.parquet")
    with pytest.raises(
        UserError,
        match=r"lacks.parquet: for the package, which was made for synthetic-funnel@rows=4000, expected the column "
        "'price', which is missing .'purchase' is the nearest.; found are affinity",
    ):
        BatchScoring(package, [tmp_path / "lacks.parquet"], tmp_path / "b").run()
    with pytest.raises(
        UserError, match=r"--keep: expected the column 'usr_id', which is missing .'user_id' is the nearest.; found"
    ):
        scoring(package, file, keep=["usr_id"]).run()
    pacsv.write_csv(raw.slice(0, 3), tmp_path / "bad.csv")
    text = (tmp_path / "bad.csv").read_text().splitlines()
    at = text[0].replace('"', "").split(",").index("price")
    cells = text[2].split(",")
    text[2] = ",".join([*cells[:at], "cheap", *cells[at + 1 :]])
    (tmp_path / "bad.csv").write_text("\n".join(text) + "\n")
    with pytest.raises(UserError, match=r"bad.csv, line 3.*cheap"):
        BatchScoring(package, [tmp_path / "bad.csv"], tmp_path / "c").run()
    for each in ("b", "c"):
        assert not list((tmp_path / each).glob("*")), "the same folder takes the file once it is mended"
