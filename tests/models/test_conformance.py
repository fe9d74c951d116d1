"""What every sharing x funnel must do, see `bench.testing.models`. A new entry is tested here by
itself.
"""

from itertools import cycle, islice

import pytest
import torch
from model_toys import Together, exported, in_onnx

from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.sharing import SHARING
from bench.models.sharing.ple import PLE, PLEConfig
from bench.models.training.config import AXES
from bench.testing import models as of


def turns(*axes):
    """Not the product of all axes, which grows with every entry: the first one's values with each
    value of the second.

    The others run against each other at different speeds, so that over the first axis their pairs
    come by, too.
    """
    first, *other_axes = (list(axis) for axis in axes)
    rows = len(other_axes[0])
    return [
        (
            value,
            *(axis[(row + number * place) % len(axis)] for place, axis in enumerate(other_axes)),
        )
        for number, value in enumerate(first)
        for row in range(rows)
    ]


FEW = ("one", "mixed", "six")
"""One task, several and most of them; with and without parents, regressions, scales."""
EACH = pytest.mark.parametrize(
    ("sharing", "funnel"), list(zip(SHARING, cycle(FUNNELS), strict=False))
)


@pytest.mark.parametrize(
    ("sharing", "tasks", "size", "funnel"), turns(SHARING, FEW, of.SIZES, FUNNELS)
)
def test_any_batch_size_gives_logits_losses_and_probabilities(sharing, funnel, tasks, size):
    of.any_batch_size_gives_logits_losses_and_probabilities(
        tasks, size, {"sharing": sharing, "funnel": funnel}
    )


@pytest.mark.parametrize(("sharing", "tasks", "funnel"), turns(SHARING, FEW, FUNNELS))
def test_the_gradient_reaches_every_parameter(sharing, funnel, tasks):
    of.the_gradient_reaches_every_parameter(tasks, {"sharing": sharing, "funnel": funnel})


@pytest.mark.parametrize(("sharing", "tasks", "funnel"), turns(SHARING, ("two", *FEW[1:]), FUNNELS))
def test_shared_parameters_are_declared_exactly(sharing, funnel, tasks):
    of.shared_parameters_are_declared_exactly(tasks, {"sharing": sharing, "funnel": funnel})


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_in_ple_shared_is_what_a_later_shared_gate_reaches(levels):
    ple = PLE(10, 3, PLEConfig(levels=levels, layers=(8,))).double()
    reached = [
        {
            name
            for name, p in ple.named_parameters()
            if (g := _gradient(h, p)) is not None and g.any()
        }
        for h in ple(torch.randn(1, 64, 10, dtype=torch.float64))
    ]
    by_all = set.intersection(*reached)
    # stacked by task, and reached by all tasks in slices where not shared
    own_to_one_slice = {
        "own",
        "gates",
    }
    declared = {
        name for name, p in ple.named_parameters() if any(p is s for s in ple.shared_parameters())
    }
    assert declared <= by_all
    for name in by_all - declared:
        assert name.split(".")[2] in own_to_one_slice
        assert int(name.split(".")[1]) >= levels - 2
    assert {name for name in declared if ".gates." in name} == {
        f"levels.{level}.gates.linear.weight" for level in range(levels - 2)
    }


def _gradient(h, parameter):
    return torch.autograd.grad(h.sum(), parameter, retain_graph=True, allow_unused=True)[0]


@EACH
def test_a_seed_decides_everything(sharing, funnel):
    of.a_seed_decides_everything({"sharing": sharing, "funnel": funnel})


@EACH
def test_its_state_is_its_parameters(sharing, funnel):
    of.its_state_is_its_parameters({"sharing": sharing, "funnel": funnel})


@pytest.mark.parametrize("axis", ["interaction", "numeric", "sequence"])
def test_every_entry_before_sharing_is_declared_exactly(axis):
    """On one sharing of each number of input sets; more of each axis in its own file."""
    for kind, sharing in zip(AXES[axis], cycle(("mmoe", "stem", "single_task")), strict=False):
        kinds = {axis: kind, "sharing": sharing}
        of.shared_parameters_are_declared_exactly("mixed", kinds)
        of.the_gradient_reaches_every_parameter("mixed", kinds)
        of.its_state_is_its_parameters(kinds)
        for size in of.SIZES:
            of.any_batch_size_gives_logits_losses_and_probabilities("mixed", size, kinds)


@pytest.mark.slow  # half a minute each, most of it in the exporter
@pytest.mark.parametrize("turn", [0, 1])
def test_every_entry_exports_and_runs_in_onnx_at_other_batch_sizes(turn):
    """Each sharing beside two funnels and interactions; an empty batch ends onnxruntime's process,
    and is left out.
    """
    models = {
        f"{sharing} {funnel} {interaction}": of.build(
            "mixed",
            {"sharing": sharing, "funnel": funnel, "interaction": interaction},
            members=members,
        ).eval()
        for sharing, funnel, interaction, members in zip(
            SHARING,
            islice(cycle(FUNNELS), turn, None),
            islice(cycle(INTERACTIONS), turn, None),
            cycle((1, 3)),
            strict=False,
        )
    }
    schema = next(iter(models.values())).schema
    program = exported(Together(models), of.batch_of(schema, 8)[:2])
    onnx = in_onnx(program)
    for size in (0, 1, 2, 13):
        ids, dense, _ = of.batch_of(schema, size)
        expected = [model(ids, dense) for model in models.values()]
        for run in (program.module(), onnx) if size else (program.module(),):
            for name, actual, ours in zip(models, run(ids, dense), expected, strict=True):
                torch.testing.assert_close(
                    actual,
                    ours,
                    rtol=1e-5,
                    atol=1e-5,
                    msg=lambda text, label=name: f"{label}: {text}",
                )


@pytest.mark.parametrize("axis", AXES)
def test_an_entry_says_what_it_is(axis):
    for kind in AXES[axis]:
        of.an_entry_says_what_it_is(axis, kind)
