"""Checks of every sharing, funnel, interaction, numeric kind, sequence kind and loss in a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from unittest import SkipTest

import torch
from torch import Tensor, nn

from bench.core.registry import Chosen
from bench.core.schema import Field, Number, Scale, Schema, Task
from bench.models.assembly import MultiTaskModel
from bench.models.contracts import Backbone, Sharing
from bench.models.model_options import EmbeddingConfig, EnsembleConfig, TowerConfig
from bench.models.position import PositionConfig
from bench.models.training.config import AXES, DEFAULTS
from bench.serve.engines import export
from bench.serve.served_model import ModelPart, Network, ServedModel

CHAIN = (Task("click"), Task("cart", parent="click"), Task("buy", parent="cart"))
_LOGGED = Scale(log=True, centre=1.0, spread=0.5, low=0.0, high=3.0, mean=2.0)
MIXED = (
    Task("click"),
    Task("buy", parent="click"),
    Task("watch", "regression", parent="click"),
    Task("like"),
)
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
    """Four fields, one the scenario, and a dense column; numbers and a history for the kinds that
    read them.
    """
    fields: tuple[Field, ...] = FIELDS
    sharing = cast("type[Sharing]", AXES["sharing"][kinds.get("sharing", "mmoe")].build)
    if "sequence" in kinds or issubclass(sharing, Backbone):
        fields += (_PAST,)
    schema = Schema(fields, ("age",), TASKS[tasks], grouped=True, scenario="hour")
    if "numeric" not in kinds:
        return schema
    return replace(schema, fields=(*fields, _RANGES), dense=("age", "age_missing"), numbers=(_AGE,))


def build(
    tasks: str, kinds: Kinds, dim: int = 4, tower: int = 8, members: int = 1
) -> MultiTaskModel:
    """A model with default options, or other `kinds` by axis; SkipTest if an entry does not fit the
    tasks' schema.
    """
    schema = schema_of(tasks, kinds)
    choices: dict[str, Any] = {}
    for axis, kind in (DEFAULTS | dict(kinds)).items():
        if axis == "balancing":
            continue
        entry = AXES[axis][kind]
        reason = entry.unfit(schema)
        if reason is not None:
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
        if task.kind == "regression":
            values = torch.randn(size)
        else:
            values = (torch.rand(size) < 0.6).float()
        if parent is not None:
            values *= labels[parent]
        labels.append(values)
    dense = torch.randn(size, len(schema.dense))
    for number in schema.numbers:
        if number.missing is not None:
            dense[:, number.missing] = torch.arange(size) % 3 == 0
            dense[:, number.column] *= dense[:, number.missing] == 0
    return torch.cat(columns, 1).int(), dense, torch.stack(labels, 1)


SPREADS = (0.0, 0.1, 0.3, *[1.0, 3.0] * 5)
"""Of the points at which gradients are looked for: the standard deviation of what is added to the
values as drawn.
"""


@torch.no_grad()
def moved(model: MultiTaskModel, spread: float) -> MultiTaskModel:
    """The model, with random numbers added to its dense parameters.

    Where it starts, a connected parameter may have no gradient: a unit of ReLU is off in all rows,
    or a factor is 0.
    """
    if spread:
        for parameter in model.dense_parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


def constant_slices(model: nn.Module) -> dict[str, Tensor]:
    """By parameter, (slices,): where its gradient is 0 in exact arithmetic, so that rounding alone
    decides.

    That is what a part's `zero_gradient` names. Of torch's own attention it is the bias of the
    keys, the middle third of `in_proj_bias`.
    """
    constant = {}
    for name, parameter in model.named_parameters():
        constant[name] = torch.zeros(len(parameter), dtype=torch.bool)
    for path, module in model.named_modules():
        for name in getattr(module, "zero_gradient", ()):
            full_name = f"{path}.{name}"
            assert full_name in constant, f"`zero_gradient` names no parameter: '{full_name}'"
            constant[full_name][:] = True
        if isinstance(module, nn.MultiheadAttention):
            # A key that the layer adds itself has no such bias, so that the others' counts.
            adds_key = module.bias_k is not None or module.add_zero_attn
            if module.in_proj_bias is not None and not adds_key:
                width = module.embed_dim
                constant[f"{path}.in_proj_bias"][width : 2 * width] = True
    return constant


def _any_of_slices(gradient: Tensor) -> Tensor:
    """(N, ..) -> (N,), whether each slice has a non-zero number."""
    return gradient.nan_to_num().reshape(len(gradient), -1).any(dim=1)


def any_batch_size_gives_logits_losses_and_probabilities(
    tasks: str, size: int, kinds: Kinds
) -> None:
    """Shapes, finite losses, probabilities between 0 and 1; rows do not depend on the rows beside
    them.
    """
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
        one_by_one = [model(ids[i : i + 1], dense[i : i + 1]) for i in range(size)]
        torch.testing.assert_close(torch.cat(one_by_one), logits, rtol=1e-4, atol=1e-5)


def the_gradient_reaches_every_parameter(tasks: str, kinds: Kinds) -> None:
    """Slice by slice, in evaluation mode, on 256 samples, at one of the points of `SPREADS` or
    another.
    """
    reached: dict[str, Tensor] = {}
    expected: dict[str, Tensor] = {}
    for spread in SPREADS:
        model = moved(build(tasks, kinds).eval(), spread)
        ids, dense, labels = batch_of(schema_of(tasks, kinds), 256)
        torch.autograd.backward(model.losses(model(ids, dense), labels).sum())
        for name, parameter in model.named_parameters():
            gradient = parameter.grad
            if gradient is None:
                gradient = torch.zeros_like(parameter)
            assert spread or gradient.isfinite().all(), name
            reached[name] = _any_of_slices(gradient) | reached.get(name, torch.tensor(False))
            expected.setdefault(name, torch.full((len(parameter),), name != "embedding.weight"))
        expected["embedding.weight"][torch.unique(model.rows(ids)).long()] = True
        expected["embedding.weight"][0] = False  # the padding
        n_wrong = {}
        for name, constant in constant_slices(model).items():
            wrong = (reached[name] != expected[name]) & ~constant
            n_wrong[name] = int(wrong.sum())
        if not any(n_wrong.values()):
            return
    assert not n_wrong["embedding.weight"], (
        "embedding.weight: expected a gradient at all rows of the batch but the padding"
    )
    name = next(name for name, count in n_wrong.items() if count)
    raise AssertionError(
        f"{name}: no gradient at {n_wrong[name]} of its {len(expected[name])} slices"
    )


def shared_parameters_are_declared_exactly(tasks: str, kinds: Kinds) -> None:
    """By autograd: each slice of a shared one moves more than one task, each slice of another
    exactly one.

    So does each input set of the table's. Where a funnel transfers hidden units, what moves a task
    moves all that follow it, and they count as one. It is enough if a task moves at one of the
    points of `SPREADS`.
    """
    seen: dict[str, Tensor] = {}
    for spread in SPREADS:
        model = moved(build(tasks, kinds), spread).double().eval()
        for name, by_task in _tasks_moved(model, tasks, kinds).items():
            seen[name] = by_task | seen.get(name, torch.tensor(False))
        wrong = _wrongly_declared(model, seen)
        if not wrong:
            return
    raise AssertionError("; ".join(wrong))


def _tasks_moved(model: MultiTaskModel, tasks: str, kinds: Kinds) -> dict[str, Tensor]:
    """By parameter, or the table, (slices, T): whether a slice has a gradient of a task's
    logits.
    """
    ids, dense, _ = batch_of(schema_of(tasks, kinds), 256)
    logits = model(ids, dense.double())
    parameters = dict(model.named_parameters())
    by_task = {}
    for name, parameter in parameters.items():
        slices = model.input_sets if name == "embedding.weight" else len(parameter)
        by_task[name] = torch.zeros(slices, len(TASKS[tasks]), dtype=torch.bool)
    for output, task in enumerate(model.outputs):
        gradients = torch.autograd.grad(
            logits[:, output].sum(), [*parameters.values()], retain_graph=True, allow_unused=True
        )
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is None:
                continue
            if name == "embedding.weight":
                gradient = gradient.reshape(len(gradient), model.input_sets, -1).transpose(0, 1)
            by_task[name][:, task] |= _any_of_slices(gradient)
    return by_task


def _wrongly_declared(model: MultiTaskModel, seen: Mapping[str, Tensor]) -> list[str]:
    """A sentence for each parameter that is declared shared and is not, or the reverse; `seen` as
    of `_tasks_moved`.
    """
    shared = {id(parameter) for parameter in model.shared_parameters()}
    constant = constant_slices(model)
    transfers = model.towers.transfer is not None
    sentences = []
    for name, parameter in model.named_parameters():
        by_task = seen[name].clone()
        for task, parent in enumerate(model.schema.parents):
            if transfers and parent is not None:
                by_task[:, task] &= ~seen[name][:, parent]
        is_shared = torch.full((len(by_task),), id(parameter) in shared)
        if name == "embedding.weight":
            is_shared[: model.interaction.common] = True
        n_tasks = by_task.sum(1)
        fits = torch.where(is_shared, n_tasks > (0 if transfers else 1), n_tasks == 1)
        if name != "embedding.weight":  # whose slices are input sets here, not rows
            fits |= constant[name]
        wrong = []
        for row in (~fits).nonzero().flatten().tolist():
            kind = "shared" if is_shared[row] else "own"
            wrong.append(f"{kind}, moves {int(n_tasks[row])}")
        if wrong:
            sentences.append(f"{name}: by declared kind and number of tasks, slices: {wrong}")
    return sentences


def a_tasks_loss_is_its_own(kinds: Kinds) -> None:
    """It depends on its task's own logits and labels, and is finite and not negative, however sure
    the predictions.
    """
    model = build("mixed", kinds)
    _, dense, labels = batch_of(schema_of("mixed", kinds), 32)
    logits = torch.randn(32, len(model.outputs), requires_grad=True)
    losses = model.losses(logits, labels, dense=dense)
    for task, loss in enumerate(losses):
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        foreign = []
        for output, task_of_output in enumerate(model.outputs):
            if task_of_output != task and gradient[:, output].any():
                foreign.append(output)
        assert not foreign, f"the loss of task {task} depends on the logits {foreign}"
    for task in {1, 2, 3}:  # nobody's parents
        changed = labels.clone()
        changed[:, task] = 1 - changed[:, task]
        same = model.losses(logits, changed, dense=dense).isclose(losses)
        same[task] = True
        assert same.all(), (
            f"labels of task {task} change the losses of tasks "
            f"{(~same).nonzero().flatten().tolist()}"
        )
    binary = torch.tensor([task.kind == "binary" for task in model.schema.tasks])
    for sure in (0.0, 5.0, 50.0, -50.0):
        signs = torch.where(binary, 2 * labels - 1, labels)[:, list(model.outputs)]
        losses = model.losses(sure * signs, labels, dense=dense)
        fits = losses.isfinite() & (losses >= 0)
        assert fits.all(), (
            f"expected finite losses of at least 0, found {losses} of logits {sure:g} times the "
            "signs"
        )


def a_seed_decides_everything(kinds: Kinds) -> None:
    """Two steps by plain gradients repeat bit for bit under one seed, and differ under another.

    All draws come from torch's default generator.
    """
    logits = _logits_after_two_steps(3, kinds)
    assert torch.equal(logits, _logits_after_two_steps(3, kinds))
    assert not torch.equal(logits, _logits_after_two_steps(4, kinds))


def _logits_after_two_steps(seed: int, kinds: Kinds) -> Tensor:
    torch.manual_seed(seed)
    model = build("chain", kinds)
    torch.manual_seed(1)
    ids, dense, labels = batch_of(schema_of("chain", kinds), 32)
    for _ in range(2):
        loss = model.losses(model(ids, dense), labels).sum()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.sub_(0.1 * gradient)
    logits: Tensor = model(ids, dense)
    return logits.detach()


def its_state_is_its_parameters(kinds: Kinds) -> None:
    """`state_dict` holds parameters, and buffers of a regression loss; a new model with it predicts
    the same.
    """
    model, copy = build("mixed", kinds).eval(), build("mixed", kinds).eval()
    ids, dense, _ = batch_of(schema_of("mixed", kinds), 16)
    assert not torch.equal(model(ids, dense), copy(ids, dense))
    state = model.state_dict()
    copy.load_state_dict({name: tensor.clone() for name, tensor in state.items()})
    assert torch.equal(model(ids, dense), copy(ids, dense))
    names = {name for name in state if not name.startswith("funnel.loss.regression.")}
    buffers = names - {name for name, _ in model.named_parameters()}
    assert not buffers, f"expected parameters alone in the state, found the buffers {buffers}"


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
