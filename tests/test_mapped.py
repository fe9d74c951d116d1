"""Arrays in files, mapped by several threads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bench.system import mapped as module
from bench.system.mapped import mapped


def test_one_thread_at_a_time_reads_a_header(tmp_path, monkeypatch):
    """The threads of Python 3.11 share a counter of the parser: with two at a time a run has ended in a SystemError."""
    np.save(tmp_path / "array.npy", np.arange(6).reshape(3, 2))
    inside, load = [], np.load

    def slow(*arguments, **options):
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.01)
        inside.pop()
        return load(*arguments, **options)

    monkeypatch.setattr(module.np, "load", slow)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(mapped, [tmp_path / "array.npy"] * 8):
            np.testing.assert_array_equal(found, [[0, 1], [2, 3], [4, 5]])


def test_a_file_of_objects_is_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        mapped(tmp_path / "objects.npy")
