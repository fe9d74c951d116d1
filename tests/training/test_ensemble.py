"""The size of an ensemble of two half-size models."""

import pytest

from bench.core.schema import Field, Schema, Task
from bench.training.config import TrialConfig
from bench.training.ensemble import halved
from bench.training.step import build_model

CONFIG = {
    "sharing.kind": "single_task",
    "sharing.single_task.layers": "32-16",
    "tower.layers": "16",
    "embedding.dim": 8,
    "optim.epochs": 2,
    "optim.batch_size": 16,
}


@pytest.mark.parametrize("dim", [16, 5])
@pytest.mark.parametrize("layers", ["128-64", "24", ""])
@pytest.mark.parametrize("interaction", ["none", "dcn_v2"])
def test_two_have_about_the_parameters_of_one(dim, layers, interaction):
    schema = Schema((Field("user", 300), Field("item", 200)), ("age",), (Task("a"), Task("b")))
    named = {"embedding.dim": dim, "sharing.single_task.layers": layers, "interaction.kind": interaction}
    config = TrialConfig.parse(CONFIG | named)
    half = halved(config, schema)
    size, whole = (sum(each.numel() for each in build_model(schema, of).parameters()) for of in (half, config))
    odd_table = dim == 5 and layers != "128-64"  # a table of an odd width cannot be halved
    assert 2 * size / whole == pytest.approx(1, abs=0.25 if odd_table else 0.1)
    assert half.embedding.dim < dim
    assert half.optim == config.optim
