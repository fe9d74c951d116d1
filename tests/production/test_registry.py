"""Versions and aliases in a store of the test's own, and a model that MLflow loads back."""

import json

import numpy as np
import pandas as pd
import pytest
from tampered import sign, tampered

from bench.core.errors import UserError
from bench.frontier.score import Score
from bench.production.package import Package
from bench.production.scorer import example_rows
from bench.tracking import registry as module
from bench.tracking.registry import CHALLENGER, CHAMPION, ModelRegistry, save_model
from bench.tracking.store import MlflowStore, StoredRun

EXPERIMENT = "seesaw/test"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def uri(home):
    return f"sqlite:///{home / 'mlflow.db'}"


@pytest.fixture(scope="module")
def registry(uri, home):
    return ModelRegistry(uri, home)


@pytest.fixture(scope="module")
def deploy(registry, home, package):
    run_id = registry.log(package, "seesaw/test", "deployed", {"a": "b"}, {"test/x": 0.5})

    def do(name, alias):
        number = registry.register(name, run_id, "a card", {"k": "v"})
        moves = registry.moves(name, alias, number)
        registry.apply(name, moves)
        return [str(move) for move in moves]

    return do


def test_a_change_of_aliases_that_was_interrupted_ends_right_when_it_is_made_again(registry, monkeypatch):
    """Whichever move was the last one that came through."""
    for done in range(3):
        now = {"champion": "1", "challenger": "2", "previous": "0"}
        monkeypatch.setattr(registry, "aliases", lambda name, now=now: dict(now))
        now |= {move.alias: move.after for move in registry.moves("shop", CHAMPION, "2")[:done]}
        now |= {move.alias: move.after for move in registry.moves("shop", CHAMPION, "2")} if done < 2 else {}
        assert now == {"champion": "2", "challenger": "2", "previous": "1"}


def test_aliases_move_and_come_back(registry, deploy):
    assert deploy("shop", CHAMPION) == ["champion moves to version 1"]
    assert deploy("shop", CHALLENGER) == ["challenger moves to version 2"]
    with pytest.raises(UserError, match="with the alias champion and previous, found challenger 2, champion 1"):
        registry.rollback("shop")
    registry.apply("shop", registry.promote("shop"))
    assert registry.aliases("shop") == {"champion": "2", "challenger": "2", "previous": "1"}
    with pytest.raises(
        UserError, match="shop: expected a challenger that is not the champion, found version 2 as both"
    ):
        registry.promote("shop")  # again: `previous` would be lost
    assert deploy("shop", CHAMPION) == ["previous moves from version 1 to 2", "champion moves from version 2 to 3"]
    for champion, previous in (("2", "3"), ("3", "2")):
        registry.apply("shop", registry.rollback("shop"))
        assert registry.aliases("shop") == {"champion": champion, "challenger": "2", "previous": previous}


def test_a_model_by_its_name(registry, deploy, package, tmp_path):
    deploy("by-name", CHAMPION)
    for name in ("by-name", "by-name@champion", "by-name/1", "models:/by-name@champion"):
        assert registry.fetch(name, tmp_path).digest == package.digest
    assert [path.name for path in tmp_path.rglob("manifest.json")] == ["manifest.json"]  # fetched once
    for name, sentence in {
        "by-nam": "unknown model 'by-nam' .did you mean 'by-name'",
        "by-name@challenger": "unknown alias of the model 'by-name' 'challenger'",
        "by-name/7": "unknown version of the model 'by-name' '7'",
        "a@b@c": "expected a model as NAME, NAME@ALIAS or NAME/VERSION",
    }.items():
        with pytest.raises(UserError, match=sentence):
            registry.fetch(name, tmp_path)


def test_a_model_made_anew_is_fetched_anew(registry, deploy, package, tmp_path):
    """Its versions count from 1 again, as do those of a model in another registry."""
    deploy("anew", CHAMPION)
    registry.fetch("anew/1", tmp_path / "models")
    registry._store.ask("delete the model", "delete_registered_model", "anew")
    other = Package.open(tampered(package.folder, tmp_path / "other", "policy.json", lambda _: {"rule": "other"}))
    run_id = registry.log(other, "seesaw/test", "deployed", {}, {})
    assert registry.register("anew", run_id, "a card", {}) == "1"
    assert registry.fetch("anew/1", tmp_path / "models").digest == other.digest != package.digest


