"""Checks of every sharing, funnel, interaction, numeric kind, sequence kind and loss in a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor

from bench.core.registry import Chosen
from bench.core.schema import Field, Number, Scale, Schema, Task
from bench.models.assembly import MultiTaskModel
from bench.models.config import EmbeddingConfig, EnsembleConfig, TowerConfig
from bench.models.position import PositionConfig
from bench.production.engines import export
from bench.production.served_model import ModelPart, Network, ServedModel
from bench.training.config import AXES, DEFAULTS

CHAIN = (Task("click"), Task("cart", parent="click"), Task("buy", parent="cart"))
_LOGGED = Scale(log=True, centre=1.0, spread=0.5, low=0.0, high=3.0, mean=2.0)
MIXED = (Task("click"), Task("buy", parent="click"), Task("watch", "regression", parent="click"), Task("like"))
TASKS = {
    "one": (Task("click"),),
    "two": (Task("income"), Task("married")),
    "chain": CHAIN,
    "mixed": MIXED,
    "five": (*MIXED, Task("share")),
    "six": (*CHAIN, Task("like"), Task("share"), Task("watch", "regression", scale=_LOGGED)),
}
Kinds = Mapping[str, str]
"""Axis -> kind, as in {"sharing": "mmoe"}."""
SIZES = (0, 1, 7)
FIELDS = (Field("user", 40), Field("tags", 12, slots=3), Field("item", 25), Field("hour", 24))
_PAST, _RANGES = Field("past_item", 25, slots=4, of="item"), Field("age_bucket", 6)
_AGE = Number("age", 0, 1, (-1.0, 0.0, 0.5, 1.0, 2.0), (9, 9, 9, 9))


def schema_of(tasks: str, kinds: Kinds) -> Schema:
    """Four fields, one the scenario, and a dense column; numbers and a history for the kinds that read them."""
    numeric, sequence = "numeric" in kinds, "sequence" in kinds
    fields = (*FIELDS, *((_PAST,) if sequence else ()), *((_RANGES,) if numeric else ()))
    dense = ("age", "age_missing") if numeric else ("age",)
    return Schema(fields, dense, TASKS[tasks], numbers=(_AGE,) if numeric else (), grouped=True, scenario="hour")


def build(tasks: str, kinds: Kinds, dim: int = 4, tower: int = 8, members: int = 1) -> MultiTaskModel:
    """A model with default options, or other `kinds` by axis; SkipTest if an entry does not fit the tasks' schema."""
    schema = schema_of(tasks, kinds)
    chosen = {axis: kind for axis, kind in DEFAULTS.items() if axis != "balancing"} | dict(kinds)
    choices: dict[str, Any] = {}
    for axis, kind in chosen.items():
        entry = AXES[axis][kind]
        if reason := entry.unfit(schema):
            raise SkipTest(reason)
        choices[axis] = Chosen(kind, entry.config())
    return MultiTaskModel(
        schema,
        embedding=EmbeddingConfig(dim=dim),
        tower=TowerConfig(layers=(tower,)),
        ensemble=EnsembleConfig(members=members),
        position=PositionConfig(),
        **choices,
    )


