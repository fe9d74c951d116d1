"""What an entry of a registry must do: the project's own tests and those of plug-ins call the same
checks.

    import pytest
    from bench.testing import checks

    @pytest.mark.parametrize("check", checks("balancing", "mine"), ids=str)
    def test_mine(check):
        check()

A check raises AssertionError, or `unittest.SkipTest` where the entry's `unfit` refuses what would
be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import getdoc
from itertools import cycle
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

from bench.core.errors import UserError, unknown
from bench.core.plugins import registry_of
from bench.core.registry import lookup

if TYPE_CHECKING:
    from bench.testing.readers import ReaderSample

MODELS = ("sharing", "funnel", "numeric", "interaction", "sequence", "loss", "regression_loss")
"""Axes that are parts of a model."""


@dataclass(frozen=True)
class Check:
    """One requirement of an entry; calling it runs the check."""

    name: str
    run: partial[None]

    def __call__(self) -> None:
        """Runs the check; raises AssertionError if the entry fails, SkipTest if it does not fit
        what would be tried.
        """
        import torch

        torch.manual_seed(0)
        try:
            self.run()
        except SkipTest:
            raise
        except Exception as error:
            requirement, _, _ = (getdoc(self.run.func) or "").partition("\n\nArgs:")
            error.add_note(f"expected of {self}: {' '.join(requirement.split())}")
            raise

    def __str__(self) -> str:
        return self.name


def checks(group: str, name: str, sample: ReaderSample | None = None) -> list[Check]:
    """All checks of an entry.

    Args:
        group: as in entry points, without `seesaw.`: sharing, funnel, numeric, interaction,
            sequence, loss, regression_loss, balancing, sampler, reader or rule.
        name: of the entry. Its plug-in is installed, or was added by `bench.core.plugins.add`.
        sample: a reader's example file.

    Raises:
        UserError: no such group or entry, or a reader without a sample.
    """
    checks_of_group: dict[str, Callable[[str], Iterator[Check]]] = {}
    for axis in MODELS:
        checks_of_group[axis] = partial(_checks_of_model, axis)
    checks_of_group["balancing"] = _checks_of_balancer
    checks_of_group["reader"] = partial(_checks_of_reader, sample=sample)
    for module in ("sampler", "rule"):
        checks_of_group[module] = partial(_checks_of_module, module)
    if group not in checks_of_group:
        raise unknown("group", group, list(checks_of_group))
    lookup(registry_of(group), group, name)
    return list(checks_of_group[group](name))


def _check(run: Callable[..., None], *args: Any, case: str = "") -> Check:
    name = run.__name__
    if case:
        name = f"{name}[{case}]"
    return Check(name, partial(run, *args))


def _checks_of_model(axis: str, name: str) -> Iterator[Check]:
    from bench.models.funnels import FUNNELS
    from bench.models.sharing import SHARING
    from bench.testing import models, training_checks

    yield _check(models.an_entry_says_what_it_is, axis, name)
    # Tried with the entries of another axis in turn.
    partner_axis, partners = "sharing", cycle(SHARING)
    if axis == "sharing":
        partner_axis, partners = "funnel", cycle(FUNNELS)
    for tasks, partner in zip(models.TASKS, partners, strict=False):
        kinds = {partner_axis: partner, axis: name}
        case = f"{tasks}-{partner}"
        for size in models.SIZES:
            check = models.any_batch_size_gives_logits_losses_and_probabilities
            yield _check(check, tasks, size, kinds, case=f"{case}-{size}")
        yield _check(models.the_gradient_reaches_every_parameter, tasks, kinds, case=case)
        if tasks != "one":
            yield _check(models.shared_parameters_are_declared_exactly, tasks, kinds, case=case)
    if axis in ("numeric", "interaction", "sequence"):
        for sharing in ("single_task", "stem"):  # with input sets of one task each
            kinds = {"sharing": sharing, axis: name}
            check_shared = models.shared_parameters_are_declared_exactly
            yield _check(check_shared, "two", kinds, case=f"two-{sharing}")
    if axis in ("loss", "regression_loss"):
        yield _check(models.a_tasks_loss_is_its_own, {axis: name})
    yield _check(models.a_seed_decides_everything, {axis: name})
    yield _check(models.its_state_is_its_parameters, {axis: name})
    yield _check(models.it_can_be_packaged, {axis: name})

    # The tiny store has neither numbers with ranges, nor histories, nor regressions.
    if axis not in ("numeric", "sequence", "regression_loss"):
        store, dotted = training_checks.MemoryStore(), {f"{axis}.kind": name}
        yield _check(training_checks.it_reaches_every_parameter_and_fits_64_rows, store, dotted)
        yield _check(training_checks.it_trains_in_bf16, store, dotted)
        for run in training_checks.OF_ALL:
            yield _check(run, store, dotted)


def _checks_of_balancer(name: str) -> Iterator[Check]:
    from bench.testing import balancing, models, training_checks

    yield _check(models.an_entry_says_what_it_is, "balancing", name)
    for requirement in balancing.requirements(name):
        yield _check(requirement, name)
    store, dotted = training_checks.MemoryStore(), {"balancing.kind": name, "sharing.kind": "mmoe"}
    yield _check(training_checks.it_reaches_every_parameter_and_fits_64_rows, store, dotted, 0.9)
    for run in training_checks.OF_ALL:
        yield _check(run, store, dotted)
    for precision in ("fp32", "bf16"):
        check = training_checks.a_task_without_labels_in_a_batch_leaves_all_finite
        yield _check(check, store, name, precision, case=precision)


def _checks_of_reader(name: str, sample: ReaderSample | None) -> Iterator[Check]:
    from bench.testing import readers

    if sample is None or sample.card["reader"]["kind"] != name:
        raise UserError(
            f"checks of a reader: expected a Sample whose card has the reader '{name}', found none"
        )
    yield _check(readers.its_parts_are_the_rows_of_the_file_however_it_is_cut, sample)
    yield _check(readers.bad_input_is_the_users_mistake_with_its_place, sample)


def _checks_of_module(group: str, name: str) -> Iterator[Check]:
    for run in import_module(f"bench.testing.{group}s").OF_ALL:
        yield _check(run, name)
