import re

import pytest
from search_toys import job_of, train

from bench.core.errors import UserError
from bench.search.executors.base import InlineExecutor, Options, attempt
from bench.system.atomic import Unwritable

CONFIG = {"sharing.kind": "single_task", "optim.lr": 1e-3, "tower.layers": "", "balancing.static.weight.like": 1.0}


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


def test_a_store_that_was_removed_fails_no_trial(tmp_path):
    store = tmp_path / "store"
    store.mkdir()

    def needs_it(job):
        if not store.is_dir():
            raise UserError("no store")
        return train(job)

    executor = InlineExecutor(needs_it, options=Options(store=str(store)))
    for trial in range(2):
        executor.submit(job_of(trial, 0, CONFIG, ("valid",)))
    assert executor.next().failure is None
    store.rmdir()
    with pytest.raises(UserError, match=r"expected the prepared data at .*, found none: they were removed"):
        executor.next()


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (UserError("expected this,\nfound that"), "configuration", "expected this, found that"),
        (FloatingPointError("nan at step 3"), "diverged", "nan at step 3"),
        (MemoryError(), "infrastructure", "out of memory"),
        (Unwritable("a/b", 28), "infrastructure", "a/b: cannot be written: No space left on device"),
        (OutOfMemoryError("CUDA out of memory"), "infrastructure", "out of memory: CUDA out of memory"),
        (RuntimeError("shapes"), "bug", r"RuntimeError: shapes \(test_inline\.py:\d+ in run\)"),
        (ValueError("out of memory"), "bug", r"ValueError: out of memory \(test_inline\.py:\d+ in run\)"),
        (ValueError("no"), "bug", r"ValueError: no \(test_inline\.py:\d+ in run\)"),
        (AssertionError(), "bug", r"AssertionError \(test_inline\.py:\d+ in run\)"),
    ],
)
def test_an_exception_becomes_a_failure_of_its_kind(error, kind, reason):
    def run(job):
        raise error

    outcome = attempt(run, job_of(0, 0, CONFIG, ("valid",)))
    assert outcome.result is None
    assert outcome.failure.kind == kind
    assert re.fullmatch(reason, outcome.failure.reason)
    assert outcome.started > 0


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_nobodys_failure(interrupt):
    def run(job):
        raise interrupt

    with pytest.raises(interrupt):
        attempt(run, job_of(0, 0, CONFIG, ("valid",)))
