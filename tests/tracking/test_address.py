"""Addresses: what can be none is refused at once, what may be one is not asked anything."""

from urllib.parse import urlsplit

import pytest

from bench.errors import UserError
from bench.tracking import Logbook, check_address

GOOD = (
    "http://127.0.0.1:5000",
    "https://mlflow.example.org/team",
    "http://[::1]:5000",
    "https://user:word@host",
    "databricks",
    "databricks://profile",
    "sqlite:///runs.db",
    "sqlite:////data/runs.db",
    "postgresql+psycopg2://me@host/db",
    "mysql+pymysql://me@host/db",
    "file:///data/mlruns",
)
BAD = (
    "",
    "127.0.0.1:5000",
    "localhost:5000",
    "mlruns",
    "htp://host:5000",
    "http:/host:5000",
    "http://",
    "http://:5000",
    "http://host:port",
    "http://host:70000",
    "http://[::1:5000",
    "sqlite://runs.db",
    "sqlite:///",
    "sqlite:",
    "postgres://host/db",
    "uc:http://host",
)


@pytest.mark.parametrize("uri", GOOD)
def test_what_may_be_an_address_passes(uri):
    check_address(uri)


@pytest.mark.parametrize("uri", BAD)
def test_what_cannot_be_one_is_refused_in_one_sentence(uri, tmp_path):
    with pytest.raises(
        UserError, match=r"^--tracking: expected an MLflow address \(http://HOST:PORT, .*\), found "
    ) as e:
        Logbook(uri, tmp_path)
    assert str(e.value).endswith(f"found '{uri}'")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("uri", [uri for uri in (*GOOD, *BAD) if not uri.startswith(("http", "sqlite:", "databricks"))])
def test_mlflow_knows_the_same_schemes(uri):
    """But for a folder without `file:`, which we refuse: more often it is a server's name without `http://`."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    try:
        _tracking_store_registry.get_store_builder(uri)
        known = True
    except MlflowException:
        known = False
    refused_later = urlsplit(uri).scheme in ("", "uc")  # MLflow has no runs in Unity Catalog
    assert known == (uri in GOOD or refused_later)
