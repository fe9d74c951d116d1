"""Balancers that come to the same: comparing them with each other compares a method with itself.

`tests/balancing/test_alike.py` holds both tables against random gradients.
"""

from __future__ import annotations

from bench.balancing.base import GradientAggregation, GradientCombination

SAME_DIRECTION: dict[tuple[str, ...], tuple[int, int | None]] = {
    ("pcgrad", "upgrad"): (2, 2),
    ("conflict_free", "imtl_g", "nash_mtl"): (2, 2),
    ("conflict_free", "imtl_g"): (3, None),
}
"""Balancers whose steps have one direction, by the least and the largest number of tasks; IMTL-G's norm differs."""
IDLE_WITHOUT_SHARED_DENSE = ("excess_mtl", "modo", "sdmgrad")
"""Balancers that weigh all tasks 1 where no dense parameter is shared: they are equal static weights there."""


def method(kind: str, tasks: int, shared_dense: bool) -> str:
    """The names of all balancers that act as this kind with this number of tasks (`pcgrad = upgrad`), or its own."""
    if kind in IDLE_WITHOUT_SHARED_DENSE and not shared_dense:
        return "static"
    for names, (least, most) in SAME_DIRECTION.items():
        if kind in names and least <= tasks <= (most or tasks):
            return " = ".join(names)
    return kind


def works_on_gradients(kind: str) -> bool:
    """Whether a balancer of this kind sees gradients rather than losses."""
    from bench.balancing import BALANCING  # which imports all balancers

    build = BALANCING[kind].build if kind in BALANCING else None
    return isinstance(build, type) and issubclass(build, GradientAggregation | GradientCombination)
