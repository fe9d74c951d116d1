"""A number is the same everywhere: what page, terminal, JSON, `cells.parquet`, MLflow and plan show
under one name.
"""

import io
import json
import re
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest
from remake import unpack

from bench.api import load_run, read_cells
from bench.app.cli.fronts import print_served, show_verdict
from bench.app.report.embed import section_data
from bench.app.report.plan_page import planned
from bench.app.runs.reporting import front_of
from bench.app.runs.run_page import section_of
from bench.deciding.words.verdict import named, titles_of
from bench.ledger.fusion import in_words

LARGE = ("three", "four", "five", "rungs")
RUNS = ("two", "packaged", "watched", *(pytest.param(run, marks=pytest.mark.slow) for run in LARGE))
PARTS = ("value", "low", "high", "gain", "gain_low", "gain_high")
"""Numbers of a cell, in the order in which a page has them."""


class Numbers:
    """Numbers by name, from several surfaces; those of one name must agree up to the digits that
    each shows.
    """

    def __init__(self):
        self.found = {}
        self.compared = set()

    def add(self, name, value, surface, step=0.0, digits=15):
        """Takes a number that a surface shows in `digits` digits, or to a multiple of `step`."""
        if value is None or not np.isfinite(value):
            return
        error = max(abs(value) * 10.0 ** (1 - digits), step) + 1e-12
        if name not in self.found:
            self.found[name] = (value, error, surface)
            return
        other, its_error, its_surface = self.found[name]
        assert abs(value - other) <= 0.51 * (error + its_error), (
            name,
            surface,
            value,
            its_surface,
            other,
        )
        self.compared.add(surface)


def cells_of(numbers, table, ledgers):
    """Those of `cells.parquet`, by front, split, slice, measure, and the row of the point in its
    front.
    """
    rows = {front: rows_of(ledger) for front, ledger in ledgers.items()}
    for cell in table.to_dict("records"):
        row = rows[cell["front"]][key_of(cell)]
        for part in PARTS:
            name = (cell["front"], cell["split"], cell["slice"], cell["measure"], row, part)
            numbers.add(name, cell[part], "cells")


def expected_of(numbers, changes, surface):
    """What the verdict expects, by outcome, as documents have it."""
    for outcome, gain in changes.items():
        for part in ("value", "low", "high"):
            numbers.add(("expected", outcome, part), gain[part], surface)


def of_document(numbers, document, served):
    """Those of `--json`: served points by their place in the front."""
    rows = rows_of(served)
    parts = {"outcomes": "value", "outcomes_low": "low", "outcomes_high": "high"}
    parts |= {"gains": "gain", "gains_low": "gain_low", "gains_high": "gain_high"}
    for point in document["served"]["points"]:
        row = rows[key_of(point | {"point": point["trial"]})]
        for part, name in parts.items():
            for outcome, value in point[part].items():
                numbers.add(("served", "test", "all", outcome, row, name), value, "json")
        for outcome, value in point["confirm"].items():
            numbers.add(("served", "confirm", "all", outcome, row, "value"), value, "json")
    expected_of(numbers, document["verdict"]["both"], "json")
    for model in document["verdict"]["models"]:
        for outcome in ("utility", *served.names):
            for part in ("value", "low", "high"):
                numbers.add(("model", model["point"], outcome, part), model[outcome][part], "json")


def key_of(point):
    """What tells a point of a front from others; weights as people read them."""
    kind, weights = point.get("kind"), point.get("weights")
    words = weights if isinstance(weights, str) else in_words(weights or {})
    return str(point["point"]), kind if isinstance(kind, str) else "", words


def rows_of(ledger):
    """By point its row in a front."""
    return {key_of(point): row for row, point in ledger.table.iterrows()}


def of_page(numbers, section):
    """Those of a page: both planes, what the verdict expects, and the same by model."""
    for front, plane in section["planes"].items():
        for split, rows in plane["at"].items():
            for row, cells in enumerate(rows):
                for axis, cell in zip(plane["axes"], cells, strict=True):
                    for part, value in zip(PARTS, cell, strict=True):
                        scale = axis["scale"] if part.startswith("gain") else 1.0
                        name = (front, split, "all", axis["name"], row, part)
                        numbers.add(
                            name, value if value is None else value / scale, "page", digits=6
                        )
    outcomes = [axis["name"] for axis in section["planes"]["served"]["axes"]]
    for outcome, ends in zip(outcomes, section["expected"]["gains"], strict=True):
        for part, value in zip(("value", "low", "high"), ends, strict=True):
            numbers.add(("expected", outcome, part), value / 100, "page", digits=6)