def batch_of(schema: Schema, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """ids, dense and consistent labels: a child happens only where its parent did."""
    columns = []
    for field, offset in zip(schema.fields, schema.offsets, strict=True):
        ids = torch.randint(offset, offset + field.cardinality, (size, field.slots))
        if field.of is not None:  # a history ends with padding
            ids *= torch.arange(field.slots) < torch.randint(0, field.slots + 1, (size, 1))
        elif field.slots > 1:
            ids[:, 1:] *= torch.rand(size, field.slots - 1) < 0.5  # padding
        columns.append(ids)
    labels: list[Tensor] = []
    for task, parent in zip(schema.tasks, schema.parents, strict=True):
        values = torch.randn(size) if task.kind == "regression" else (torch.rand(size) < 0.6).float()
        labels.append(values if parent is None else values * labels[parent])
    dense = torch.randn(size, len(schema.dense))
    for number in schema.numbers:
        if number.missing is not None:
            dense[:, number.missing] = torch.arange(size) % 3 == 0
            dense[:, number.column] *= dense[:, number.missing] == 0
    return torch.cat(columns, 1).int(), dense, torch.stack(labels, 1)


def drawn_again(check: Callable[[str, Kinds], None]) -> Callable[[str, Kinds], None]:
    """Makes a check pass if it does on one of two draws: by chance a small model may have a dead unit."""

    @wraps(check)
    def tried(tasks: str, kinds: Kinds) -> None:
        try:
            check(tasks, kinds)
        except AssertionError:
            torch.manual_seed(1)
            check(tasks, kinds)

    return tried


def _any_of_slices(gradient: Tensor) -> Tensor:
    """(N, ..) -> (N,), whether each slice has a non-zero number."""
    return gradient.reshape(len(gradient), -1).any(dim=1)


def any_batch_size_gives_logits_losses_and_probabilities(tasks: str, size: int, kinds: Kinds) -> None:
    """Shapes, finite losses, probabilities between 0 and 1; rows do not depend on the rows beside them."""
    model = build(tasks, kinds)
    ids, dense, labels = batch_of(schema_of(tasks, kinds), size)
    count = len(model.schema.tasks)
    logits = model(ids, dense)
    losses = model.losses(logits, labels)
    torch.autograd.backward(losses.sum())
    assert logits.shape == (size, len(model.outputs))
    assert model.outputs[:count] == tuple(range(count))
    assert losses.shape == (count,)
    assert losses.isfinite().all()
    probabilities = model.probabilities(logits)
    for values in (probabilities.conditional, probabilities.joint):
        assert values.shape == (size, count)
        binary = values[:, [task.kind == "binary" for task in model.schema.tasks]]
        assert ((binary >= 0) & (binary <= 1)).all()
    if size:
        model.eval()  # no random draws
        logits = model(ids, dense)
        alone = torch.cat([model(ids[i : i + 1], dense[i : i + 1]) for i in range(size)])
        torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)


@drawn_again
def the_gradient_reaches_every_parameter(tasks: str, kinds: Kinds) -> None:
    """Slice by slice, in evaluation mode, on 256 samples."""
    model = build(tasks, kinds).eval()
    ids, dense, labels = batch_of(schema_of(tasks, kinds), 256)
    torch.autograd.backward(model.losses(model(ids, dense), labels).sum())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        reached = _any_of_slices(parameter.grad)
        if name == "embedding.weight":
            assert reached.nonzero().flatten().tolist() == torch.unique(model.rows(ids)).tolist()[1:], (
                "all but the padding"
            )
        else:
            assert reached.all(), f"{name}: no gradient at {int((~reached).sum())} of its {len(reached)} slices"


