"""What is logged, cut into pieces that MLflow takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from bench.tracking.values import Point

MOST_METRICS = 800  # a batch takes 1000 entries in all, 100 of them params and 100 tags
MOST_PARAMS = MOST_TAGS = 100

T = TypeVar("T")


def batches(
    metrics: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
) -> Iterator[tuple[Sequence[Point], Sequence[tuple[str, str]], Sequence[tuple[str, str]]]]:
    """Cuts what is to be logged into as few batches as MLflow's limits allow: one for any usual trial."""
    named, tagged = list(params.items()), list(tags.items())
    cuts = zip(_cut(metrics, MOST_METRICS), _cut(named, MOST_PARAMS), _cut(tagged, MOST_TAGS), strict=False)
    for batch in cuts:
        if not any(batch):
            return
        yield batch


def _cut(values: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Pieces of `values`, then empty ones without end."""
    start = 0
    while True:
        yield values[start : start + most]
        start += most
