from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data.arrays import ArrayWriter


@pytest.mark.parametrize(("dtype", "row"), [(np.float32, (3,)), (np.int32, ()), (np.int32, (0,))])
@pytest.mark.parametrize("sizes", [[], [0], [5], [1, 0, 120_000]])
def test_the_bytes_are_those_of_numpy_save(tmp_path: Path, dtype: type, row: tuple[int, ...], sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    parts = [(rng.random((size, *row)) * 100).astype(dtype) for size in sizes]
    with ArrayWriter(tmp_path / "parts.npy", dtype, row) as writer:
        for part in parts:
            writer.append(part)
    np.save(tmp_path / "whole.npy", np.concatenate([np.empty((0, *row), dtype), *parts]))
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
