"""Interactions transform inputs before the sharing, one entry each in `INTERACTIONS`."""

from __future__ import annotations

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.models.contracts import Interaction
from bench.models.interactions.crossing import (
    FM,
    DCNv2,
    DCNv2Config,
    NoInteraction,
    has_pairs,
)

_OURS: dict[str, Entry[Interaction]] = {
    "none": Entry(NoInteraction, NoOptions, "-", "inputs as they are"),
    "fm": Entry(
        FM,
        NoOptions,
        "He & Chua, SIGIR 2017",
        "beside the inputs, the sum of products of every two fields' embeddings",
        unfit=has_pairs,
    ),
    "dcn_v2": Entry(
        DCNv2,
        DCNv2Config,
        "Wang et al., WWW 2021",
        "layers that multiply each input by a linear map of what came before",
    ),
}
INTERACTIONS = Registry("interaction", _OURS)
