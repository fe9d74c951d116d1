"""Each sharing kind beside a slow twin: loops over tasks and experts with plain linear maps on the same weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.models.contracts import Sharing
from bench.models.layers import BatchedMLP, Gates, mix
from bench.models.sharing import SHARING
from bench.models.sharing.ple import PLE, PLEConfig

INPUTS = 10


def one(mlp: BatchedMLP, expert: int, x: Tensor) -> Tensor:
    for layer in mlp.layers:
        x = F.relu(F.linear(x, layer.weight[expert], layer.bias[expert]))
    return x


def gate(gates: Gates, number: int, x: Tensor) -> Tensor:
    return F.linear(x, gates.linear.weight[number]).softmax(dim=1)


def weighted(weights: Tensor, experts: list[Tensor]) -> Tensor:
    return sum(weights[:, i : i + 1] * expert for i, expert in enumerate(experts))


def slow_single_task(sharing, x, tasks):
    return [one(sharing.bottoms, task, x[task]) for task in range(tasks)]


def slow_shared_embeddings(sharing, x, tasks):
    return [x[0]] * tasks


def slow_shared_bottom(sharing, x, tasks):
    return [one(sharing.bottom, 0, x[0])] * tasks


def slow_mmoe(sharing, x, tasks):
    experts = [one(sharing.experts, i, x[0]) for i in range(sharing.experts.experts)]
    return [weighted(gate(sharing.gates, task, x[0]), experts) for task in range(tasks)]


def slow_ple(sharing, x, tasks):
    of_task, common = [x[0]] * tasks, x[0]
    for level in sharing.levels:
        count = level.own.experts // tasks
        own = [[one(level.own, task * count + i, of_task[task]) for i in range(count)] for task in range(tasks)]
        shared = [one(level.shared, i, common) for i in range(level.shared.experts)]
        following = [weighted(gate(level.gates, t, of_task[t]), own[t] + shared) for t in range(tasks)]
        if level.shared_gate is not None:
            common = weighted(gate(level.shared_gate, 0, common), [e for group in own for e in group] + shared)
        of_task = following
    return of_task


CASES = [
    ("single_task", {"layers": "8-4"}, slow_single_task),
    ("single_task", {"layers": ""}, slow_single_task),
    ("shared_embeddings", {}, slow_shared_embeddings),
    ("shared_bottom", {"layers": "8-4"}, slow_shared_bottom),
    ("shared_bottom", {"layers": ""}, slow_shared_bottom),
    ("mmoe", {"experts": 1, "layers": "6"}, slow_mmoe),
    ("mmoe", {"experts": 5, "layers": "8-4"}, slow_mmoe),
    *(
        ("ple", {"levels": levels, "shared_experts": shared, "own_experts": own, "layers": "8-4"}, slow_ple)
        for levels, shared, own in [(1, 2, 3), (2, 3, 1), (3, 1, 2)]
    ),
]


def build(kind: str, options: dict[str, object], tasks: int) -> Sharing:
    entry = SHARING[kind]
    return entry.build(INPUTS, tasks, entry.config.model_validate(options)).double()


def inputs_of(sharing: Sharing, tasks: int, batch: int) -> Tensor:
    return torch.randn(sharing.input_sets(tasks), batch, INPUTS, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("kind", "options", "slow"), CASES)
@pytest.mark.parametrize("tasks", [1, 3])
def test_equals_its_slow_twin_in_value_and_gradient(kind, options, slow, tasks):
    sharing = build(kind, options, tasks)
    for parameter in sharing.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = inputs_of(sharing, tasks, batch=7)
    fast = sharing(x)
    twin = torch.stack(slow(sharing, x, tasks))
    assert fast.shape in {(tasks, 7, sharing.outputs), (1, 7, sharing.outputs)}
    fast = fast.expand(tasks, -1, -1)
    torch.testing.assert_close(fast, twin, rtol=1e-9, atol=1e-9)
    wanted, upstream = [x, *sharing.parameters()], torch.randn_like(twin)
    gradients = (torch.autograd.grad(out, wanted, upstream, allow_unused=True) for out in (fast, twin))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_with_one_task_every_parameter_is_shared():
    for kind, options, _ in CASES:
        sharing = build(kind, options, 1)
        assert set(sharing.shared_parameters()) == set(sharing.parameters()), kind


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_in_ple_shared_is_what_a_later_shared_gate_reaches(levels):
    ple = PLE(INPUTS, 3, PLEConfig(levels=levels, layers=(8,))).double()
    reached = [
        {name for name, p in ple.named_parameters() if (g := _gradient(h, p)) is not None and g.any()}
        for h in ple(inputs_of(ple, 3, batch=64))
    ]
    by_all = set.intersection(*reached)
    own_to_one_slice = {"own", "gates"}  # stacked by task, and reached by all tasks in slices where not shared
    declared = {name for name, p in ple.named_parameters() if any(p is s for s in ple.shared_parameters())}
    assert declared <= by_all
    for name in by_all - declared:
        assert name.split(".")[2] in own_to_one_slice
        assert int(name.split(".")[1]) >= levels - 2
    assert {name for name in declared if ".gates." in name} == {
        f"levels.{level}.gates.linear.weight" for level in range(levels - 2)
    }


def _gradient(h: Tensor, parameter: Tensor) -> Tensor | None:
    return torch.autograd.grad(h.sum(), parameter, retain_graph=True, allow_unused=True)[0]


@pytest.mark.parametrize("own", [0, 2])
def test_mixing_equal_experts_changes_nothing(own):
    h = torch.randn(6, 5)
    scores, all_scores = torch.randn(3, 6, own + 4), torch.randn(1, 6, 3 * own + 4)
    sums, of_all = mix(scores, h.expand(4, 6, 5), h.expand(3 * own, 6, 5), all_scores)
    torch.testing.assert_close(sums, h.expand(3, 6, 5))
    torch.testing.assert_close(of_all, h.expand(1, 6, 5))
