"""The shared dense parameters in named parts: experts, gates, bottoms, level by level."""

from __future__ import annotations

from torch import nn

from bench.models.gates import Gates
from bench.models.mlp import BatchedLinear, BatchedMLP
from bench.models.sharing.base import Sharing

REPRESENTATION = "representation"  # the embedding output, where balancers look
TABLE = "table rows"  # the table itself, as far as the probe's samples touch it
SHARED = "all shared"  # every shared dense parameter together


def shared_blocks(sharing: Sharing) -> dict[str, list[nn.Parameter]]:
    """What tasks share, by the path of the part that it belongs to: `experts`, `levels.0.shared`, `levels.0.gates`.

    A part is the outermost MLP, linear map or set of gates around a parameter; where there is none, its module.
    """
    parts = [name for name, module in sharing.named_modules() if isinstance(module, Gates | BatchedMLP | BatchedLinear)]
    shared = {id(parameter) for parameter in sharing.shared_parameters()}
    found: dict[str, list[nn.Parameter]] = {}
    for name, parameter in sharing.named_parameters():
        if id(parameter) in shared:
            around = [part for part in parts if name.startswith(f"{part}.")]
            found.setdefault(min(around, key=len) if around else name.rpartition(".")[0] or name, []).append(parameter)
    return found


def hidden_units(sharing: Sharing) -> dict[str, list[nn.Parameter]]:
    """The biases (E, O) of each hidden layer of every MLP by its path, those inside gates left out."""
    gates = [name for name, module in sharing.named_modules() if isinstance(module, Gates)]
    return {
        name: [layer.bias for layer in module.linears if layer.bias is not None]
        for name, module in sharing.named_modules()
        if isinstance(module, BatchedMLP) and module.linears and not any(name.startswith(f"{each}.") for each in gates)
    }
