"""A transformer as a way of sharing: a token of each task attends over a row's fields and history.

The attention and the layers are torch's own, in float32.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config, Entry
from bench.models.contracts import Backbone, History, Layout

START = 0.02
"""Standard deviation of tokens that are drawn, as small as embeddings are at first."""


class TaskTokensConfig(Config):
    """Options of `task_tokens`."""

    blocks: int = Field(2, ge=1, le=8)
    """Blocks of attention. From the second on, a task weighs the history by the row's own fields,
    which it read in the first."""
    heads: int = Field(4, ge=1, le=16)
    """Heads of each attention."""
    head_width: int = Field(8, ge=1, le=128)
    """Width of a head. Tokens are as wide as all heads together."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Of the weights of attention, and of what a block adds."""


class Block(nn.Module):
    """Adds to the tokens of tasks what they read in a row, then what a network makes of them."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.network = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tasks: Tensor, row: Tensor, absent: Tensor) -> Tensor:
        """Reads rows for their tasks.

        Args:
            tasks: (B, T, width), tokens of the tasks.
            row: (B, N, width), tokens of the row.
            absent: (B, N) bool, true where the row has no token.

        Returns:
            (B, T, width).
        """
        question = self.before_attention(tasks)
        read, _ = self.attention(question, row, row, key_padding_mask=absent, need_weights=False)
        tasks = tasks + self.dropout(read)
        made = self.network(self.before_network(tasks))
        return tasks + self.dropout(made)


class TaskTokens(Backbone):
    """Blocks of attention in which each task has a token that reads the row.

    The row's tokens are its fields and the values of its histories. They do not attend to each
    other, so the work grows with tasks x tokens. Tasks share all weights, but each has its own
    token at the start, to which a linear map of the whole row without its histories is added: so
    already the first question is about this row.
    """

    def __init__(self, layout: Layout, tasks: int, config: TaskTokensConfig) -> None:
        super().__init__(layout, tasks, config)
        self.outputs = width = config.heads * config.head_width
        self.embedding = nn.Linear(layout.dim, width, bias=False)
        self.fields = nn.Parameter(START * torch.randn(len(layout.names), width))
        self.places = nn.ParameterDict()
        for field in layout.schema.fields:
            if field.of is not None:
                self.places[field.name] = nn.Parameter(START * torch.randn(field.slots, width))
        self.whole = nn.Linear(layout.inputs, width)
        self.tasks = nn.Parameter(torch.randn(tasks, width))
        self.before_blocks = nn.LayerNorm(width)
        self.blocks = nn.ModuleList()
        for _ in range(config.blocks):
            self.blocks.append(Block(width, config.heads, config.dropout))
        self.after_blocks = nn.LayerNorm(width)

    def represent(self, tokens: Tensor, numbers: Tensor, histories: list[History]) -> Tensor:
        """See `Backbone.represent`; H is the width of all heads."""
        row, absent = self._row(tokens, histories)
        whole = self.whole(torch.cat([tokens.flatten(1), numbers], dim=1))
        tasks = self.tasks + whole.unsqueeze(1)
        for block in self.blocks:
            tasks = block(tasks, row, absent)
        h: Tensor = self.after_blocks(tasks)
        return h.transpose(0, 1)

    def _row(self, tokens: Tensor, histories: list[History]) -> tuple[Tensor, Tensor]:
        """Arguments of `represent` -> all tokens (B, N, width), and where there is none (B, N)."""
        parts = [self.embedding(tokens) + self.fields]
        absent = [torch.zeros_like(tokens[:, :, 0], dtype=torch.bool)]
        for history in histories:
            parts.append(self.embedding(history.values) + self.places[history.name])
            absent.append(~history.mask)
        return self.before_blocks(torch.cat(parts, dim=1)), torch.cat(absent, dim=1)

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """All but the tokens of tasks; of these, each belongs to its task."""
        for parameter in self.parameters():
            if parameter is not self.tasks:
                yield parameter


SHARING = {
    "task_tokens": Entry(
        TaskTokens,
        TaskTokensConfig,
        "Vaswani et al., NeurIPS 2017",
        "a transformer in which a token of each task attends over fields and history",
        departs="The row's tokens do not attend to each other.",
    )
}
