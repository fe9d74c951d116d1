"""Versions and aliases in a store of the test's own, a model that MLflow loads back, and requests
as it reads them.
"""

import json
import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from serving_toys import parts_of, raw_rows, sign, tampered, trained

from bench.app.tracking import model_registry as module
from bench.app.tracking.mlflow_store import MlflowStore, StoredRun, TrackingError
from bench.app.tracking.model_registry import CHALLENGER, CHAMPION, ModelRegistry, save_model
from bench.core import plugins
from bench.core.errors import UserError
from bench.core.plugins import PLUGIN, PluginFile
from bench.deciding.score import Score
from bench.serve.package import Package, write_package
from bench.serve.scorer import Scorer, example_rows

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
    run_id = registry.log(package, EXPERIMENT, "deployed", {"a": "b"}, {"test/x": 0.5})

    def do(name, alias):
        number = registry.register(name, run_id, "a card", {"k": "v"})
        moves = registry.moves(name, alias, number)
        registry.apply(name, moves)
        return [str(move) for move in moves]

    return do


def test_a_change_of_aliases_that_was_interrupted_ends_right_when_it_is_made_again(
    registry, monkeypatch
):
    """Whichever move was the last one that came through."""
    for done in range(3):
        now = {"champion": "1", "challenger": "2", "previous": "0"}
        monkeypatch.setattr(registry, "aliases", lambda name, now=now: dict(now))
        now |= {move.alias: move.after for move in registry.moves("shop", CHAMPION, "2")[:done]}
        now |= (
            {move.alias: move.after for move in registry.moves("shop", CHAMPION, "2")}
            if done < 2
            else {}
        )
        assert now == {"champion": "2", "challenger": "2", "previous": "1"}


def test_aliases_move_and_come_back(registry, deploy):
    assert deploy("shop", CHAMPION) == ["champion moves to version 1"]
    assert deploy("shop", CHALLENGER) == ["challenger moves to version 2"]
    with pytest.raises(
        UserError, match="with the alias champion and previous, found challenger 2, champion 1"
    ):
        registry.rollback("shop")
    registry.apply("shop", registry.promote("shop"))
    assert registry.aliases("shop") == {"champion": "2", "challenger": "2", "previous": "1"}
    with pytest.raises(
        UserError,
        match="shop: expected a challenger that is not the champion, found version 2 as both",
    ):
        registry.promote("shop")  # again: `previous` would be lost
    assert deploy("shop", CHAMPION) == [
        "previous moves from version 1 to 2",
        "champion moves from version 2 to 3",
    ]
    for champion, previous in (("2", "3"), ("3", "2")):
        registry.apply("shop", registry.rollback("shop"))
        assert registry.aliases("shop") == {
            "champion": champion,
            "challenger": "2",
            "previous": previous,
        }


def test_a_model_by_its_name(registry, deploy, package, tmp_path):
    deploy("by-name", CHAMPION)
    for name in ("by-name", "by-name@champion", "by-name/1", "models:/by-name@champion"):
        assert registry.fetch(name, tmp_path).digest == package.digest
    # fetched once
    assert [path.name for path in tmp_path.rglob("manifest.json")] == ["manifest.json"]
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
    second = Package.open(
        tampered(package.folder, tmp_path / "other", "policy.json", lambda _: {"rule": "other"})
    )
    run_id = registry.log(second, EXPERIMENT, "deployed", {}, {})
    assert registry.register("anew", run_id, "a card", {}) == "1"
    assert registry.fetch("anew/1", tmp_path / "models").digest == second.digest != package.digest


def loaded(folder):
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))


def refused(sentence):
    from mlflow.exceptions import MlflowException

    return pytest.raises(MlflowException, match=sentence)


