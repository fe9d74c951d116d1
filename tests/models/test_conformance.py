"""What every sharing x funnel must do. A new entry of either registry is tested here without a line from its author."""

from __future__ import annotations

import ast
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest
import torch
from torch import Tensor

import bench.models
from bench.models.assembly import MultiTaskModel
from bench.models.config import EmbeddingConfig, EnsembleConfig, TowerConfig
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.sharing import SHARING
from bench.registry import Choice
from bench.schema import Field, Schema, Task

CHAIN = (Task("click"), Task("cart", parent="click"), Task("buy", parent="cart"))
MIXED = (Task("click"), Task("buy", parent="click"), Task("watch", "regression", parent="click"), Task("like"))
TASKS = {
    "one": (Task("click"),),
    "two": (Task("income"), Task("married")),
    "chain": CHAIN,
    "mixed": MIXED,
    "five": (*MIXED, Task("share")),
    "six": (*CHAIN, Task("like"), Task("share"), Task("watch", "regression")),
}
SIZES = (0, 1, 7)
FIELDS = (Field("user", 40), Field("tags", 12, slots=3), Field("item", 25), Field("hour", 24))


def turns(*axes):
    """Not the product of all axes, which grows with every entry: the first one's values with each value of each other.

    The others run against each other at different speeds, so that over the first axis their pairs come by, too.
    """
    first, *others = (list(axis) for axis in axes)
    rows = max(len(other) for other in others)
    return [
        (value, *(other[(row + number * at) % len(other)] for at, other in enumerate(others)))
        for number, value in enumerate(first)
        for row in range(rows)
    ]


EACH = pytest.mark.parametrize(("sharing", "funnel"), list(zip(SHARING, cycle(FUNNELS), strict=False)))


def build(
    sharing: str, funnel: str, tasks: str, dim: int = 4, tower: int = 8, interaction: str = "none", members: int = 1
) -> MultiTaskModel:
    schema = Schema(FIELDS, ("age",), TASKS[tasks])
    for entry in (SHARING[sharing], FUNNELS[funnel], INTERACTIONS[interaction]):
        if reason := entry.unfit(schema):
            pytest.skip(reason)
    return MultiTaskModel(
        schema,
        Choice(sharing, SHARING[sharing].config()),
        Choice(funnel, FUNNELS[funnel].config()),
        EmbeddingConfig(dim=dim),
        TowerConfig(layers=(tower,)),
        interaction=Choice(interaction, INTERACTIONS[interaction].config()),
        ensemble=EnsembleConfig(members=members),
    )


def batch_of(schema: Schema, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """ids, dense and consistent labels: a child happens only where its parent did."""
    columns = []
    for field, offset in zip(schema.fields, schema.offsets, strict=True):
        ids = torch.randint(offset, offset + field.cardinality, (size, field.slots))
        if field.slots > 1:
            ids[:, 1:] *= torch.rand(size, field.slots - 1) < 0.5  # padding
        columns.append(ids)
    labels: list[Tensor] = []
    for task, parent in zip(schema.tasks, schema.parents, strict=True):
        values = torch.randn(size) if task.kind == "regression" else (torch.rand(size) < 0.6).float()
        labels.append(values if parent is None else values * labels[parent])
    return torch.cat(columns, 1).int(), torch.randn(size, len(schema.dense)), torch.stack(labels, 1)


@pytest.mark.parametrize(("sharing", "tasks", "size", "funnel"), turns(SHARING, TASKS, SIZES, FUNNELS))
def test_any_batch_size_gives_logits_losses_and_probabilities(sharing, funnel, tasks, size):
    model = build(sharing, funnel, tasks)
    ids, dense, labels = batch_of(model.schema, size)
    count = len(model.schema.tasks)
    logits = model(ids, dense)
    losses = model.losses(logits, labels)
    losses.sum().backward()
    assert logits.shape == (size, len(model.funnel.outputs))
    assert model.funnel.outputs[:count] == tuple(range(count))
    assert losses.shape == (count,)
    assert losses.isfinite().all()
    probabilities = model.probabilities(logits)
    for values in (probabilities.conditional, probabilities.joint):
        assert values.shape == (size, count)
        binary = values[:, [task.kind == "binary" for task in model.schema.tasks]]
        assert ((binary >= 0) & (binary <= 1)).all()
    if size:
        model.eval()  # what is drawn at random in training is not drawn alike for each
        logits = model(ids, dense)
        alone = torch.cat([model(ids[i : i + 1], dense[i : i + 1]) for i in range(size)])
        torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("sharing", "tasks", "funnel"), turns(SHARING, TASKS, FUNNELS))
def test_the_gradient_reaches_every_parameter(sharing, funnel, tasks):
    model = build(sharing, funnel, tasks).eval()
    ids, dense, labels = batch_of(model.schema, 256)
    model.losses(model(ids, dense), labels).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        reached = parameter.grad.flatten(1).any(dim=1)  # slice by slice
        if name == "embedding.weight":
            assert reached.nonzero().flatten().tolist() == ids.unique().tolist()[1:]  # all but the padding
        else:
            assert reached.all(), name


