"""One bottom for all tasks, with a low-rank addition of each scenario to every layer."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.models.contracts import Drawn
from bench.models.sharing.by_scenario import ByScenario, ScenarioConfig

INITIAL_STD = 0.01


class MLoRAConfig(ScenarioConfig):
    """Options of `mlora`."""

    rank: int = Field(4, ge=1, le=1024)
    """Rank of a scenario's addition to a layer."""


class Adapter(Drawn):
    """U_s V_s x of S scenarios: `down` is V (S, r, inputs), with variance 1 / inputs, and `up` is U
    (S, outputs, r).

    U has a standard deviation of `INITIAL_STD`, so scenarios start almost equal.
    """

    def __init__(self, scenarios: int, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(scenarios, rank, inputs))
        self.up = nn.Parameter(torch.empty(scenarios, outputs, rank))
        self.reset_parameters()

    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws both."""
        bound = math.sqrt(3 / max(1, self.down.shape[2]))
        nn.init.uniform_(self.down, -bound, bound, source)
        nn.init.normal_(self.up, std=INITIAL_STD, generator=source)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (1, B, inputs), mask (B, S r) -> (1, B, outputs)."""
        down = self.down.flatten(0, 1).to(x.dtype)
        up = self.up.transpose(1, 2).flatten(0, 1).to(x.dtype)
        low = torch.bmm(x, down.t().unsqueeze(0)) * mask
        return torch.bmm(low, up.unsqueeze(0))


class MLoRA(ByScenario, lower_precision=True):
    """Multi-domain low-rank adaptive network (Yang et al., RecSys 2024): h = f(W x + b + U_s V_s
    x), layer by layer.

    V of all scenarios is one product; a mask keeps the r numbers of the row's own scenario, or none
    if it is unknown. So a layer of O outputs costs about as much as one of O + S r.
    """

    def __init__(self, inputs: int, tasks: int, config: MLoRAConfig, scenarios: int = 1) -> None:
        super().__init__(inputs, tasks, config, scenarios)
        self.own = nn.ModuleList(Adapter(scenarios, *ends, config.rank) for ends in self.ends)
        mask = torch.eye(scenarios).repeat_interleave(config.rank, dim=1)
        self.mask = nn.Buffer(torch.cat([torch.zeros_like(mask[:1]), mask]), persistent=False)

    def forward(self, x: Tensor, codes: Tensor | None = None) -> Tensor:
        """x (1, B, inputs), codes (B,) -> (1, B, H)."""
        codes = x.new_zeros(x.shape[1], dtype=torch.int64) if codes is None else codes
        mask = self.mask.index_select(0, codes).to(x.dtype)

        return self.bottom.through(
            x, lambda number, h: self.bottom.layers[number](h) + self.own[number](h, mask)
        )