def test_a_full_disk_is_said_where_a_model_is_fetched(registry, monkeypatch, tmp_path):
    def failing(*arguments):
        raise TrackingError("please ensure that the path is correct")

    monkeypatch.setattr(registry._store, "ask", failing)
    monkeypatch.setattr(registry, "version_of", lambda model: ("a", "1"))
    monkeypatch.setattr(registry, "_version", lambda name, number: SimpleNamespace(run_id="r"))
    with pytest.raises(TrackingError, match="path is correct"):
        registry.fetch("a/1", tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    with pytest.raises(UserError, match="/r: cannot be written: No space left on device"):
        registry.fetch("a/1", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["fetch.lock"]


@pytest.fixture(scope="module")
def saved(package, tmp_path_factory):
    """The package as a model of MLflow."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(package, folder)
    return folder


@pytest.fixture
def ask(saved, monkeypatch):
    """What MLflow's server answers to a request, in this process."""
    from mlflow.pyfunc import scoring_server

    for name in (
        "parse_csv_input",
        "infer_and_parse_data",
        "_decode_json_input",
        "invocations",
    ):  # a model replaces them in a server's process
        monkeypatch.setattr(scoring_server, name, getattr(scoring_server, name))
    monkeypatch.setenv(scoring_server._SERVER_MODEL_PATH, str(saved))
    model = loaded(saved)

    def answer(request, kind="application/json"):
        body = request if isinstance(request, str | bytes) else json.dumps(request)
        response = scoring_server.invocations(body, kind, model, model.metadata.get_input_schema())
        return (
            json.loads(response.response)["predictions"]
            if response.status == 200
            else [response.response]
        )

    return answer


@pytest.mark.parametrize(
    ("price", "sentence"),
    [("1e400", "expected finite numbers, found 1e400"), ("9" * 5_000, ("expected finite numbers, "
                                                                      "found 9")),
     ("9" * 400, "expected finite numbers, found 9"), ("[" * 900 + "]" * 900, "expected a number|RecursionError"),
     ("1 2", "expected|valid JSON"), ('"\\ud800"', "expected|surrogates"), ("[" * 100_000, "nested too deep"),
     ("Infinity", "finite|number"), ("-1e999", "expected finite numbers")],
    ids=["1e400", "digits", "400 digits", "lists", "broken", "half a letter", "nested", "infinity", "-1e999"],
)  # fmt: skip
def test_a_hostile_number_is_refused_in_one_sentence(package, ask, price, sentence):
    row = example_rows(package.encoder).iloc[:1].to_dict("records")[0]
    body = json.dumps({"dataframe_records": [row | {"price": "PRICE"}]}).replace('"PRICE"', price)
    with refused(sentence) as error:
        ask(body)
    assert error.value.get_http_status_code() == 400
    assert len(error.value.message) < 2000


def test_mlflow_loads_it_without_a_pickle_and_answers_requests(package, saved, ask, monkeypatch):
    names = {path.name for path in saved.rglob("*")}
    assert names >= {"README.md", "pyfunc.py", "input_example.json", "model.safetensors"}
    assert not any(name.endswith((".pkl", ".pickle")) for name in names)
    assert "model_code_path" in (saved / "MLmodel").read_text()
    rows = example_rows(package.encoder)
    expected = package.scorer().predict(rows)
    assert ask({"dataframe_records": []}) == []
    assert ask(rows.iloc[:0].to_csv(index=False), "text/csv") == []
    for request, kind in (
        ({"dataframe_records": rows.to_dict("records")}, "application/json"),
        (rows.to_csv(index=False), "text/csv; charset=utf-8"),
    ):
        np.testing.assert_allclose(pd.DataFrame(ask(request, kind)), expected, atol=1e-5)
    with refused("row 2: 'price': expected a number, found 'cheap'"):
        ask(rows.assign(price=["1", "cheap", ""]).to_csv(index=False), "text/csv")
    with refused("expected a column 'price' in every row, found the columns"):
        ask(rows.drop(columns="price").to_csv(index=False), "text/csv")
    with refused("expected a header with the names of the columns, found an empty line"):
        ask("", "text/csv")
    monkeypatch.setattr(Score, "apply", lambda self, predictions: np.array([1.0, 2.0, np.inf]))
    with refused("row 3: expected a finite number as 'score', found inf"):
        ask(rows.to_csv(index=False), "text/csv")


def test_bytes_that_are_no_json_are_refused_in_a_sentence(ask):
    for body in (b"\xff", b"\xef\xbb\xbf{}", b"", b"[1]", b"7", b"{}"):
        with refused("expected|must be|Ensure that input is a valid JSON") as error:
            ask(body)
        assert error.value.get_http_status_code() == 400
    with refused("expected a header Content-Type such as application/json, found none"):
        ask("{}", None)


def test_a_tampered_package_is_refused_where_it_is_served(package, tmp_path):
    save_model(package, tmp_path / "model")
    (file,) = tmp_path.glob("**/calibration.json")
    file.write_text("{")
    sign(file.parent)
    with refused(r"calibration.json: not valid JSON"):
        loaded(tmp_path / "model")


@pytest.mark.parametrize(
    ("error", "status"), [(UserError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_ends_with_what_ended_its_deployment(
    package, uri, tmp_path, monkeypatch, error, status
):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(module, "save_model", fail)
    with pytest.raises(type(error)):
        ModelRegistry(uri, tmp_path).log(package, EXPERIMENT, "deployed", {}, {})
    store = MlflowStore(uri)
    newest = StoredRun.search(store, store.experiment(EXPERIMENT), "")[0].run_id
    assert store.ask("look", "get_run", newest).info.status == status
    assert not list(package.folder.parent.glob(".*.part"))


LONG = 2**53 + 1  # the first whole number that is no float64


@pytest.fixture
def rows(package):
    return (
        raw_rows()
        .select([column.name for column in package.scorer().rows.columns])
        .slice(0, 2)
        .to_pylist()
    )


@pytest.mark.parametrize("neighbour", [None, 1.5, "absent"])
@pytest.mark.parametrize("long_id", [LONG, -LONG])
def test_an_id_keeps_its_digits_beside_one_that_is_none(ask, rows, monkeypatch, long_id, neighbour):
    rows[0]["user_id"], rows[1]["user_id"] = long_id, None if neighbour == "absent" else neighbour
    columns = list(rows[0])
    cells = [[row[name] for name in columns] for row in rows]
    forms: list[dict[str, Any]] = [{"dataframe_split": {"columns": columns, "data": cells}}]
    forms.append({"inputs": dict(zip(columns, map(list, zip(*cells, strict=True)), strict=True))})
    if neighbour == "absent":
        del rows[1]["user_id"]
    forms.append({"dataframe_records": rows})
    seen, predict = [], Scorer.predict_table
    monkeypatch.setattr(
        Scorer, "predict_table", lambda self, table: seen.append(table) or predict(self, table)
    )
    for data in forms:
        ask(data)
        assert seen.pop()["user_id"].to_pylist()[0] == str(long_id)


def test_an_id_that_is_a_float_already_is_refused(package, ask, rows):
    """In a frame, a table and a request; a number may be as large as it likes."""
    rows[1] |= {"user_id": float(LONG), "price": 1e300}
    expected = (
        "row 2: 'user_id': expected an id as a whole number or a text, found the float "
        "9007199254740992, which"
    )
    frame, scorer = pd.DataFrame(rows), package.scorer()
    for request in (frame, rows, pa.Table.from_pandas(frame)):
        with pytest.raises(UserError, match=expected):
            scorer.predict(request)
    with refused(expected):
        ask({"dataframe_records": rows})
    rows[1]["user_id"] = float(2**53 - 1)
    assert len(scorer.predict(rows)) == 2


@pytest.mark.parametrize(
    "data",
    [
        {"dataframe_records": [{"x": 1}]},
        {"dataframe_split": {"columns": ["x"], "data": [[1]]}},
        {"inputs": {"x": [1]}},
    ],
)
def test_rows_without_a_known_column_are_refused(ask, data):
    with refused(r"expected rows with the columns user_id, .*, found none") as error:
        ask(data)
    assert error.value.get_http_status_code() == 400


TWIN = """
from bench.models.model_options import HiddenConfig
from bench.models.sharing.shared_bottom import SharedBottom
from bench.core.registry import Entry

SHARING = {"twin": Entry(SharedBottom, HiddenConfig, "-", "a shared bottom of another name")}
"""


def test_the_variable_names_the_files_and_without_it_a_sentence_says_so(
    store, tmp_path, monkeypatch
):
    mine, second_file = tmp_path / "mine.py", tmp_path / "other.py"
    mine.write_text(TWIN)
    second_file.write_text(TWIN.replace('"twin"', '"other"'))
    monkeypatch.setattr(plugins, "_FILES", {})
    plugins.add(PluginFile.read(mine))
    parts = parts_of(store, trained(store, **{"sharing.kind": "twin"}))
    package = write_package(parts, tmp_path / "package", onnx=False)
    save_model(package, tmp_path / "model")
    rows = raw_rows().slice(0, 20).to_pandas()
    expected = package.scorer().predict(rows)
    lacking = "expected sharing.twin of the plug-in mine.py .*, found none"
    for named, sentence in (
        ("", f"{lacking}; name it with --plugin, .* SEESAW_PLUGIN"),
        (str(second_file), lacking),
        ("nowhere.py", "^SEESAW_PLUGIN nowhere.py: expected a file of Python: No such file"),
    ):
        monkeypatch.setattr(plugins, "_FILES", {})  # as in a process that knows no plug-in file yet
        monkeypatch.setenv(PLUGIN, named)
        with refused(sentence):
            loaded(tmp_path / "model")
    monkeypatch.setattr(plugins, "_FILES", {})
    monkeypatch.setenv(PLUGIN, os.pathsep.join([str(mine), str(second_file)]))
    answer = loaded(tmp_path / "model").predict(rows)
    pd.testing.assert_frame_equal(answer, expected)
