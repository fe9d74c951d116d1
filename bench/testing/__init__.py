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
            error.add_note(
                f"expected of {self}: "
                f"{(getdoc(self.run.func) or '').split(chr(10) * 2 + 'Args:')[0]}"
            )
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
    made: dict[str, Callable[[str], Iterator[Check]]] = {
        axis: partial(_of_model, axis) for axis in MODELS
    }
    made |= {"balancing": _of_balancer, "reader": partial(_of_reader, sample=sample)}
    made |= {group: partial(_of_all, group) for group in ("sampler", "rule")}
    if group not in made:
        raise unknown("group", group, list(made))
    lookup(registry_of(group), group, name)
    return list(made[group](name))


def _check(of: Callable[..., None], *args: Any, about: str = "") -> Check:
    return Check(f"{of.__name__}[{about}]" if about else of.__name__, partial(of, *args))


def _of_model(axis: str, name: str) -> Iterator[Check]:
    from bench.models.funnels import FUNNELS
    from bench.models.sharing import SHARING
    from bench.testing import models as of
    from bench.testing import training

    yield _check(of.an_entry_says_what_it_is, axis, name)
    others = cycle(FUNNELS) if axis == "sharing" else cycle(SHARING)
    for tasks, other in zip(of.TASKS, others, strict=False):
        kinds, about = (
            {"funnel" if axis == "sharing" else "sharing": other, axis: name},
            f"{tasks}-{other}",
        )
        for size in of.SIZES:
            every_size = of.any_batch_size_gives_logits_losses_and_probabilities
            yield _check(every_size, tasks, size, kinds, about=f"{about}-{size}")
        yield _check(of.the_gradient_reaches_every_parameter, tasks, kinds, about=about)
        if tasks != "one":
            yield _check(of.shared_parameters_are_declared_exactly, tasks, kinds, about=about)
    if axis in ("numeric", "interaction", "sequence"):
        for other in ("single_task", "stem"):  # with input sets of one task each
            kinds = {"sharing": other, axis: name}
            yield _check(
                of.shared_parameters_are_declared_exactly, "two", kinds, about=f"two-{other}"
            )
    own = (of.a_tasks_loss_is_its_own,) if axis in ("loss", "regression_loss") else ()
    for each in (
        *own,
        of.a_seed_decides_everything,
        of.its_state_is_its_parameters,
        of.it_can_be_packaged,
    ):
        yield _check(each, {axis: name})
    # The tiny store has neither numbers with ranges, nor histories, nor regressions.
    if axis not in ("numeric", "sequence", "regression_loss"):
        store = training.MemoryStore()
        for tried in (
            training.it_reaches_every_parameter_and_fits_64_rows,
            training.it_trains_in_bf16,
            *training.OF_ALL,
        ):
            yield _check(tried, store, {f"{axis}.kind": name})


def _of_balancer(name: str) -> Iterator[Check]:
    from bench.testing import balancing as of
    from bench.testing import models, training

    yield _check(models.an_entry_says_what_it_is, "balancing", name)
    yield from (_check(each.func, *each.args) for each in of.properties(name))
    store, dotted = training.MemoryStore(), {"balancing.kind": name, "sharing.kind": "mmoe"}
    yield _check(training.it_reaches_every_parameter_and_fits_64_rows, store, dotted, 0.9)
    yield from (_check(each, store, dotted) for each in training.OF_ALL)
    for precision in ("fp32", "bf16"):
        each = training.a_task_without_labels_in_a_batch_leaves_all_finite
        yield _check(each, store, name, precision, about=precision)


def _of_reader(name: str, sample: ReaderSample | None) -> Iterator[Check]:
    from bench.testing import readers

    if sample is None or sample.card["reader"]["kind"] != name:
        raise UserError(
            f"checks of a reader: expected a Sample whose card has the reader '{name}', found none"
        )
    yield _check(readers.its_parts_are_the_rows_of_the_file_however_it_is_cut, sample)
    yield _check(readers.bad_input_is_the_users_mistake_with_its_place, sample)


def _of_all(group: str, name: str) -> Iterator[Check]:
    yield from (_check(each, name) for each in import_module(f"bench.testing.{group}s").OF_ALL)
