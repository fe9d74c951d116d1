"""Experts for all tasks, and one gate for all."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from bench.models.sharing.mmoe import MMoE, MMoEConfig


class OMoE(MMoE, lower_precision=True):
    """One-gate mixture-of-experts: h = sum_i g(x)_i f_i(x) for every task (Jacobs et al., Neural
    Computation 1991).
    """

    def __init__(self, inputs: int, tasks: int, config: MMoEConfig) -> None:
        super().__init__(inputs, 1, config)

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """All: the gate serves every task."""
        return self.parameters()