@pytest.mark.parametrize(("sharing", "tasks", "funnel"), turns(SHARING, list(TASKS)[1:], FUNNELS))
def test_shared_parameters_are_declared_exactly(sharing, funnel, tasks):
    """By autograd: each slice of a shared one moves more than one task, each slice of another exactly one.

    Where a funnel transfers hidden units, what moves a task moves all that follow it, and they count as one.
    """
    model = build(sharing, funnel, tasks).double().eval()
    ids, dense, _ = batch_of(model.schema, 256)
    parameters = list(model.dense_parameters())
    logits = model(ids, dense.double())
    moved = [torch.zeros(len(parameter), len(TASKS[tasks]), dtype=torch.bool) for parameter in parameters]
    for output, task in enumerate(model.funnel.outputs):
        gradients = torch.autograd.grad(logits[:, output].sum(), parameters, retain_graph=True, allow_unused=True)
        for by, gradient in zip(moved, gradients, strict=True):
            if gradient is not None:
                by[:, task] |= gradient.flatten(1).any(dim=1)
    if model.towers.transfer is not None:
        for by in moved:
            before = by.clone()
            for task, parent in enumerate(model.schema.parents):
                by[:, task] &= ~before[:, parent] if parent is not None else True
    shared = {id(parameter) for parameter in model.shared_parameters()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter, by in zip(parameters, moved, strict=True):
        count = by.sum(1)
        least = 1 if model.towers.transfer is None else 0
        fits = count > least if id(parameter) in shared else count == 1
        assert fits.all(), (names[id(parameter)], count)


@EACH
def test_a_seed_decides_everything(sharing, funnel):
    def trained(seed: int) -> Tensor:
        torch.manual_seed(seed)
        model = build(sharing, funnel, "chain")
        torch.manual_seed(1)
        ids, dense, labels = batch_of(model.schema, 32)
        for _ in range(2):
            gradients = torch.autograd.grad(model.losses(model(ids, dense), labels).sum(), list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 0.1 * gradient
        return model(ids, dense).detach()

    assert torch.equal(trained(3), trained(3))
    assert not torch.equal(trained(3), trained(4))


@EACH
def test_state_round_trips(sharing, funnel, tmp_path):
    model, other = build(sharing, funnel, "mixed").eval(), build(sharing, funnel, "mixed").eval()
    ids, dense, _ = batch_of(model.schema, 16)
    assert not torch.equal(model(ids, dense), other(ids, dense))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(model(ids, dense), other(ids, dense))
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


class Together(torch.nn.Module):
    """Several models on the same inputs: an export has a fixed cost, which they share."""

    def __init__(self, models: dict[str, MultiTaskModel]) -> None:
        super().__init__()
        self.models = torch.nn.ModuleDict(models)

    def forward(self, ids: Tensor, dense: Tensor) -> list[Tensor]:
        return [model(ids, dense) for model in self.models.values()]


def exported(model: torch.nn.Module, inputs: tuple[Tensor, Tensor]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch")
    return torch.export.export(model, inputs, dynamic_shapes=({0: batch}, {0: batch}))


def in_onnx(program: torch.export.ExportedProgram) -> Callable[[Tensor, Tensor], list[Tensor]]:
    """The program as ONNX, run by another engine."""
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime: the extra `serve`")
    made = torch.onnx.export(program, dynamo=True, optimize=False, verbose=False)
    session = runtime.InferenceSession(made.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(ids: Tensor, dense: Tensor) -> list[Tensor]:
        found = session.run(None, dict(zip(names, (ids.numpy(), dense.numpy()), strict=True)))
        return [torch.from_numpy(values) for values in found]

    return run


@pytest.mark.slow  # half a minute, most of it in the exporter
def test_every_entry_exports_and_runs_in_onnx_at_other_batch_sizes():
    """Each sharing, funnel and interaction once; an empty batch ends onnxruntime's process, and is left out there."""
    models = {
        f"{sharing} {funnel} {interaction}": build(
            sharing, funnel, "mixed", interaction=interaction, members=members
        ).eval()
        for sharing, funnel, interaction, members in zip(
            SHARING, cycle(FUNNELS), cycle(INTERACTIONS), cycle((1, 3)), strict=False
        )
    }
    assert len(models) >= max(map(len, (FUNNELS, INTERACTIONS)))
    schema = models["single_task independent none"].schema
    program = exported(Together(models), batch_of(schema, 8)[:2])
    onnx = in_onnx(program)
    for size in (0, 1, 2, 13):
        ids, dense, _ = batch_of(schema, size)
        expected = [model(ids, dense) for model in models.values()]
        for run in (program.module(), onnx) if size else (program.module(),):
            for name, found, ours in zip(models, run(ids, dense), expected, strict=True):
                torch.testing.assert_close(found, ours, rtol=1e-5, atol=1e-5, msg=lambda text, at=name: f"{at}: {text}")


@pytest.mark.slow  # some seconds each, most of them in the exporter
@pytest.mark.parametrize(("sharing", "funnel", "interaction"), turns(SHARING, FUNNELS, INTERACTIONS))
def test_any_two_entries_run_in_onnx(sharing, funnel, interaction):
    model = build(sharing, funnel, "mixed", interaction=interaction).eval()
    run = in_onnx(exported(model, batch_of(model.schema, 8)[:2]))
    for size in (1, 13):
        ids, dense, _ = batch_of(model.schema, size)
        torch.testing.assert_close(run(ids, dense)[0], model(ids, dense), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("room", ["sharing", "funnels"])
def test_no_registry_names_a_kind_twice(room):
    source = (Path(bench.models.__file__).parent / room / "__init__.py").read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(("kind", "entry"), [*SHARING.items(), *FUNNELS.items()])
def test_an_entry_says_what_it_is(kind, entry):
    assert kind.isidentifier()
    assert entry.paper == "-" or entry.paper.rsplit(" ", 1)[1].isdecimal()
    assert entry.summary
    assert "\n" not in entry.summary
    assert entry.config() == entry.config.model_validate(entry.config().model_dump(mode="json"))
