from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from bench.training.dense import DenseAdamW


def parameters(seed: int) -> list[nn.Parameter]:
    torch.manual_seed(seed)
    return [nn.Parameter(torch.randn(shape)) for shape in ((3, 4, 5), (7,), (2, 1))]


def test_it_is_torchs_fused_adamw_bit_for_bit() -> None:
    ours, theirs = parameters(0), parameters(0)
    made = DenseAdamW(ours[:2], ours[2:], lr=0.1, weight_decay=0.3)
    twin = torch.optim.AdamW(
        [{"params": theirs[:2], "weight_decay": 0.3}, {"params": theirs[2:], "weight_decay": 0.0}], lr=0.1, fused=True
    )
    for step in range(6):
        made.lr = twin.param_groups[0]["lr"] = twin.param_groups[1]["lr"] = 0.1 / (step + 1)
        made.zero_grad()
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert one.grad is None
            skipped = at == 1 and step % 2  # a parameter without gradient keeps its value and its step counter
            one.grad = other.grad = None if skipped else torch.randn_like(one)
        made.step()
        twin.step()
        for one, other in zip(ours, theirs, strict=True):
            assert torch.equal(one, other)


@pytest.mark.slow
def test_training_does_not_import_torchs_compiler() -> None:
    """It takes a second of every worker's start."""
    code = """
import sys, torch
from bench.training.dense import DenseAdamW
p = torch.nn.Parameter(torch.ones(2)); p.grad = torch.ones(2)
DenseAdamW([p], [], 0.1, 0.0).step()
torch.nn.utils.clip_grad_norm_([p], 1.0)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
