"""Which parameters of PLE are shared; values of every kind are in `test_twins.py`."""

import pytest
import torch

from bench.models.sharing.ple import PLE, PLEConfig

INPUTS = 10


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_in_ple_shared_is_what_a_later_shared_gate_reaches(levels):
    ple = PLE(INPUTS, 3, PLEConfig(levels=levels, layers=(8,))).double()
    reached = [
        {name for name, p in ple.named_parameters() if (g := _gradient(h, p)) is not None and g.any()}
        for h in ple(torch.randn(1, 64, INPUTS, dtype=torch.float64))
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


def _gradient(h, parameter):
    return torch.autograd.grad(h.sum(), parameter, retain_graph=True, allow_unused=True)[0]