def of_terminal(numbers, decision):
    """Those of the tables that a terminal shows, by their titles: expected or measured."""
    served = decision.serving.served
    titles = titles_of(decision.frontier.points)
    labels = {
        (
            named(served.table.iloc[row], titles),
            served.table["kind"][row],
            in_words(served.table["weights"][row]),
        ): row
        for row in range(len(served))
    }
    points = {model.name: model.point for model in decision.verdict.models}
    for title, headers, rows in printed(decision):
        for cells in rows:
            by_header = dict(zip(headers, cells, strict=True))
            if "as measured" in title:
                row = labels[by_header["point"], by_header["score"], by_header["weights"]]
                for outcome in served.names:
                    text = next(
                        text
                        for header, text in by_header.items()
                        if header.startswith(f"{outcome}, % of")
                    )
                    add_text(
                        numbers,
                        ("served", "test", "all", outcome, row),
                        ("gain", "gain_low", "gain_high"),
                        text,
                    )
            elif title.startswith("over "):
                assert "expected" in title
                for outcome in served.names:
                    add_text(
                        numbers,
                        ("model", points[cells[0]], outcome),
                        ("value", "low", "high"),
                        by_header[outcome],
                    )
                add_text(
                    numbers,
                    ("model", points[cells[0]], "utility"),
                    ("value", "low", "high"),
                    cells[1],
                )
            elif cells[0] in served.names:
                assert "expected" in title
                last = (
                    by_header.get("both")
                    or by_header.get("model alone")
                    or by_header["weights alone"]
                )
                add_text(numbers, ("expected", cells[0]), ("value", "low", "high"), last)
            elif "at least" not in cells[0] and "the same" not in cells[0]:
                last = (
                    by_header.get("both")
                    or by_header.get("model alone")
                    or by_header["weights alone"]
                )
                add_text(numbers, ("expected over all",), ("value", "low", "high"), last)


def add_text(numbers, name, parts, text):
    """Those of `+3.2% (+2.1 to +4.4)`, in per cent with one digit."""
    for part, number in zip(parts, re.findall(r"[+-][\d,.]+", text), strict=True):
        numbers.add((*name, part), float(number.replace(",", "")) / 100, "terminal", step=0.001)


def printed(decision):
    """Title, headers and rows of each table."""
    tables = []

    def keep(headers, rows, title="", *more):
        tables.append((title, list(headers), [list(row) for row in rows]))

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
        patch.setattr("bench.app.cli.fronts.print_table", keep)
        show_verdict(decision)
        print_served(decision, "served front", full=True)
    return tables


def of_mlflow(numbers, front, decision):
    """Those of the parent run, of its trials, and of its tables."""
    pick = decision.pick
    for metric in front.values:
        outcome, _, part = metric.name.removeprefix("chosen/").rpartition(".")
        if metric.name.startswith("chosen/") and part == "expected_gain":
            numbers.add(("expected", outcome, "value"), metric.value, "mlflow")
        elif metric.name.startswith("chosen/") and part == "gain":
            numbers.add(
                ("served", "test", "all", outcome, pick.row, "gain"), metric.value, "mlflow"
            )
        elif metric.name.startswith("chosen/"):
            outcome = metric.name.removeprefix("chosen/")
            numbers.add(
                ("served", "test", "all", outcome, pick.row, "value"), metric.value, "mlflow"
            )
        elif metric.name == "front.hypervolume":
            numbers.add(("hypervolume of heads",), metric.value, "mlflow")
    for file, kind in (("serving_front.json", "served"), ("frontier.json", "heads")):
        table = pd.DataFrame(
            **{key: json.loads(front.files[file])[key] for key in ("columns", "data")}
        )
        ledger = decision.serving.served if kind == "served" else decision.frontier
        of_wide(numbers, table, kind, ledger)


def of_wide(numbers, table, front, ledger):
    """Those of a table with a row for each point, whose columns are `test/click.auc.gain_low`."""
    rows = rows_of(ledger)
    for point in table.to_dict("records"):
        row = rows[key_of(point)]
        for measure in ledger.names:
            for split in ("valid", "confirm", "test"):
                for part in PARTS:
                    column = f"{split}/{measure}" + ("" if part == "value" else f".{part}")
                    numbers.add(
                        (front, split, "all", measure, row, part),
                        point.get(column),
                        "mlflow",
                        step=1e-9,
                    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("same")
    unpack(folder)
    return folder


@pytest.mark.parametrize("run", RUNS)
def test_a_number_is_the_same_everywhere(home, run, tmp_path):
    result = load_run(run, home).found
    decision = result.decision
    numbers = Numbers()
    decision.cells.to_parquet(tmp_path / "cells.parquet")
    ledgers = {"heads": decision.frontier, "served": decision.serving.served}
    cells_of(numbers, read_cells(tmp_path / "cells.parquet"), ledgers)
    document = json.loads(json.dumps(result.document))
    of_document(numbers, document, decision.serving.served)
    numbers.add(("hypervolume of heads",), document["hypervolume"]["value"], "json")
    overall = document["verdict"]["both"]["utility"]
    if (
        decision.verdict.anchors
    ):  # then the answer is the mean over several ways to weigh the outcomes
        overall = document["verdict"]["anchors"]["on average"]
    for part in ("value", "low", "high"):
        numbers.add(("expected over all", part), overall[part], "json")
    of_page(numbers, section_data(section_of(result)))
    of_terminal(numbers, decision)
    of_mlflow(numbers, front_of(result, {}, "experiment", "run"), decision)
    surfaces = {"json", "page", "terminal", "mlflow"}
    if decision.serving.served.today:  # else a plan expects nothing
        surfaces.add("plan")
        expected = planned(decision)["expected"]
        for part in ("value", "low", "high"):
            numbers.add(("expected over all", part), expected[part], "plan")
    assert numbers.compared == surfaces


def test_two_numbers_of_one_name_are_found():
    numbers = Numbers()
    numbers.add(("click", "gain"), 0.1234, "json")
    numbers.add(("click", "gain"), 0.123, "terminal", step=0.001)
    with pytest.raises(AssertionError, match="page"):
        numbers.add(("click", "gain"), 0.1251, "page", digits=6)
