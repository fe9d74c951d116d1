from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.readers.parquet import read_parquet
from bench.errors import UserError


def test_wanted_columns_alone_are_read(tmp_path: Path, recorder: Any) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"z": [0, 0], "a": [1, 2], "b": ["x", None]}), path)
    raw = read_parquet(path, "f", {"a": "number", "b": "text"}, recorder)
    assert raw.table.to_pydict() == {"a": [1, 2], "b": ["x", None]}
    assert raw.place(1) == f"{path}, row 2"
    assert recorder.done == {"reading f.parquet": 2}
    assert read_parquet(path, "f", {}, recorder, keep_all=True).table.num_columns == 3


def test_another_file_is_one_sentence(tmp_path: Path, recorder: Any) -> None:
    (tmp_path / "f").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="not a parquet file"):
        read_parquet(tmp_path / "f", "f", {}, recorder)
