"""An export of a run's kept predictions gives that run's front, pick and verdict, number for
number.
"""

import numpy as np
import pandas as pd
import pytest
from remake import unpack

import bench
from bench.app.cli import main
from bench.app.runs.export import export
from bench.core.formula import read as read_formula
from bench.core.rows import TEST
from bench.core.system.content import read_toml
from bench.core.system.progress import Silent
from bench.core.validation import validate
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.log_decision import decide
from bench.deciding.logged.logged_rows import read
from bench.ledger.fusion import Fusion, fusion_in
from bench.measure.predictions import FOLDER, read_rows


def decided(options):
    """What `decide --file` says of an export."""
    asked = validate(Asked, read_toml(options), str(options))
    return decide(asked, read(asked, Silent())).decision


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The stored runs."""
    folder = tmp_path_factory.mktemp("home")
    unpack(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "end"),
    [
        pytest.param("two", "parquet", marks=pytest.mark.slow),
        pytest.param("four", "csv", marks=pytest.mark.slow),
        pytest.param("three", "parquet", marks=pytest.mark.slow),
        pytest.param("five", "parquet", marks=pytest.mark.slow),
        pytest.param("rungs", "csv", marks=pytest.mark.slow),
        ("watched", "csv"),
    ],
)
def test_an_export_of_a_run_gives_its_front_and_verdict(home, tmp_path, name, end):
    result = bench.load_run(name, home).found
    decision = decided(export(result, tmp_path / f"log.{end}").options)
    exported_front, original_front = decision.serving.served, result.decision.serving.served
    ids = {"score": "current"} if name == "four" else {}
    assert [
        ids.get(point, point) for point in exported_front.table["point"]
    ] == original_front.table["point"].tolist()
    assert exported_front.table["weights"].tolist() == original_front.table["weights"].tolist()
    assert exported_front.cells.keys() == original_front.cells.keys()
    for key, cells in exported_front.cells.items():
        np.testing.assert_allclose(
            cells, original_front.cells[key], rtol=1e-9, equal_nan=True, err_msg=str(key)
        )
    for split, draws in exported_front.draws.items():
        np.testing.assert_array_equal(draws, original_front.draws[split])
    exported, original = decision.verdict, result.decision.verdict
    assert (exported.kind, exported.row, decision.pick.row) == (
        original.kind,
        original.row,
        result.decision.pick.row,
    )
    assert exported.changes == original.changes
    assert (exported.weights, exported.model) == (original.weights, original.model)


@pytest.mark.parametrize(
    "name",
    ["two", "watched", *(pytest.param(n, marks=pytest.mark.slow) for n in ("three", "five"))],
)
def test_every_answer_of_a_run_is_read_as_the_fusion_of_its_point(home, name):
    """To the three digits that weights are written with."""
    decision = bench.load_run(name, home).decision
    served, rates = decision.serving.served, list(decision.serving.rates.values())
    names = [f"p_{task}" for task in decision.serving.rates]
    for kind, weights, formula in zip(
        served.table["kind"], served.table["weights"], decision.formulas, strict=True
    ):
        fusion = fusion_in(read_formula(formula, ""), names)
        scale = rates if fusion[0] == "sum" else [1.0] * len(rates)
        again = Fusion.of(fusion[0], np.multiply(fusion[1], scale).tolist())
        assert again.kind == kind
        assert again.weights == pytest.approx([*weights.values()], rel=0.01)


def test_an_export_of_several_points_has_their_numbers_and_those_of_what_they_are_compared_with(
    home, tmp_path
):
    result = bench.load_run("two", home).found
    exported = export(result, tmp_path / "log.parquet", ["trees", "7"])
    assert {*exported.points} == {"trees", "7", "current"}
    assert exported.command == f"seesaw decide --file {tmp_path / 'log.toml'}"
    decision = decided(exported.options)
    ours, theirs = decision.serving.served, result.decision.serving.served
    assert {*ours.table["point"]} == {*exported.points}
    rows = {
        (point.point, point.kind, str(point.weights)): number
        for number, point in enumerate(theirs.table.itertuples())
    }
    pairs = [
        (number, rows[key])
        for number, point in enumerate(ours.table.itertuples())
        if (key := (point.point, point.kind, str(point.weights))) in rows
    ]
    assert len(pairs) >= 3
    for own_row, row in pairs:
        np.testing.assert_allclose(ours.at(TEST)[own_row], theirs.at(TEST)[row], rtol=1e-9)


def test_a_command_writes_it_and_names_the_one_that_reads_it(home, tmp_path, capsys):
    out = tmp_path / "rows.csv"
    assert (
        main(
            [
                "data",
                "export",
                "two",
                "--point",
                "7",
                "--split",
                "test",
                "--out",
                str(out),
                "--home",
                str(home),
            ]
        )
        == 0
    )
    output = capsys.readouterr().out
    assert f"next: seesaw decide --file {tmp_path / 'rows.toml'}" in output
    assert "These are rows of test alone" in output
    table = pd.read_csv(out)
    assert {"click", "like", "p_click_7_0", "p_like_7_0", "p_click_current_0"} <= {*table}
    assert len(table) == read_rows(bench.load_run("two", home).found.run.folder / FOLDER, TEST).kept
    assert main(["decide", "--file", str(tmp_path / "rows.toml")]) == 0
    assert main(["data", "export", "two", "--home", str(home)]) == 0
    assert (home / "runs" / "two" / "two" / "export.parquet").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["two", "--point", "9"], "--point: unknown point '9'"),
        (["two", "--split", "train"], "--split: unknown split 'train'"),
        (
            ["two", "--out", "x.json"],
            "--out: expected a file that ends in .csv or .parquet, found 'x.json'",
        ),
        (
            ["four", "--point", "current"],
            "expected a model beside today's score, found 'current' alone",
        ),
        (["unconfirmed"], "runs/unconfirmed --confirm replicates=3` makes them"),
    ],
)
def test_mistakes_write_nothing(home, tmp_path, capsys, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "export", *words, "--home", str(home)]) == 2
    assert says in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
