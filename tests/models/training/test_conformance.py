"""What every sharing x funnel x balancer must do. Runs over the registries: who adds an entry
writes nothing here.
"""

import math
from dataclasses import replace
from itertools import count, cycle, islice, product

import pytest

from bench.core.schema import Field, Number
from bench.models.balancing import BALANCING
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.losses import LOSSES, REGRESSION_LOSSES
from bench.models.sharing import SHARING
from bench.testing import training_checks

# A product of losses, or a sum of their logarithms, gives all weight to the task whose loss
# vanishes first: on 64 rows the others then stop short.
FITTED = {"gls": 0.8, "famo": 0.8, "db_mtl": 0.8}


def sampled():
    """Each balancer at least once; the other axes go round, and every loss meets every funnel."""
    total = max(len(BALANCING), len(FUNNELS) * len(LOSSES))
    losses, round_ = list(LOSSES), math.lcm(len(FUNNELS), len(LOSSES))
    axes = {
        "balancing.kind": islice(cycle(BALANCING), total),
        "sharing.kind": cycle(SHARING),
        "funnel.kind": cycle(FUNNELS),
        "interaction.kind": cycle(INTERACTIONS),
        "loss.kind": (losses[(number + number // round_) % len(losses)] for number in count()),
        "ensemble.members": cycle((1, 1, 3, 1, 2, 1)),
    }
    return [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=False)]


def named(chosen):
    return "-".join(map(str, chosen.values()))


def mostly_slow(chosen, quick):
    """A case each; those that are quick are what the others are, and soon at hand."""
    marks = [() if number in quick else pytest.mark.slow for number in range(len(chosen))]
    cases = [
        pytest.param(options, id=named(options), marks=mark)
        for options, mark in zip(chosen, marks, strict=True)
    ]
    return pytest.mark.parametrize("chosen", cases)


def last(cases, count):
    """Losses and funnels go round, so all are among a few; the last balancers are of every kind."""
    return range(len(cases) - count, len(cases))


@mostly_slow(sampled(), range(0, len(sampled()), 16))
def test_it_reaches_every_parameter_and_fits_64_rows(tiny, chosen):
    lowest = FITTED.get(chosen["balancing.kind"], 0.99)
    training_checks.it_reaches_every_parameter_and_fits_64_rows(tiny, chosen, lowest)


@mostly_slow(sampled(), last(sampled(), 12))
def test_a_row_of_weight_0_counts_as_one_without_labels(tiny, chosen):
    training_checks.a_row_of_weight_0_counts_as_one_without_labels(tiny, chosen)


@pytest.mark.parametrize(
    ("weights", "chosen"),
    [
        pytest.param(number % 2 * 2, options, id=named(options))
        for number, options in enumerate(sampled()[: len(BALANCING)])
    ],
)
def test_its_state_round_trips_bit_for_bit(tiny, weights, chosen):
    store = training_checks.MemoryStore(weights=weights) if weights else tiny
    training_checks.its_state_round_trips_bit_for_bit(store, chosen)


@pytest.mark.parametrize(
    ("balancing", "precision"), list(zip(BALANCING, cycle(("fp32", "bf16")), strict=False))
)
def test_a_task_without_labels_in_a_batch_leaves_all_finite(tiny, balancing, precision):
    training_checks.a_task_without_labels_in_a_batch_leaves_all_finite(tiny, balancing, precision)


def of_regressions():
    """Every loss of regressions in every funnel, with each balancer, beside regressions with a
    parent and without.
    """
    funnels, losses = zip(*product(FUNNELS, REGRESSION_LOSSES), strict=True)
    axes = {
        "balancing.kind": cycle(BALANCING),
        "sharing.kind": cycle(SHARING),
        "funnel.kind": funnels,
        "regression_loss.kind": losses,
        "ensemble.members": cycle((1, 2, 1)),
    }
    return [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=False)]


NUMBER = Number("age", 0, None, (-3.0, 3.0), (64,))
TIMED = tuple(
    replace(task, duration="age") if task.kind == "regression" else task
    for task in training_checks.VALUES
)


def timed(tasks=TIMED):
    """A regression has a parent or none, and a duration."""
    return training_checks.MemoryStore(
        tasks=tasks, fields=(*training_checks.FIELDS, Field("age_bucket", 3)), numbers=(NUMBER,)
    )


@mostly_slow(of_regressions(), last(of_regressions(), 6))
def test_regressions_keep_to_their_rows(chosen):
    training_checks.a_row_of_weight_0_counts_as_one_without_labels(timed(), chosen)


@pytest.mark.parametrize("chosen", of_regressions()[: len(REGRESSION_LOSSES)], ids=named)
def test_the_state_of_a_regressions_loss_round_trips_bit_for_bit(chosen):
    """Where it knows bounds, of censored labels."""
    store = timed()
    bounded = tuple(replace(task, censored=task.kind == "regression") for task in TIMED)
    if (
        REGRESSION_LOSSES[chosen["regression_loss.kind"]].unfit(
            replace(store.schema, tasks=bounded)
        )
        is None
    ):
        store = timed(bounded)
    training_checks.its_state_round_trips_bit_for_bit(store, chosen)
