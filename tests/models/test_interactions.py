"""Each interaction against something that we did not write, or a slow twin."""

from itertools import combinations

import pytest
import torch
from model_toys import SCHEMA, package

from bench.models.contracts import Layout
from bench.models.interactions import INTERACTIONS

LAYOUT = Layout(SCHEMA, 4)


def made(kind, sets=1, layout=LAYOUT, **options):
    entry = INTERACTIONS[kind]
    return entry.build(layout, sets, entry.config.model_validate(options))


def test_fm_is_the_sum_over_pairs_of_fields():
    x = torch.randn(2, 6, LAYOUT.inputs, dtype=torch.float64)
    interaction = made("fm", 2)(x)[..., LAYOUT.inputs :]
    v = [x[..., LAYOUT.columns(field)] for field in range(3)]
    expected = sum(
        (v[i] * v[j] for i, j in combinations(range(3), 2)),
        torch.zeros(2, 6, 4, dtype=torch.float64),
    )
    torch.testing.assert_close(interaction, expected)


@pytest.mark.parametrize("rank", [0, 3])
def test_dcn_v2_equals_deepctr(rank):
    """Theirs with the matrices of ours; under a rank, with the products of ours."""
    ours = made("dcn_v2", layers=3, rank=rank)
    theirs = package("deepctr_torch.layers").CrossNet(
        LAYOUT.inputs, layer_num=3, parameterization="matrix"
    )
    with torch.no_grad():
        for number, layer in enumerate(ours.layers):
            layer[-1].bias.normal_()
            theirs.kernels[number] = (
                layer[0].weight[0] if rank == 0 else layer[1].weight[0] @ layer[0].weight[0]
            )
            theirs.bias[number] = layer[-1].bias[0].unsqueeze(1)
    x = torch.randn(1, 9, LAYOUT.inputs)
    output = ours(x)[0]
    assert (output - x[0]).std() > 0.1
    torch.testing.assert_close(output, theirs(x[0]), rtol=1e-5, atol=1e-5)
