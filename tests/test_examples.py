"""Examples in docstrings run, and give what they show."""

import doctest
from importlib import import_module

import pytest
from remake import unpack

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One with the stored runs."""
    folder = tmp_path_factory.mktemp("examples")
    unpack(folder)
    return folder


def examples_of(module, slow):
    """Those of a module; slow ones train or decide."""
    examples = doctest.DocTestFinder(exclude_empty=True).find(import_module(module))
    slow_names = {"bench.api.run", "bench.api.decide"}
    return [
        example for example in examples if example.examples and (example.name in slow_names) == slow
    ]


def check(examples, home):
    assert examples
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for example in examples:
        example.globs["home"] = home
        result = runner.run(example)
        assert result.failed == 0, example.name


@pytest.mark.parametrize(
    "module",
    [
        "bench.api",
        "bench.ledger.ledger",
        "bench.models.balancing.pairwise",
        "bench.models.balancing.stateless",
    ],
)
def test_examples_give_what_they_show(module, home):
    check(examples_of(module, slow=False), home)


@pytest.mark.slow
def test_examples_that_train_give_what_they_show(home, tmp_path):
    check(examples_of("bench.api", slow=True), tmp_path)