def test_mlflow_loads_it_without_a_pickle(package, tmp_path):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    save_model(package, tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").rglob("*")}
    assert names >= {"README.md", "served.py", "input_example.json", "model.safetensors"}
    assert not any(name.endswith((".pkl", ".pickle")) for name in names)
    assert "model_code_path" in (tmp_path / "model" / "MLmodel").read_text()
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    rows = example_rows(package.encoder)
    np.testing.assert_allclose(model.predict(rows), package.scorer().predict(rows), atol=1e-5)
    with pytest.raises(MlflowException, match="row 1: 'price': expected a number, found 'cheap'"):
        model.predict(rows.assign(price="cheap"))


def test_requests_as_the_server_answers_them(package, tmp_path, monkeypatch):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import scoring_server

    monkeypatch.setattr(scoring_server, "parse_csv_input", scoring_server.parse_csv_input)
    monkeypatch.setenv(scoring_server._SERVER_MODEL_PATH, str(tmp_path / "model"))
    save_model(package, tmp_path / "model")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    schema = model.metadata.get_input_schema()

    def ask(body, kind="application/json"):
        answer = scoring_server.invocations(body, kind, model, schema)
        return json.loads(answer.response)["predictions"] if answer.status == 200 else [answer.response]

    rows = example_rows(package.encoder)
    expected = package.scorer().predict(rows)
    assert ask('{"dataframe_records": []}') == []
    assert ask(rows.iloc[:0].to_csv(index=False), "text/csv") == []
    for body, kind in ((json.dumps({"dataframe_records": rows.to_dict("records")}), "application/json"),
                       (rows.to_csv(index=False), "text/csv; charset=utf-8")):  # fmt: skip
        np.testing.assert_allclose(pd.DataFrame(ask(body, kind)), expected, atol=1e-5)
    with pytest.raises(MlflowException, match="row 2: 'price': expected a number, found 'cheap'"):
        ask(rows.assign(price=["1", "cheap", ""]).to_csv(index=False), "text/csv")
    with pytest.raises(MlflowException, match="expected a column 'price' in every row, found the columns"):
        ask(rows.drop(columns="price").to_csv(index=False), "text/csv")
    with pytest.raises(MlflowException, match="expected a header with the names of the columns, found an empty line"):
        ask("", "text/csv")
    monkeypatch.setattr(Score, "apply", lambda self, found: np.array([1.0, 2.0, np.inf]))
    with pytest.raises(MlflowException, match="row 3: expected a finite number as 'score', found inf"):
        ask(rows.to_csv(index=False), "text/csv")


def test_a_tampered_package_is_refused_where_it_is_served(package, tmp_path):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    save_model(package, tmp_path / "model")
    (made,) = tmp_path.glob("**/calibration.json")
    made.write_text("{")
    sign(made.parent)
    with pytest.raises(MlflowException, match=r"calibration.json: not valid JSON"):
        mlflow.pyfunc.load_model(str(tmp_path / "model"))


def status_of(uri, run):
    store = MlflowStore(uri)
    found = {node.run_id: node for node in StoredRun.search(store, store.experiment(EXPERIMENT), "")}
    return found[run].status


def newest(uri):
    store = MlflowStore(uri)
    return StoredRun.search(store, store.experiment(EXPERIMENT), "")[0].run_id


@pytest.mark.parametrize(("error", "status"), [(UserError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_run_ends_with_what_ended_its_deployment(package, uri, tmp_path, monkeypatch, error, status):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(module, "save_model", fail)
    with pytest.raises(type(error)):
        ModelRegistry(uri, tmp_path).log(package, EXPERIMENT, "deployed", {}, {})
    assert status_of(uri, newest(uri)) == status
    assert not list(package.folder.parent.glob(".*.part"))
