"""What a row's position does to its logits: in training, and where trials of a search are compared.

Labels of validation were clicked where they were shown, too. Without positions there a search would
prefer models that learn what was shown first, for others to repeat.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.embedding import FieldPlace
from bench.models.model_options import Dropout

SCALE = 30.0
"""Makes the steps of weights larger than those of other parameters: an effect may be 3 in log odds,
and must be found before others learn it in its place."""


class PositionConfig(Config):
    """Options of positions, for data whose card names one."""

    form: Literal["sum", "product"] = "sum"
    """Whether its effect is added in log odds, or the probability that it is seen multiplies that
    of the label.
    """
    dropout: Dropout = 0.0
    """Share of training rows whose position the model does not see."""


class PositionTower(nn.Module):
    """A weight w for each position and task, which changes the task's logit l.

    As a `sum` the new logit is l + w: the shallow tower of Zhao et al., RecSys 2019 (section 4.2),
    with the position as its only input. As a `product` w is the log odds that a position is seen,
    and p(label) = p(label | seen) p(seen): PAL of Guo et al., RecSys 2019. The logit of that
    product is -log(exp(-l) + exp(-w) + exp(-l - w)). A regression has no probability, so to its
    output w is added.

    Evaluation and serving have the average position of train: w minus its mean, or the mean
    probability. A share of training rows has it, too, so the rest of the model learns to predict
    without a position.

    Attributes:
        weight: (T, V), from 0, which counts `SCALE` times; column 0 is of unknown positions, and
            never used.
        shares: (V,), of train's known positions that each has; see `bench.models.training.loop`.
        shown: whether evaluation has each row's position, too.
    """

    def __init__(self, schema: Schema, config: PositionConfig) -> None:
        super().__init__()
        self.place = FieldPlace.of(schema, str(schema.position))
        self.slot = self.place.slot
        cardinality = self.place.cardinality
        self.dropout, self.shown = config.dropout, False
        self.weight = nn.Parameter(torch.zeros(len(schema.tasks), cardinality))
        self.is_input = nn.Buffer(torch.arange(schema.slots) != self.slot, persistent=False)
        self.shares = nn.Buffer(torch.full((cardinality,), 1 / cardinality))
        product = [config.form == "product" and task.kind == "binary" for task in schema.tasks]
        self.multiplies = any(product)
        self.product = nn.Buffer(torch.tensor(product), persistent=False)

    def codes(self, ids: Tensor) -> Tensor:
        """ids (B, S') -> the position of each row (B,), 0 where it is unknown."""
        return self.place.codes(ids)

    def hidden(self, ids: Tensor) -> Tensor:
        """ids (B, S') without the position, as the rest of the model sees them."""
        return torch.where(self.is_input, ids, 0)

    @property
    def effects(self) -> Tensor:
        """w (V, T), of which the first row is that of the average position."""
        w = SCALE * self.weight.t()
        seen, missed = (self.shares @ (sign * w).sigmoid() for sign in (1, -1))
        average = torch.where(self.product, (seen / missed).log(), 0)
        by_position = torch.where(self.product, w, w - self.shares @ w)
        return torch.cat([average.unsqueeze(0), by_position[1:]])

    def forward(self, logits: Tensor, ids: Tensor) -> Tensor:
        """Logits (k B, O), of which the first T are the tasks', and ids (B, S') -> the same,
        positions included.
        """
        if not (self.training or self.shown or self.multiplies):
            return logits
        effects = self.effects
        w = effects[:1]
        if self.training or self.shown:
            codes = self.codes(ids)
            if self.training:
                dropped = torch.rand(codes.shape, device=ids.device) < self.dropout
                codes = codes.masked_fill(dropped, 0)
            members = len(logits) // max(1, len(codes))
            w = effects[codes].repeat(members, 1)
        task_logits, extra_logits = logits.tensor_split([w.shape[1]], 1)
        sums = task_logits + w
        if self.multiplies:
            terms = torch.stack([-task_logits, -w.expand_as(task_logits), -sums])
            sums = torch.where(self.product, -torch.logsumexp(terms, 0), sums)
        return torch.cat([sums, extra_logits], 1)
