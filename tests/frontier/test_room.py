"""The room's example runs."""

import doctest

import bench.frontier


def test_the_example_runs():
    result = doctest.testmod(bench.frontier)
    assert result.attempted > 5
    assert result.failed == 0
