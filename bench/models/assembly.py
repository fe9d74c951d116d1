"""Assembles a model: table, histories, numbers -> interaction -> members -> sharing -> towers ->
funnel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from bench.core.registry import Chosen, lookup
from bench.core.schema import Schema
from bench.models.config import EmbeddingConfig, EnsembleConfig, Precision, TowerConfig
from bench.models.contracts import (
    BySets,
    Funnel,
    Interaction,
    Layout,
    NumericEncoding,
    Probabilities,
    Sharing,
    applied,
    draw,
)
from bench.models.embedding import FieldPooling, FusedEmbedding, InputSets
from bench.models.funnels import FUNNELS
from bench.models.funnels.links import Links
from bench.models.interactions import INTERACTIONS
from bench.models.layers import MemberInputs, Towers, mean_logits
from bench.models.losses import LOSSES, REGRESSION_LOSSES
from bench.models.losses.base import Context, MeanLosses, numbered
from bench.models.numeric import NUMERIC
from bench.models.numeric.tokens import ProjectedVectors
from bench.models.position import PositionConfig, PositionTower
from bench.models.products import is_bf16
from bench.models.sequence import SEQUENCE
from bench.models.sharing import SHARING
from bench.models.targets import Targets
from bench.models.thinned import Thinned, Thinning


class MultiTaskModel(nn.Module):
    """A multi-task model of one schema.

    S, D, T: slots, dense columns and tasks of the store's schema; S': slots of the model's schema;
    W = input sets of the sharing x embedding dim; O: logits, the funnel's first, of which the first
    T are the tasks'; k: members of the ensemble, whose rows follow one another.

    One draw of torch's generator seeds the initial weights, see `bench.models.contracts`: models
    with the same seed agree wherever a parameter's name and shape do.

    Args:
        precision: of the products between the embeddings and the logits, see
            `bench.models.config.Precision`. Parameters, gradients, logits and losses are always
            float32.

    Attributes:
        ties_logits: whether one task's loss depends on more than its own logit.
        schema: the store's schema after `numeric`; its fields have rows in the table.
        embedding: the fused table; `embedding.weight` is (rows, W).
        pooling, numeric, interaction, sharing, towers, funnel: its other parts.
        outputs: task of every logit, see `Funnel.outputs`; second scores of a loss follow the
            funnel's.
        targets: scales of regressions, or None.
        thinned: corrects the losses for left-out negatives, or None.
        weights: number of dense parameters.
    """

    def __init__(
        self,
        schema: Schema,
        sharing: Chosen,
        funnel: Chosen,
        embedding: EmbeddingConfig,
        tower: TowerConfig,
        ensemble: EnsembleConfig,
        interaction: Chosen,
        numeric: Chosen,
        sequence: Chosen,
        loss: Chosen,
        regression_loss: Chosen,
        position: PositionConfig,
        precision: Precision = "fp32",
        thinning: Thinning | None = None,
    ) -> None:
        super().__init__()
        stored = schema
        self.precision, self.members = precision, ensemble.members
        tasks = len(schema.tasks)
        self.regression = [task.kind == "regression" for task in schema.tasks]
        self.links = Links(schema)
        # The build of a sharing entry is its class: the number of input sets must be known before
        # the input's width.
        kind = cast("type[Sharing]", lookup(SHARING, "sharing kind", sharing.kind).build)
        self.input_sets = kind.input_sets(tasks)
        seed = int(torch.randint(1 << 31, (), device="cpu"))
        common = kind.common_sets(tasks)
        numbers = lookup(NUMERIC, "numeric kind", numeric.kind)

        def of_dense(sets: int, seen: Schema = schema) -> NumericEncoding:
            if embedding.project_vectors and seen.vectors:
                return ProjectedVectors(
                    seen, embedding.dim, sets, lambda rest: of_dense(sets, rest)
                )
            built: NumericEncoding = numbers.build(seen, embedding.dim, sets, numeric.options)
            return built

        self.numeric = BySets(of_dense, common, self.input_sets)
        self.schema = schema = self._numeric.schema
        self.embedding = FusedEmbedding(schema.rows, embedding.dim, self.input_sets, seed)
        of_history = lookup(SEQUENCE, "sequence kind", sequence.kind)
        self.pooling = FieldPooling(
            schema,
            lambda length: BySets(
                lambda sets: of_history.build(embedding.dim, length, sets, sequence.options),
                common,
                self.input_sets,
            ),
            self.input_sets,
        )
        layout = Layout(schema, embedding.dim, numbers=self._numeric.tokens)
        self.by_sets = InputSets(self.input_sets, layout.dim)
        before = lookup(INTERACTIONS, "interaction kind", interaction.kind)
        self.interaction = BySets(
            lambda sets: before.build(layout, sets, interaction.options), common, self.input_sets
        )
        layout = replace(layout, appended=self.interaction.outputs - layout.inputs)
        self.member_inputs = (
            None
            if self.members == 1
            else BySets(
                lambda sets: MemberInputs(layout, sets, self.members), common, self.input_sets
            )
        )
        self.sharing = kind.of(layout, tasks, sharing.options)
        self.scenario = _place_of_scenario(schema) if kind.by_scenario else None
        self.funnel: Funnel = lookup(FUNNELS, "funnel kind", funnel.kind).build(
            schema, funnel.options
        )
        self.funnel.loss = MeanLosses(
            schema,
            lookup(LOSSES, "loss kind", loss.kind).build(loss.options),
            lookup(REGRESSION_LOSSES, "regression_loss kind", regression_loss.kind).build(
                stored, regression_loss.options
            ),
        )
        scores = self.funnel.loss.tasks_with_scores
        self.outputs = (*self.funnel.outputs, *scores)
        self.scored = nn.Buffer(torch.tensor(scores, dtype=torch.int64), persistent=False)
        self.towers = Towers(
            len(self.outputs),
            self.sharing.outputs,
            tower,
            self.members,
            self.funnel.transfer,
            self.funnel.lower_precision,
        )
        smeared = self.funnel.loss.regression.smeared
        self.targets = (
            Targets(schema, smeared)
            if any(task.scale or task.cap for task in schema.tasks)
            else None
        )
        self.thinned = Thinned(self.funnel, thinning) if thinning else None
        self.position = PositionTower(schema, position) if schema.position else None
        self.weights = sum(parameter.numel() for parameter in self.dense_parameters())
        draw(self, seed)

    def forward(self, ids: Tensor, dense: Tensor) -> Tensor:
        """ids (B, S) int32 or int64, dense (B, D) -> logits (B, O), as `probabilities` reads them.

        Averages members and corrects regressions on a logarithmic scale, see `Targets`; training
        uses `logits`.
        """
        ids = self.rows(ids)
        logits = self.logits(self.embed(ids, exact=False), ids, dense)
        if any(self.regression):
            logits = self._predicted(logits, dense)
        if self.members == 1:
            return logits
        return self._averaged(logits.view(self.members, -1, logits.shape[1]))

    def _predicted(self, logits: Tensor, dense: Tensor) -> Tensor:
        """Replaces regressions' outputs in logits (k B, O) by their predictions, on the scale of
        their targets.
        """
        dense = dense if self.members == 1 else torch.cat([dense] * self.members)
        own = logits[:, : len(self.regression)]
        caps = None if self.targets is None else self.targets.caps_of(dense)
        own = torch.where(
            self.links.regression, self.funnel.loss.regression.predicted(own, dense, caps), own
        )
        if self.targets is not None:
            own = self.targets.corrected(own)
        own = own if caps is None else torch.minimum(own, caps)
        return own if own.shape == logits.shape else torch.cat([own, logits[:, own.shape[1] :]], 1)

    @property
    def ties_logits(self) -> bool:
        """Whether one task's loss depends on more than its own logit."""
        return self.funnel.ties_tasks or len(self.scored) > 0

    def rows(self, ids: Tensor) -> Tensor:
        """ids (B, S) of the store -> rows of the table (B, S')."""
        return self._numeric.rows(ids)

    def embed(self, ids: Tensor, exact: bool = True) -> Tensor:
        """ids (B, S') of `rows` -> e (B, S', W); nothing else reads the table.

        Unless `exact`, e has the precision of the products: the same logits in fewer passes.
        """
        ids = ids if self.position is None else self.position.hidden(ids)
        low = not exact and not self.pooling.pools and self._is_bf16(ids.device)
        return self.embedding.forward(ids, torch.bfloat16 if low else None)

    def _is_bf16(self, device: torch.device) -> bool:
        # Evaluation and serving use float32 on any machine.
        return self.training and is_bf16(self.precision, device, self.weights)

    def logits(self, e: Tensor, ids: Tensor, dense: Tensor) -> Tensor:
        """e (B, S', W), ids (B, S'), dense (B, D) -> logits (k B, O).

        `ids` only mark padding, so the gradient at `e` is all that the table's optimizer needs.
        They have the row's position, too, which counts in training.
        """
        logits: Tensor = self.towers(self.represent(e, ids, dense))
        return logits if self.position is None else self.position(logits, ids)

    def represent(self, e: Tensor, ids: Tensor, dense: Tensor) -> Tensor:
        """The towers' inputs: arguments of `logits` -> (O, k B, H), or (1, k B, H) if all towers
        share one.
        """
        x = self._inputs(e, ids, dense)
        codes = () if self.scenario is None else (self._scenarios(ids),)
        h = applied(self.sharing, self.sharing.lower_precision, x, *codes)
        tasks, expected = len(self.schema.tasks), (x.shape[1], self.sharing.outputs)
        if h.dim() != 3 or len(h) not in (1, tasks) or h.shape[1:] != expected:
            raise ValueError(
                f"{type(self.sharing).__name__}: expected representations {(tasks, *expected)}, or "
                f"one for all tasks {(1, *expected)}, found {tuple(h.shape)}"
            )
        more = self.outputs[tasks:]
        return torch.cat([h, *(h[task : task + 1] for task in more)]) if more and len(h) > 1 else h

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        group: Tensor | None = None,
        bounds: Tensor | None = None,
        dense: Tensor | None = None,
    ) -> Tensor:
        """Mean loss of each task (T,).

        Args:
            logits: (k B, O).
            labels: (B, T), NaN where unobserved.
            weights: (B, 1 or 2) of the samples, see `bench.data.store.StoredSplit`; None for equal
                ones.
            group: (B,), where the loss compares samples; None: all are one group.
            bounds: (B, T) of labels, see `bench.data.store.StoredSplit`; None where no regression
                is censored.
            dense: (B, D), for durations.
        """
        bounds, dense = self._beside(bounds, dense)
        labels = labels if self.targets is None else self.targets.of_labels(labels)
        of_funnel, scores = len(self.funnel.outputs), None
        if of_funnel < len(self.outputs):
            logits, given = logits[:, :of_funnel], logits[:, of_funnel:]
            scores = torch.zeros_like(logits[:, : labels.shape[1]]).index_copy(
                1, self.scored, given
            )
        if weights is not None and self.thinned is not None:
            logits, weights = logits + self.thinned.offset, self.thinned.weights(weights)
        elif weights is not None:
            weights = weights.prod(1, keepdim=True)
        if self.members > 1:
            labels = labels.repeat(self.members, 1)
            weights = None if weights is None else weights.repeat(self.members, 1)
        context = Context(
            None if group is None else numbered(group, self.members), scores, bounds, dense
        )
        return self.funnel.losses(logits, labels, weights, context)

    def follow(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        bounds: Tensor | None = None,
        dense: Tensor | None = None,
    ) -> None:
        """Updates regressions' running state: the factor of their scales, and their loss's;
        arguments of `losses`.
        """
        if not any(self.regression):
            return
        weights = None if weights is None else weights.prod(1, keepdim=True).repeat(self.members, 1)
        labels = labels.repeat(self.members, 1)
        if self.targets is not None:
            self.targets.follow(logits, labels, weights)
        bounds, dense = self._beside(bounds, dense)
        own = logits.detach()[:, : labels.shape[1]]
        targets = labels if self.targets is None else self.targets.of_labels(labels)
        happened = ~self.links.given_parent | (self.links.of_parent(labels) == 1)
        targets = torch.where(happened & self.links.regression, targets, torch.nan)
        self.funnel.loss.regression.follow(
            own, targets, weights, Context(bounds=bounds, dense=dense)
        )

    def _beside(
        self, bounds: Tensor | None, dense: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Bounds (B, T) on the scale of the targets and dense columns (B, D), repeated for each
        member.
        """
        if bounds is not None:
            bounds = bounds if self.targets is None else self.targets.of_bounds(bounds)
        if self.members == 1:
            return bounds, dense
        return tuple(
            None if each is None else each.repeat(self.members, 1) for each in (bounds, dense)
        )  # type: ignore[return-value]

    def probabilities(self, logits: Tensor) -> Probabilities:
        """logits (B, O) -> conditional and joint predictions, regressions in the unit of their
        labels.

        The expected value of a regression on all impressions is its parent's joint probability
        times the expected value given the parent.
        """
        raw = self.funnel.probabilities(logits[:, : len(self.funnel.outputs)])
        if not any(self.regression):
            return raw
        conditional = (
            raw.conditional if self.targets is None else self.targets.values(raw.conditional)
        )
        plain = torch.where(self.links.regression, conditional, raw.joint)
        links = self.links
        joint = torch.where(links.given_parent, links.of_parent(raw.joint) * conditional, plain)
        return Probabilities(conditional, joint)

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Dense parameters on which more than one task's logits depend; the table is excluded."""
        parts = (self.pooling, self.numeric, self.interaction, self.member_inputs)
        before = [part.shared_parameters() for part in parts if part is not None]
        one = len(self.schema.tasks) == 1
        return chain(
            *before, self.sharing.parameters() if one else self.sharing.shared_parameters()
        )

    def dense_parameters(self) -> Iterator[nn.Parameter]:
        """All parameters except the table."""
        return (
            parameter for parameter in self.parameters() if parameter is not self.embedding.weight
        )

    def initialise_outputs(self, means: Tensor) -> None:
        """Sets output biases so that an untrained model predicts roughly these means, (T,).

        They are of each task's labels on its own sample space (a child's: where its parent
        happened). At NaN, where there is no label, a task starts at probability 1/2, a regression
        at 0.
        """
        starts = means if self.targets is None else self.targets.start(means)
        starts = torch.where(
            self.links.regression, self.funnel.loss.regression.start(starts), starts
        )
        start = self.funnel.start(starts)
        nn.init.zeros_(bias := cast(Tensor, self.towers.output.bias))
        bias.data[: len(start)] = start.unsqueeze(1)

    def _averaged(self, each: Tensor) -> Tensor:
        """Members' logits (k, B, O) -> the logits (B, O) of their mean predictions."""
        averaged = mean_logits(each)
        if not any(self.regression):
            return averaged
        own = each[:, :, : len(self.regression)]
        means = own.mean(0) if self.targets is None else self.targets.mean_of(own)
        columns = [means if regression else averaged for regression in self.regression]
        of_tasks = torch.stack([column[:, task] for task, column in enumerate(columns)], 1)
        return torch.cat([of_tasks, averaged[:, len(columns) :]], 1)

    @property
    def _numeric(self) -> NumericEncoding:
        return cast(NumericEncoding, self.numeric.parts[0])

    def _inputs(self, e: Tensor, ids: Tensor, dense: Tensor) -> Tensor:
        """The sharing's input sets (I, k B, inputs), in the precision of the products.

        Pooled fields, then tokens of numbers and dense columns, then columns that an interaction
        appends.
        """
        x: Tensor = self.pooling(e, ids)
        if self._is_bf16(e.device):
            x = x.to(torch.bfloat16)
        x = self.by_sets(x)
        if dense.shape[1]:
            numbers = self.numeric(dense.expand(self.input_sets, -1, -1))
            x = torch.cat([x, numbers.to(x.dtype)], dim=2)
        kind = cast(Interaction, self.interaction.parts[0])
        y = applied(self.interaction, kind.lower_precision, x)
        return y if self.member_inputs is None else self.member_inputs(y)

    def _scenarios(self, ids: Tensor) -> Tensor:
        """ids (B, S') -> code of each row's scenario (k B,), 0 if unknown or rare on train."""
        assert self.scenario is not None
        slot, first = self.scenario
        codes = (ids[:, slot].long() - first).clamp(min=0)  # padding is unknown, too
        return codes if self.members == 1 else torch.cat([codes] * self.members)


def _place_of_scenario(schema: Schema) -> tuple[int, int]:
    """Slot of the scenario's field, and the field's first row."""
    at = [field.name for field in schema.fields].index(schema.scenario or "")
    return sum(field.slots for field in schema.fields[:at]), schema.offsets[at]


def parameter_count(model: nn.Module) -> int:
    """Number of trained parameters, tables included."""
    return sum(parameter.numel() for parameter in model.parameters())
