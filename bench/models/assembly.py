"""Assembles a model: table, histories, numbers -> interaction -> members -> sharing -> towers ->
funnel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.core.registry import Chosen, Entry, lookup
from bench.core.schema import Schema
from bench.models.contracts import (
    Backbone,
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
from bench.models.embedding import FieldPlace, FieldPooling, FusedEmbedding, InputSets
from bench.models.funnels import FUNNELS
from bench.models.funnels.links import Links
from bench.models.interactions import INTERACTIONS
from bench.models.layers import MemberInputs, Towers, mean_logits
from bench.models.losses import LOSSES, REGRESSION_LOSSES
from bench.models.losses.base import Context, MeanLosses, numbered
from bench.models.model_options import EmbeddingConfig, EnsembleConfig, Precision, TowerConfig
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
            `bench.models.model_options.Precision`. Parameters, gradients, logits and losses are
            always
            float32.

    Attributes:
        regression: whether each task is a regression.
        schema: the store's schema after `numeric`; its fields have rows in the table.
        embedding: the fused table; `embedding.weight` is (rows, W).
        outputs: task of every logit, see `Funnel.outputs`; second scores of a loss follow the
            funnel's.
        scored: tasks that have a second score.
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
        seed = int(torch.randint(1 << 31, (), device="cpu"))
        tasks = len(schema.tasks)
        self.precision, self.members = precision, ensemble.members
        self.regression = [task.kind == "regression" for task in schema.tasks]
        self.links = Links(schema)

        # The build of a sharing entry is its class: the number of input sets must be known before
        # the input's width.
        sharing_class = cast("type[Sharing]", _build(SHARING, "sharing", sharing))
        self.input_sets = sharing_class.input_sets(tasks)
        by_sets = partial(BySets, common=sharing_class.common_sets(tasks), sets=self.input_sets)

        self.numeric = by_sets(partial(_numeric_encoding, schema, embedding, numeric))
        self.schema = self._numeric.schema
        self.embedding = FusedEmbedding(self.schema.rows, embedding.dim, self.input_sets, seed)
        build_history = _build(SEQUENCE, "sequence", sequence)
        self.pooling = FieldPooling(
            self.schema,
            lambda length: by_sets(
                lambda sets: build_history(embedding.dim, length, sets, sequence.options)
            ),
            self.input_sets,
        )
        fields = Layout(self.schema, embedding.dim, numbers=self._numeric.tokens)
        self.by_sets = InputSets(self.input_sets, embedding.dim)
        build_interaction = _build(INTERACTIONS, "interaction", interaction)
        self.interaction = by_sets(
            lambda sets: build_interaction(fields, sets, interaction.options)
        )
        layout = replace(fields, appended=self.interaction.outputs - fields.inputs)
        self.member_inputs: BySets | None = None
        if self.members > 1:
            self.member_inputs = by_sets(lambda sets: MemberInputs(layout, sets, self.members))

        self.sharing = sharing_class.of(layout, tasks, sharing.options)
        self.scenario: FieldPlace | None = None
        if sharing_class.by_scenario:
            self.scenario = FieldPlace.of(self.schema, str(self.schema.scenario))

        self.funnel: Funnel = _build(FUNNELS, "funnel", funnel)(self.schema, funnel.options)
        binary_loss = _build(LOSSES, "loss", loss)(loss.options)
        build_regression = _build(REGRESSION_LOSSES, "regression_loss", regression_loss)
        self.funnel.loss = MeanLosses(
            self.schema, binary_loss, build_regression(schema, regression_loss.options)
        )
        scored = self.funnel.loss.tasks_with_scores
        self.outputs = (*self.funnel.outputs, *scored)
        self.scored = nn.Buffer(torch.tensor(scored, dtype=torch.int64), persistent=False)
        self.towers = Towers(
            len(self.outputs),
            self.sharing.outputs,
            tower,
            self.members,
            self.funnel.transfer,
            self.funnel.lower_precision,
        )

        self.targets: Targets | None = None
        if any(task.scale or task.cap for task in schema.tasks):
            self.targets = Targets(self.schema, self.funnel.loss.regression.smeared)
        self.thinned = Thinned(self.funnel, thinning) if thinning else None
        self.position: PositionTower | None = None
        if schema.position:
            self.position = PositionTower(self.schema, position)
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
        if self.members > 1:
            dense = torch.cat([dense] * self.members)
        tasks = len(self.regression)
        outputs = logits[:, :tasks]
        caps = None if self.targets is None else self.targets.caps_of(dense)
        predictions = self.funnel.loss.regression.predicted(outputs, dense, caps)
        outputs = torch.where(self.links.regression, predictions, outputs)
        if self.targets is not None:
            outputs = self.targets.corrected(outputs)
        if caps is not None:
            outputs = torch.minimum(outputs, caps)
        if logits.shape[1] == tasks:
            return outputs
        return torch.cat([outputs, logits[:, tasks:]], 1)

    def _averaged(self, logits: Tensor) -> Tensor:
        """Members' logits (k, B, O) -> the logits (B, O) of their mean predictions."""
        averaged = mean_logits(logits)
        if not any(self.regression):
            return averaged
        tasks = len(self.regression)
        outputs = logits[:, :, :tasks]
        means = outputs.mean(0) if self.targets is None else self.targets.mean_of(outputs)
        of_tasks = torch.where(self.links.regression, means, averaged[:, :tasks])
        return torch.cat([of_tasks, averaged[:, tasks:]], 1)

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
        if self.position is not None:
            ids = self.position.hidden(ids)
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
        h = applied(self.sharing, self.sharing.lower_precision, x, *self._beside(e, ids))
        tasks, expected = len(self.schema.tasks), (x.shape[1], self.sharing.outputs)
        if h.dim() != 3 or len(h) not in (1, tasks) or h.shape[1:] != expected:
            raise ValueError(
                f"{type(self.sharing).__name__}: expected representations {(tasks, *expected)}, or "
                f"one for all tasks {(1, *expected)}, found {tuple(h.shape)}"
            )
        extra_towers = self.outputs[tasks:]
        if len(h) == 1 or not extra_towers:
            return h
        return torch.cat([h, *(h[task : task + 1] for task in extra_towers)])

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
        interaction = cast(Interaction, self.interaction.parts[0])
        x = applied(self.interaction, interaction.lower_precision, x)
        return x if self.member_inputs is None else self.member_inputs(x)

    def _beside(self, e: Tensor, ids: Tensor) -> list[Tensor]:
        """What the sharing reads beside its input sets: codes (k B,) of scenarios, 0 if unknown or
        rare on train, or each history's values (k B, L, W) and mask (k B, L).
        """
        tensors = []
        if self.scenario is not None:
            tensors.append(self.scenario.codes(ids))
        if isinstance(self.sharing, Backbone):
            tensors += self.pooling.unpooled(e, ids)
        if self.members == 1:
            return tensors
        return [torch.cat([rows] * self.members) for rows in tensors]

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
        if self.targets is not None:
            labels = self.targets.of_labels(labels)
        scores = None
        of_funnel = len(self.funnel.outputs)
        if of_funnel < len(self.outputs):
            scores = torch.zeros_like(logits[:, : labels.shape[1]])
            scores = scores.index_copy(1, self.scored, logits[:, of_funnel:])
            logits = logits[:, :of_funnel]

        if weights is not None and self.thinned is not None:
            logits = logits + self.thinned.offset
            weights = self.thinned.weights(weights)
        elif weights is not None:
            weights = weights.prod(1, keepdim=True)

        context = self._context(bounds, dense, scores)
        if group is not None:
            context = context._replace(group=numbered(group, self.members))
        if self.members > 1:
            labels = labels.repeat(self.members, 1)
        return self.funnel.losses(logits, labels, self._by_member(weights), context)

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
        if weights is not None:
            weights = self._by_member(weights.prod(1, keepdim=True))
        labels = labels.repeat(self.members, 1)
        targets = labels
        if self.targets is not None:
            self.targets.follow(logits, labels, weights)
            targets = self.targets.of_labels(labels)
        links = self.links
        happened = ~links.given_parent | (links.of_parent(labels) == 1)
        targets = torch.where(happened & links.regression, targets, torch.nan)
        outputs = logits.detach()[:, : labels.shape[1]]
        context = self._context(bounds, dense)
        self.funnel.loss.regression.follow(outputs, targets, weights, context)

    def _context(
        self, bounds: Tensor | None, dense: Tensor | None, scores: Tensor | None = None
    ) -> Context:
        """The loss's further inputs: bounds (B, T) of labels, dense (B, D), and scores (k B, T)."""
        if bounds is not None and self.targets is not None:
            bounds = self.targets.of_bounds(bounds)
        return Context(scores=scores, bounds=self._by_member(bounds), dense=self._by_member(dense))

    def _by_member(self, rows: Tensor | None) -> Tensor | None:
        """Rows of a batch, once for each member."""
        if rows is None or self.members == 1:
            return rows
        return rows.repeat(self.members, 1)

    def probabilities(self, logits: Tensor) -> Probabilities:
        """logits (B, O) -> conditional and joint predictions, regressions in the unit of their
        labels.

        The expected value of a regression on all impressions is its parent's joint probability
        times the expected value given the parent.
        """
        predictions = self.funnel.probabilities(logits[:, : len(self.funnel.outputs)])
        if not any(self.regression):
            return predictions
        links, conditional, joint = self.links, predictions.conditional, predictions.joint
        if self.targets is not None:
            conditional = self.targets.values(conditional)
        expected = links.of_parent(joint) * conditional
        joint = torch.where(links.regression, conditional, joint)
        return Probabilities(conditional, torch.where(links.given_parent, expected, joint))

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Dense parameters on which more than one task's logits depend; the table is excluded."""
        for part in (self.pooling, self.numeric, self.interaction, self.member_inputs):
            if part is not None:
                yield from part.shared_parameters()
        if len(self.schema.tasks) == 1:
            yield from self.sharing.parameters()
        else:
            yield from self.sharing.shared_parameters()

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
        if self.targets is not None:
            means = self.targets.start(means)
        outputs = self.funnel.loss.regression.start(means)
        start = self.funnel.start(torch.where(self.links.regression, outputs, means))
        bias = self.towers.output.bias
        assert bias is not None
        nn.init.zeros_(bias)
        bias.data[: len(start)] = start.unsqueeze(1)

    @property
    def _numeric(self) -> NumericEncoding:
        return cast(NumericEncoding, self.numeric.parts[0])


def _build(registry: Mapping[str, Entry[Any]], axis: str, chosen: Chosen) -> Callable[..., Any]:
    """What builds the chosen kind of an axis."""
    return lookup(registry, f"{axis} kind", chosen.kind).build


def _numeric_encoding(
    schema: Schema, embedding: EmbeddingConfig, numeric: Chosen, sets: int
) -> NumericEncoding:
    """The encoding of a schema's dense columns; vectors that are projected leave it first."""
    if embedding.project_vectors and schema.vectors:
        return ProjectedVectors(
            schema,
            embedding.dim,
            sets,
            lambda rest: _numeric_encoding(rest, embedding, numeric, sets),
        )
    build = _build(NUMERIC, "numeric", numeric)
    encoding: NumericEncoding = build(schema, embedding.dim, sets, numeric.options)
    return encoding


def parameter_count(model: nn.Module) -> int:
    """Number of trained parameters, tables included."""
    return sum(parameter.numel() for parameter in model.parameters())
