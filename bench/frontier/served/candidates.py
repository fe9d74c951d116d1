"""What a served front is drawn of: candidates with kept predictions, and the point that is served today."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from bench.fusion import Fusion

Role = Literal["trial", "baseline", "current"]


@dataclass(frozen=True)
class Candidate:
    """A configuration with the predictions of its replicates.

    Attributes:
        id: unique among candidates: "7", "7@16000", "trees", "single_task", "current", ...
        name: for people: "trial 7 stopped after 16,000 samples", "boosted trees".
        architecture: "mmoe", "boosted trees", ...
        seeds: of its replicates, at least one; equal seeds are paired across candidates. Empty for what depends on no
            seed, such as a column of the log or a packaged model: it has one replicate.
        predictions: (split, place of the replicate) -> (N, T) joint predictions, or (N, 1): a score, which is not
            fused.
    """

    id: str
    name: str
    architecture: str
    role: Role
    seeds: tuple[int, ...]
    predictions: Callable[[str, int], NDArray[Any]]

    @property
    def replicates(self) -> int:
        """How many there are."""
        return max(1, len(self.seeds))


@dataclass(frozen=True)
class Current:
    """What is served today: a candidate's id, and the fusion of its predictions; None for a score that has none."""

    id: str
    fusion: Fusion | None = None
