"""Sharing kinds: how tasks share a representation. One file each, one entry each in `SHARING`."""

from __future__ import annotations

from bench.models.sharing.base import Sharing
from bench.models.sharing.mmoe import MMoE, MMoEConfig
from bench.models.sharing.ple import PLE, PLEConfig
from bench.models.sharing.shared_bottom import SharedBottom, SharedBottomConfig
from bench.models.sharing.shared_embeddings import SharedEmbeddings
from bench.models.sharing.single_task import SingleTask, SingleTaskConfig
from bench.registry import Entry, NoOptions

__all__ = ["SHARING", "Sharing"]

SHARING: dict[str, Entry[Sharing]] = {
    "single_task": Entry(
        build=SingleTask,
        config=SingleTaskConfig,
        paper="-",
        summary="a whole model per task, nothing shared: the baseline",
    ),
    "shared_embeddings": Entry(
        build=SharedEmbeddings,
        config=NoOptions,
        paper="Ma et al., SIGIR 2018",
        summary="towers directly on shared embeddings",
    ),
    "shared_bottom": Entry(
        build=SharedBottom,
        config=SharedBottomConfig,
        paper="Caruana, Machine Learning 1997",
        summary="one bottom for all tasks",
    ),
    "mmoe": Entry(
        build=MMoE,
        config=MMoEConfig,
        paper="Ma et al., KDD 2018",
        summary="shared experts, mixed by a gate for each task",
    ),
    "ple": Entry(
        build=PLE,
        config=PLEConfig,
        paper="Tang et al., RecSys 2020",
        summary="shared and own experts in levels, mixed by gates",
    ),
}
