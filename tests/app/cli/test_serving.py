"""Commands on a packaged model: score and latency, from its folder; what is no model."""

import json

import pyarrow.parquet as pq
import pytest
from serving_toys import funnel_package, funnel_store, raw_rows


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    return funnel_package(folder / "package", funnel_store(folder / "home")).folder


def test_files_are_scored(seesaw, package, tmp_path):
    pq.write_table(raw_rows().slice(0, 50), tmp_path / "log.parquet")
    said = seesaw(
        "score",
        package,
        tmp_path / "log.parquet",
        "--out",
        tmp_path / "out",
        "--keep",
        "user_id",
        "--json",
    )
    assert said.code == 0, said.err
    assert json.loads(said.out)["rows"] == 50
    assert pq.read_table(tmp_path / "out" / "log-00000.parquet").num_rows == 50
    again = seesaw(
        "score", package, tmp_path / "log.parquet", "--out", tmp_path / "out", "--keep", "user_id"
    )
    assert "1 were there already" in again.out


def test_latency(seesaw, package):
    said = seesaw(
        "score",
        package,
        "--latency",
        "--batches",
        "1",
        "--seconds",
        "0.01",
        "--engine",
        "eager",
    )
    assert said.code == 0, said.err
    assert "eager" in said.out
