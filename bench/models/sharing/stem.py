"""Embeddings of each task beside shared ones, with task-specific gradients."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.layers import BatchedMLP, Gates, exclude, mix, together
from bench.models.sharing.ple import CGCConfig


class STEM(Sharing, lower_precision=True):
    """Shared and task-specific embeddings (Su et al., AAAI 2024), one level of experts.

    Own experts read their task's embeddings, shared experts the shared ones. A task's gate reads
    the sum of both and weights the experts of all tasks ("all forward"). Its gradient reaches only
    its own and the shared experts and embeddings ("task-specific backward").

    The table is tasks + 1 times as wide as in other kinds. Experts end in an activation, as
    everywhere here; the authors' end in a linear layer.
    """

    def __init__(self, inputs: int, tasks: int, config: CGCConfig) -> None:
        super().__init__()
        self.tasks, self.own_experts = tasks, config.own_experts
        own, shared = tasks * config.own_experts, config.shared_experts
        self.own = BatchedMLP.of(config, own, inputs)
        self.shared = BatchedMLP.of(config, shared, inputs)
        self.gates = Gates(tasks, inputs, own + shared, config)
        self.outputs = self.own.outputs
        task_of = torch.arange(own) // config.own_experts
        # (T, own)
        self.mine = nn.Buffer(task_of == torch.arange(tasks).unsqueeze(1), persistent=False)

    @classmethod
    def input_sets(cls, tasks: int) -> int:
        """A shared embedding of each id, then one for every task."""
        return 1 + tasks

    @classmethod
    def common_sets(cls, tasks: int) -> int:
        """The shared one, and with a single task that task's."""
        return 2 if tasks == 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        """x (1 + T, B, inputs), the shared set first -> (T, B, H)."""
        common, of_tasks = x[:1], x[1:]
        own, shared = self.own(of_tasks), self.shared(common)
        # (T, B, own + shared)
        scores = self.gates(*together(of_tasks + common, [self.gates.first]))
        # Each task mixes its own experts, then a detached copy of all tasks' in which its own have
        # no weight, then the shared ones: so as many terms have a weight as there are experts.
        batch, count = scores.shape[1], len(own)
        at_home = scores[:, :, :count].view(self.tasks, batch, self.tasks, self.own_experts)
        at_home = at_home.diagonal(dim1=0, dim2=2).permute(2, 0, 1)  # (T, B, own of the task)
        abroad = exclude(scores[:, :, :count], self.mine.unsqueeze(1))
        of_all = torch.cat([at_home, abroad, scores[:, :, count:]], dim=2)
        return mix(of_all, torch.cat([own.detach(), shared]), own)[0]

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The shared experts: because of the stopped gradients, every slice of the others belongs
        to one task.
        """
        return self.shared.parameters()