@drawn_again
def shared_parameters_are_declared_exactly(tasks: str, kinds: Kinds) -> None:
    """By autograd: each slice of a shared one moves more than one task, each slice of another exactly one.

    So does each input set of the table's. Where a funnel transfers hidden units, what moves a task moves all that
    follow it, and they count as one.
    """
    model = build(tasks, kinds).double().eval()
    ids, dense, _ = batch_of(schema_of(tasks, kinds), 256)
    parameters = list(model.dense_parameters())
    logits = model(ids, dense.double())
    slices = [*map(len, parameters), model.input_sets]
    moved = [torch.zeros(count, len(TASKS[tasks]), dtype=torch.bool) for count in slices]
    inputs = [*parameters, model.embedding.weight]
    for output, task in enumerate(model.outputs):
        gradients = [*torch.autograd.grad(logits[:, output].sum(), inputs, retain_graph=True, allow_unused=True)]
        if gradients[-1] is not None:
            gradients[-1] = gradients[-1].reshape(len(gradients[-1]), model.input_sets, -1).transpose(0, 1)
        for by, gradient in zip(moved, gradients, strict=True):
            if gradient is not None:
                by[:, task] |= _any_of_slices(gradient)
    if model.towers.transfer is not None:
        for by in moved:
            before = by.clone()
            for task, parent in enumerate(model.schema.parents):
                by[:, task] &= ~before[:, parent] if parent is not None else True
    shared = {id(parameter) for parameter in model.shared_parameters()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, by in zip(inputs, moved, strict=True):
        is_shared = torch.full((len(by),), id(parameter) in shared)
        if parameter is model.embedding.weight:
            is_shared[: model.interaction.common] = True
        count = by.sum(1)
        least = 1 if model.towers.transfer is None else 0
        fits = torch.where(is_shared, count > least, count == 1)
        wrong = [f"{'shared' if of_all else 'own'}, moves {n}" for of_all, n in zip(is_shared, count, strict=True)]
        wrong = [each for each, right in zip(wrong, fits, strict=True) if not right]
        assert not wrong, f"{names[id(parameter)]}: by declared kind and number of tasks, slices: {wrong}"


def a_tasks_loss_is_its_own(kinds: Kinds) -> None:
    """It depends on its task's own logits and labels, and is finite and not negative, however sure the predictions."""
    model = build("mixed", kinds)
    _, dense, labels = batch_of(schema_of("mixed", kinds), 32)
    logits = torch.randn(32, len(model.outputs), requires_grad=True)
    losses = model.losses(logits, labels, dense=dense)
    for task, loss in enumerate(losses):
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        others = [number for number, of in enumerate(model.outputs) if of != task and gradient[:, number].any()]
        assert not others, f"the loss of task {task} depends on the logits {others}"
    for task in {1, 2, 3}:  # nobody's parents
        changed = labels.clone()
        changed[:, task] = 1 - changed[:, task]
        found = model.losses(logits, changed, dense=dense).isclose(losses)
        found[task] = True
        assert found.all(), f"labels of task {task} change the losses of tasks {(~found).nonzero().flatten().tolist()}"
    binary = torch.tensor([task.kind == "binary" for task in model.schema.tasks])
    for sure in (0.0, 5.0, 50.0, -50.0):
        signs = torch.where(binary, 2 * labels - 1, labels)[:, list(model.outputs)]
        losses = model.losses(sure * signs, labels, dense=dense)
        right = losses.isfinite() & (losses >= 0)
        assert right.all(), f"expected finite losses of at least 0, found {losses} of logits {sure:g} times the signs"


def a_seed_decides_everything(kinds: Kinds) -> None:
    """Two steps by plain gradients repeat bit for bit under one seed, and differ under another.

    All draws come from torch's default generator.
    """

    def trained(seed: int) -> Tensor:
        torch.manual_seed(seed)
        model = build("chain", kinds)
        torch.manual_seed(1)
        ids, dense, labels = batch_of(schema_of("chain", kinds), 32)
        for _ in range(2):
            gradients = torch.autograd.grad(model.losses(model(ids, dense), labels).sum(), list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter.sub_(0.1 * gradient)
        logits: Tensor = model(ids, dense)
        return logits.detach()

    assert torch.equal(trained(3), trained(3))
    assert not torch.equal(trained(3), trained(4))


def its_state_is_its_parameters(kinds: Kinds) -> None:
    """`state_dict` holds parameters, and buffers of a regression loss; a new model with it predicts the same."""
    model, other = build("mixed", kinds).eval(), build("mixed", kinds).eval()
    ids, dense, _ = batch_of(schema_of("mixed", kinds), 16)
    assert not torch.equal(model(ids, dense), other(ids, dense))
    other.load_state_dict({name: tensor.clone() for name, tensor in model.state_dict().items()})
    assert torch.equal(model(ids, dense), other(ids, dense))
    kept = {name for name in model.state_dict() if not name.startswith("funnel.loss.regression.")}
    beyond = kept - {name for name, _ in model.named_parameters()}
    assert not beyond, f"expected parameters alone in the state, found the buffers {beyond}"


def it_can_be_packaged(kinds: Kinds) -> None:
    """Its graph can be exported, and gives what the model gives, at any batch size."""
    model = build("mixed", kinds)
    schema = schema_of("mixed", kinds)
    served = ServedModel([[Network([model])]], [ModelPart.whole({}, schema)], schema)
    run = export(served, schema).module()
    for size in (*SIZES, 13):
        ids, dense, _ = batch_of(schema, size)
        for found, expected in zip(run(ids, dense), served(ids, dense), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def an_entry_says_what_it_is(axis: str, kind: str) -> None:
    """Its name, its source and its summary, and default options that survive JSON."""
    entry = AXES[axis][kind]
    assert kind.isidentifier()
    assert entry.paper == "-" or entry.paper[-4:].isdecimal(), "a paper ends with its year"
    assert entry.summary
    assert "\n" not in entry.summary
    assert not entry.departs or entry.departs.endswith(".")
    assert entry.config() == entry.config.model_validate(entry.config().model_dump(mode="json"))
