"""What every sharing x funnel x balancer must do. Runs over the registries: who adds an entry writes nothing here."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count, cycle, islice, product
from typing import Any

import pytest

from bench.balancing import BALANCING
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.losses import LOSSES, REGRESSION_LOSSES
from bench.models.sharing import SHARING
from bench.schema import Field, Number
from bench.testing import training
from bench.training.optimizers import ROW_OPTIMIZERS

# A product of losses, or a sum of their logarithms, gives all weight to the task whose loss vanishes first: on 64 rows
# the others then stop short. So do those beside the primary task of pcd under a focal loss.
FITTED = {"gls": 0.9, "famo": 0.9, "db_mtl": 0.9, "pcd": 0.9}
AXES = ("balancing", "sharing", "funnel", "interaction", "loss", "members")


def sampled() -> list[tuple[str, str, str, str, str, int]]:
    """Each balancer at least once; the other axes go round, and every loss meets every funnel."""
    many = max(len(BALANCING), len(FUNNELS) * len(LOSSES))
    losses, round_ = list(LOSSES), math.lcm(len(FUNNELS), len(LOSSES))
    return list(
        zip(
            islice(cycle(BALANCING), many),
            cycle(SHARING),
            cycle(FUNNELS),
            cycle(INTERACTIONS),
            (losses[(at + at // round_) % len(losses)] for at in count()),
            cycle((1, 1, 3, 1, 2, 1)),
            strict=False,
        )
    )


def test_every_entry_is_sampled() -> None:
    for axis, registry in enumerate((BALANCING, SHARING, FUNNELS, INTERACTIONS, LOSSES)):
        assert {names[axis] for names in sampled()} == set(registry)
    assert {(names[2], names[4]) for names in sampled()} == set(product(FUNNELS, LOSSES))


def dotted(balancing: str, sharing: str, funnel: str, interaction: str, loss: str, members: int) -> dict[str, Any]:
    kinds = {"balancing": balancing, "sharing": sharing, "funnel": funnel, "interaction": interaction, "loss": loss}
    return {f"{axis}.kind": kind for axis, kind in kinds.items()} | {"ensemble.members": members}


@pytest.mark.parametrize(
    AXES,
    [pytest.param(*names, marks=pytest.mark.slow if at % 4 else ()) for at, names in enumerate(sampled())],
)
def test_it_reaches_every_parameter_and_fits_64_rows(
    tiny, balancing: str, sharing: str, funnel: str, interaction: str, loss: str, members: int
) -> None:
    training.it_reaches_every_parameter_and_fits_64_rows(
        tiny, dotted(balancing, sharing, funnel, interaction, loss, members), FITTED.get(balancing, 0.99)
    )


@pytest.mark.parametrize(AXES, sampled())
def test_a_row_of_weight_0_counts_as_one_without_labels(
    tiny, balancing: str, sharing: str, funnel: str, interaction: str, loss: str, members: int
) -> None:
    training.a_row_of_weight_0_counts_as_one_without_labels(
        tiny, dotted(balancing, sharing, funnel, interaction, loss, members)
    )


@pytest.mark.parametrize("optimizer", ROW_OPTIMIZERS)
def test_coordinates_that_a_field_does_not_use_never_move(tiny, optimizer: str) -> None:
    training.coordinates_that_a_field_does_not_use_never_move(tiny, optimizer)


@pytest.mark.parametrize(("weights", *AXES), [(at % 2 * 2, *names) for at, names in enumerate(sampled())])
def test_its_state_round_trips_bit_for_bit(
    tiny, weights: int, balancing: str, sharing: str, funnel: str, interaction: str, loss: str, members: int
) -> None:
    store = training.MemoryStore(weights=weights) if weights else tiny
    training.its_state_round_trips_bit_for_bit(store, dotted(balancing, sharing, funnel, interaction, loss, members))


@pytest.mark.parametrize(("balancing", "precision"), list(zip(BALANCING, cycle(("fp32", "bf16")), strict=False)))
def test_a_task_without_labels_in_a_batch_leaves_all_finite(tiny, balancing: str, precision: str) -> None:
    training.a_task_without_labels_in_a_batch_leaves_all_finite(tiny, balancing, precision)


def of_regressions() -> list[tuple[str, str, str, str, int]]:
    """Each balancer once, beside regressions with a parent and without; every loss of these meets every funnel."""
    return list(
        zip(
            BALANCING,
            cycle(SHARING),
            cycle(FUNNELS),
            cycle(kind for kind in REGRESSION_LOSSES),
            cycle((1, 2, 1)),
            strict=False,
        )
    )


def test_every_loss_of_regressions_meets_every_funnel() -> None:
    met = {(funnel, loss) for _, _, funnel, loss, _ in of_regressions()}
    assert met == set(product(FUNNELS, REGRESSION_LOSSES))


@pytest.mark.parametrize(("balancing", "sharing", "funnel", "loss", "members"), of_regressions())
def test_regressions_keep_to_their_rows_and_their_state(
    balancing: str, sharing: str, funnel: str, loss: str, members: int
) -> None:
    """A parent, a duration and, where the loss knows bounds, censored labels; weights of 0, and states that go on."""
    kinds = {"balancing": balancing, "sharing": sharing, "funnel": funnel, "regression_loss": loss}
    chosen = {f"{axis}.kind": kind for axis, kind in kinds.items()} | {"ensemble.members": members}
    number = Number("age", 0, None, (-3.0, 3.0), (64,))
    fields = (*training.FIELDS, Field("age_bucket", 3))
    tasks = tuple(replace(task, duration="age") if task.kind == "regression" else task for task in training.VALUES)
    bounded = tuple(replace(task, censored=task.kind == "regression") for task in tasks)
    plain = training.MemoryStore(tasks=tasks, fields=fields, numbers=(number,))
    training.a_row_of_weight_0_counts_as_one_without_labels(plain, chosen)
    if REGRESSION_LOSSES[loss].unfit(replace(plain.schema, tasks=bounded)) is None:
        plain = training.MemoryStore(tasks=bounded, fields=fields, numbers=(number,))
    training.its_state_round_trips_bit_for_bit(plain, chosen)
