"""Funnels: how the probabilities of tasks along parent links are tied. One file each, one entry each in `FUNNELS`."""

from __future__ import annotations

from bench.models.funnels.base import Funnel, Probabilities
from bench.models.funnels.entire_space import EntireSpace
from bench.models.funnels.independent import Independent
from bench.models.funnels.links import parents_are_binary
from bench.registry import Entry, NoOptions

__all__ = ["FUNNELS", "Funnel", "Probabilities"]

FUNNELS: dict[str, Entry[Funnel]] = {
    "independent": Entry(
        build=Independent,
        config=NoOptions,
        paper="-",
        summary="each task on its own sample space: a child is trained where its parent happened",
        unfit=parents_are_binary,
    ),
    "entire_space": Entry(
        build=EntireSpace,
        config=NoOptions,
        paper="Ma et al., SIGIR 2018",
        summary="ESMM's product: a child is trained on all samples through the joint probability of its chain",
        unfit=parents_are_binary,
    ),
}
