"""What every sharing x funnel x balancer must do. Runs over the registries: who adds an entry writes nothing here."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest
import torch

from bench.balancing import BALANCING
from bench.data.batches import Batches
from bench.errors import UserError
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.sharing import SHARING
from bench.objectives import Objective
from bench.training.config import TrialConfig
from bench.training.loop import Trainer
from bench.training.optimizers import ROW_OPTIMIZERS

OBJECTIVES = (Objective("click.auc", "maximize"),)
# A product of losses, or a sum of their logarithms, gives all weight to the task whose loss vanishes first: on 64 rows
# the others then stop short.
FITTED = {"gls": 0.9, "famo": 0.9, "db_mtl": 0.9}


AXES = ("balancing", "sharing", "funnel", "interaction", "members")


def sampled() -> list[tuple[str, str, str, str, int]]:
    """Each balancer once; the other axes go round, so that each of their entries meets several balancers."""
    return list(
        zip(BALANCING, cycle(SHARING), cycle(FUNNELS), cycle(INTERACTIONS), cycle((1, 1, 3, 1, 2)), strict=False)
    )


ALL = pytest.mark.parametrize(AXES, sampled())


def test_every_entry_is_sampled() -> None:
    for axis, registry in enumerate((BALANCING, SHARING, FUNNELS, INTERACTIONS)):
        assert {names[axis] for names in sampled()} == set(registry)


def trainer(store, sharing: str, funnel: str, balancing: str, **more) -> Trainer:
    dotted = {
        "sharing.kind": sharing,
        "funnel.kind": funnel,
        "balancing.kind": balancing,
        "embedding.dim": 4,
        "tower.layers": "16",
        "optim.lr": 0.01,
        "optim.batch_size": 64,
        "optim.schedule": "constant",
        "optim.precision": "fp32",  # so few rows cannot tell a product's rounding from a mistake
    } | more
    config = TrialConfig.parse(dotted)
    try:
        config.check_fit(store.schema)
    except UserError as reason:
        pytest.skip(str(reason))
    return Trainer(store, config, OBJECTIVES, seed=1)


@pytest.mark.parametrize(
    AXES,
    [pytest.param(*names, marks=pytest.mark.slow if at % 2 else ()) for at, names in enumerate(sampled())],
)
def test_it_reaches_every_parameter_and_fits_64_rows(
    tiny, balancing: str, sharing: str, funnel: str, interaction: str, members: int
) -> None:
    more = {"interaction.kind": interaction, "ensemble.members": members}
    made = trainer(tiny, sharing, funnel, balancing, **more)
    batch = next(Batches(tiny.split("train")).in_order(64))
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    touched = {name: torch.zeros_like(tensor, dtype=torch.bool) for name, tensor in before.items()}
    for _ in range(25):
        made.step(*batch)
        for name, parameter in made.model.named_parameters():
            if parameter.grad is not None:
                touched[name] |= parameter.grad != 0
    for name, parameter in made.model.named_parameters():
        if parameter is made.model.embedding.weight:
            rows = np.unique(batch.ids.numpy())
            moved = (parameter != before[name]).any(dim=1)
            assert moved[rows[rows > 0]].all(), f"{name}: an embedding that was used never moved"
        else:
            reached = touched[name].flatten(1).any(dim=1) if parameter.ndim > 1 else touched[name].any()
            assert reached.all(), f"{name}: no gradient ever reached some of it"
    for _ in range(20):
        for _ in range(30):
            made.step(*batch)
        fitted = made.metrics("train")
        if min(fitted[f"train/{name}"] for name in ("click.auc", "buy.ctcvr.auc", "like.auc")) > FITTED.get(
            balancing, 0.99
        ):
            break
    else:
        pytest.fail(f"64 rows were not overfitted: {fitted}")


@pytest.mark.parametrize("optimizer", ROW_OPTIMIZERS)
def test_coordinates_that_a_field_does_not_use_never_move(tiny, optimizer: str) -> None:
    more = {"embedding.dim": 32, "embedding.by_cardinality": True, "optim.embedding_optimizer": optimizer}
    made = trainer(tiny, "mmoe", "independent", "static", **more)
    table, batch = made.model.embedding.weight, next(Batches(tiny.split("train")).in_order(64))
    before = table.detach().clone()
    for _ in range(5):
        made.step(*batch)
    moved = (table != before).any(dim=0)
    assert moved.tolist() == [at < 16 for at in range(32)]  # 6 n^(1/4) is between 8 and 16 for all its fields


@ALL
def test_its_state_round_trips_bit_for_bit(
    tiny, balancing: str, sharing: str, funnel: str, interaction: str, members: int
) -> None:
    batch = next(Batches(tiny.split("train")).in_order(64))

    def go(made: Trainer, steps: int) -> None:
        torch.manual_seed(7)
        for _ in range(steps):
            made.step(*batch)

    more = {"interaction.kind": interaction, "ensemble.members": members}
    first, second = (trainer(tiny, sharing, funnel, balancing, **more) for _ in range(2))
    go(first, 3)
    second.load_state_dict(first.state_dict())
    go(first, 3)
    go(second, 3)
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("balancing", BALANCING)
def test_a_task_without_labels_in_a_batch_leaves_all_finite(tiny, balancing: str, precision: str) -> None:
    made = trainer(tiny, "mmoe", "independent", balancing, **{"optim.precision": precision})
    ids, dense, labels = next(Batches(tiny.split("train")).in_order(64))
    for missing in (None, 0, 2, None):
        seen = labels.clone()
        if missing is not None:
            seen[:, missing] = torch.nan
        made.step(ids, dense, seen)
    for tensor in (*made.model.state_dict().values(), *made.step.balancer.state_dict().values()):
        assert tensor.isfinite().all()
