"""Files to files: the scorer's numbers, row for row; what is finished is not done again; mistakes
name their line.
"""

import gzip
import os
from datetime import date

import numpy as np
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from serving_toys import raw_rows

from bench.core.errors import UserError
from bench.data.readers import base
from bench.serve.batch_scoring import BatchScoring, ScoringSummary


@pytest.fixture(scope="module")
def raw():
    return raw_rows().slice(0, 1000)


@pytest.fixture
def file(raw, tmp_path):
    pq.write_table(raw, tmp_path / "log.parquet")
    return tmp_path / "log.parquet"


def read(out):
    return pq.read_table(out)  # as a user does: table libraries skip names with an underscore


def scoring(package, file, **options):
    return BatchScoring(package, [file], file.parent / "out", part_rows=300, **options)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(base, "PART", 100)


@pytest.mark.usefixtures("small_batches")
def test_predictions_in_order_and_parts(package, raw, file, tmp_path):
    assert scoring(package, file, keep=["user_id"]).run() == ScoringSummary(1000, 4, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "_scoring.json",
        *(f"log-0000{number}.parquet" for number in range(4)),
    ]
    table = read(tmp_path / "out")
    assert table.column_names == ["user_id", "click", "purchase.cvr", "purchase.ctcvr", "score"]
    assert table["user_id"].equals(raw["user_id"])
    expected = package.scorer().predict(raw)
    np.testing.assert_allclose(table.drop_columns("user_id").to_pandas(), expected, atol=1e-5)


def test_csv_packed_and_plain(package, raw, tmp_path):
    pacsv.write_csv(raw, tmp_path / "a.csv")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    work = BatchScoring(package, [tmp_path / "a.csv", tmp_path / "b.csv.gz"], tmp_path / "out")
    assert work.run() == ScoringSummary(2000, 2, 0)
    expected = package.scorer().predict(raw)
    for name in ("a", "b"):
        table = pq.read_table(tmp_path / "out" / f"{name}-00000.parquet").to_pandas()
        np.testing.assert_allclose(table, expected, atol=1e-5)


@pytest.mark.usefixtures("small_batches")
def test_what_is_finished_is_not_done_again(package, file, tmp_path):
    scoring(package, file).run()
    out = tmp_path / "out"
    whole = read(out)
    # of a process that was killed, on another machine
    half = out / ".log-00001.parquet.00000000-1-1.abc.part"
    half.touch()
    os.utime(half, (0, 0))
    assert scoring(package, file).run() == ScoringSummary(0, 0, 4)
    assert not half.exists()
    # As if it had been stopped in the second part.
    for number in (1, 3):
        (out / f"log-0000{number}.parquet").unlink()
    state = (out / "_scoring.json").read_text()
    (out / "_scoring.json").write_text(state.replace('"log": 4', ""))
    modified = (out / "log-00000.parquet").stat().st_mtime_ns
    assert scoring(package, file).run() == ScoringSummary(400, 2, 2)
    assert (out / "log-00000.parquet").stat().st_mtime_ns == modified
    assert read(out).equals(whole)


def test_another_work_is_refused(package, raw, file):
    scoring(package, file).run()
    with pytest.raises(
        UserError,
        match="expected a new folder or one with this same work, found that of another keep",
    ):
        scoring(package, file, keep=["item_id"])
    pq.write_table(raw.slice(0, 10), file)
    with pytest.raises(UserError, match="found that of another files"):
        scoring(package, file)


def test_a_partitioned_log_is_scored_into_folders_of_the_same_names(package, raw, tmp_path):
    for number, day in enumerate(("2026-11-03", "2026-11-04")):
        folder = tmp_path / "log" / f"day={day}"
        folder.mkdir(parents=True)
        pq.write_table(raw.slice(500 * number, 500), folder / "part-0.parquet")
    out = tmp_path / "out"
    work = BatchScoring(package, [tmp_path / "log"], out, keep=["user_id"])
    assert work.run() == ScoringSummary(1000, 2, 0)
    assert (out / "day=2026-11-04" / "part-0-00000.parquet").is_file()
    table = read(out)
    assert table["user_id"].equals(raw["user_id"])
    expected = package.scorer().predict(raw)
    assert table["day"].to_pylist() == ["2026-11-03"] * 500 + ["2026-11-04"] * 500
    predictions = table.drop_columns(["user_id", "day"]).to_pandas()
    np.testing.assert_allclose(predictions, expected, atol=1e-5)
    half = out / "day=2026-11-04" / ".part-0-00000.parquet.00000000-1-1.abc.part"
    half.touch()
    os.utime(half, (0, 0))
    again = BatchScoring(package, [tmp_path / "log" / "day=*"], out, keep=["user_id"])
    assert again.run() == ScoringSummary(0, 0, 2)
    assert not half.exists()


def test_the_day_of_a_folder_can_be_kept_too(package, raw, tmp_path):
    file = tmp_path / "day=2026-11-03" / "a.parquet"
    file.parent.mkdir()
    pq.write_table(raw, file)
    BatchScoring(package, [file], tmp_path / "out", keep=["day"]).run()
    table = pq.ParquetFile(tmp_path / "out" / "day=2026-11-03" / "a-00000.parquet").read()
    assert table["day"].to_pylist() == [date(2026, 11, 3)] * 1000
