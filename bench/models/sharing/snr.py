"""Sub-networks in levels, whose connections are learned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.models.config import HiddenConfig, SomeLayers
from bench.models.contracts import Drawn, Sharing
from bench.models.layers import BatchedMLP

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
"""Temperature of a gate, and the interval to which it is stretched before it is clipped to [0, 1] (Louizos et al.)."""

_BEGINNING = 2.0  # initial log alpha: connections are open (0.96 in evaluation), but gates still have a gradient


class SNRConfig(HiddenConfig):
    """Options of `snr`."""

    layers: SomeLayers = (64,)
    """Hidden layers of every sub-network."""
    levels: int = Field(2, ge=1, le=8)
    """Number of levels of sub-networks."""
    subnetworks: int = Field(4, ge=1, le=64)
    """Sub-networks on a level."""
    connection: Literal["trans", "aver"] = "trans"
    """Transformation by a connection: a learned matrix (SNR-Trans), or none (SNR-Aver)."""
    l0: float = Field(1e-4, ge=0, le=1)
    """Penalty of each open connection, in expectation."""


class Routing(Drawn):
    """Connections from every source to every target: v_j = sum_i z_ji W_ji u_i.

    z is a hard-concrete gate (Louizos et al., ICLR 2018): nearly binary, with a gradient. Training draws it for each
    batch, evaluation uses the paper's deterministic estimate. `log_alpha` (targets, sources) is its location; `weight`
    (targets, sources, H, H) is W, or None where connections are the identity.
    """

    def __init__(self, sources: int, targets: int, width: int, transforms: bool) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.full((targets, sources), _BEGINNING))
        self.weight = nn.Parameter(torch.empty(targets, sources, width, width)) if transforms else None
        self.reset_parameters()

    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws the weights like one linear map of all sources."""
        if self.weight is not None:
            bound = math.sqrt(3 / (self.weight.shape[1] * self.weight.shape[3]))
            nn.init.uniform_(self.weight, -bound, bound, source)

    def gates(self) -> Tensor:
        """z (targets, sources), in [0, 1]."""
        at: Tensor = self.log_alpha
        if self.training:
            tiny = torch.finfo(at.dtype).eps
            at = (at + torch.rand_like(at).clamp(tiny, 1 - tiny).logit()) / BETA
        return (at.sigmoid() * (ZETA - GAMMA) + GAMMA).clamp(0, 1)

    def open(self) -> Tensor:
        """Expected number of open connections, a scalar."""
        return (self.log_alpha - BETA * math.log(-GAMMA / ZETA)).sigmoid().sum()

    def forward(self, u: Tensor) -> Tensor:
        """u (sources, B, H) -> v (targets, B, H)."""
        z = self.gates()
        if self.weight is None:
            return torch.einsum("ji,ibh->jbh", z.to(u.dtype), u)
        return torch.einsum("jioh,ibh->jbo", (z[:, :, None, None] * self.weight).to(u.dtype), u)


class SNR(Sharing):
    """Sub-network routing (Ma et al., AAAI 2019), with an L0 penalty that closes connections."""

    def __init__(self, inputs: int, tasks: int, config: SNRConfig) -> None:
        super().__init__()
        self.tasks, self.l0, self.outputs = tasks, config.l0, config.layers[-1]
        count = config.subnetworks
        ends = [inputs, *[self.outputs] * (config.levels - 1)]
        targets = [*[count] * (config.levels - 1), tasks]
        self.levels = nn.ModuleList(BatchedMLP.of(config, count, end) for end in ends)
        self.routes = nn.ModuleList(
            Routing(count, target, self.outputs, config.connection == "trans") for target in targets
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        for level, route in zip(self.levels, self.routes, strict=True):
            x = route(level(x))
        return x

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """All except the last connections, each slice of which belongs to its task."""
        if self.tasks == 1:
            return self.parameters()
        return iter([*self.levels.parameters(), *self.routes[:-1].parameters()])

    def penalty(self) -> Tensor | None:
        """l0 times the expected number of open connections (Louizos et al., ICLR 2018: the expected L0 norm)."""
        if not self.l0:
            return None
        counts = [route.open() for route in self.routes if isinstance(route, Routing)]
        return self.l0 * torch.stack(counts).sum()
