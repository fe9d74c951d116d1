"""The registry, and where compiled code is kept."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.system import intrinsics
from bench.training.optimizers import kernels


def test_kernels_work_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = intrinsics.numba.njit

    def refuses(*args, cache: bool = False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available for file 'x.py'")
        return plain(*args, **options)

    monkeypatch.setattr(intrinsics.numba, "njit", refuses)

    @intrinsics.jit("contract")
    def double(x):
        return x + x

    assert double(21) == 42


def test_other_errors_of_compilation_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args, **options):
        raise RuntimeError("no such target")

    monkeypatch.setattr(intrinsics.numba, "njit", fails)
    with pytest.raises(RuntimeError, match="no such target"):
        intrinsics.jit("contract")(len)


def test_compiled_code_is_loaded_and_not_made_again(tmp_path: Path) -> None:
    """A module of its own stands for each process: the second finds what the first left on disk."""
    source = shutil.copy(kernels.__file__, tmp_path / "copied.py")
    seen = []
    for _ in range(2):
        spec = importlib.util.spec_from_file_location("copied", source)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        ids, gradient = np.array([[3], [0], [3]], dtype=np.uint32), np.ones((3, 1, 2), dtype=np.float32)
        rows, sums = np.zeros(4, dtype=np.uint32), np.zeros((4, 2), dtype=np.float32)
        one, table, at = np.array([0]), np.zeros(8, dtype=np.uint32), np.zeros(3, dtype=np.uint32)
        assert module.sum_by_row(ids, gradient, one, one + 1, one + 3, table, at, rows, sums) == 1
        assert (rows[1], *sums[1]) == (3, 2.0, 2.0)
        stats = module.sum_by_row.stats
        seen.append((sum(stats.cache_hits.values()), sum(stats.cache_misses.values())))
    assert seen == [(0, 1), (1, 0)]
