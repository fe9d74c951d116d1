"""Fixtures of back-tests, see `day_toys`."""

import pytest
from day_toys import made

from bench.data import load_card, prepare


@pytest.fixture(scope="session")
def days(tmp_path_factory):
    return made(tmp_path_factory.mktemp("days"))


@pytest.fixture(scope="session")
def funnel_like(tmp_path_factory):
    return prepare(load_card("synthetic-funnel@rows=6000"), tmp_path_factory.mktemp("home"))
