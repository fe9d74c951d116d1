"""Shared embeddings, with everything above them separate."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.core.registry import NoOptions
from bench.models.contracts import Sharing


class SharedEmbeddings(Sharing, lower_precision=True):
    """Towers directly on the shared input; the network of ESMM (Ma et al., SIGIR 2018)."""

    def __init__(self, inputs: int, tasks: int, config: NoOptions) -> None:
        super().__init__()
        self.outputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs), unchanged."""
        return x

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """None: the table does not count."""
        return iter(())
