"""An export of a run's kept predictions gives that run's front, pick and verdict, number for number."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from remake import unpack

import bench
from bench.core.formula import read
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.measure.predictions import FOLDER, read_rows
from bench.results.fusion import Fusion, fusion_in
from bench.runs.result import candidates_of


def exported(part, front):
    """The log, and what is asked of it."""
    folder = part.folder / FOLDER
    rows = {split: read_rows(folder, split) for split in (SEARCH, CONFIRM, TEST)}
    facts = rows[CONFIRM]
    candidates, tables = candidates_of(folder, front.points, part.objectives, facts), []
    models = {
        (f"{each.id}#{seed}" if len(each.seeds) > 1 else each.id): [f"{each.id}#{seed}.{task}" for task in facts.tasks]
        for each in candidates for seed in each.seeds
    }  # fmt: skip
    for split, own in rows.items():
        columns: dict[str, Any] = {"part": split, "ts": 0 if split != TEST else 1}
        columns |= {name: own.labels[:, at] for at, name in enumerate(own.tasks)}
        for each in candidates:
            for run, seed in enumerate(each.seeds):
                said = each.predictions(split, run)
                columns |= {f"{each.id}#{seed}.{task}": said[:, at] for at, task in enumerate(own.tasks)}
        if (own.group >= 0).any():
            columns["group"] = own.group
        for at, (name, values) in enumerate(own.segments.items()):
            columns[name] = np.array([*values, None], dtype=object)[own.codes[:, at]]
        tables.append(pd.DataFrame(columns | own.logged))
    table = pd.concat(tables, ignore_index=True)
    asked = {
        "labels": list(facts.tasks), "models": models, "part": "part", "time": "ts", "unseen": True,
        "parents": {task.name: task.parent for task in part.tasks if task.parent}, "joint": [],
        "rates": dict(zip(facts.tasks, facts.rates, strict=True)), "segments": list(facts.segments),
        "seed": part.run.request.seed, "baselines": [each.id for each in candidates if each.role == "baseline"],
        "recalibrate": False,
    }  # fmt: skip
    asked["joint"] = list(asked["parents"])
    return table, asked | ({"group": "group"} if "group" in table else {})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The stored runs."""
    folder = tmp_path_factory.mktemp("home")
    unpack(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "more"),
    [
        pytest.param("two", {"today": "current", "weights": "click^2 * like^1"}, marks=pytest.mark.slow),
        pytest.param("four", {"score": "today"}, marks=pytest.mark.slow),
        pytest.param("three", {"today": "single_task"}, marks=pytest.mark.slow),
        pytest.param("five", {"today": "single_task"}, marks=pytest.mark.slow),
        ("watched", {"today": "single_task"}),
    ],
)
def test_an_export_of_a_run_gives_its_front_and_verdict(home, name, more):
    run = bench.load_run(name, home)
    result = run.decision
    table, asked = exported(result.run, result.frontier)
    if "weights" in more:
        first = next(columns for model, columns in asked["models"].items() if model.startswith("current"))
        text = " * ".join(f"{column}^{weight}" for column, weight in zip(first, (2, 1), strict=True))
        more = more | {"weights": text}
    found = bench.decide(table, **asked, **more).decision
    ours, theirs = found.serving.served, result.serving.served
    ids = {"score": "current"} if name == "four" else {}
    assert [ids.get(each, each) for each in ours.table["point"]] == theirs.table["point"].tolist()
    assert ours.table["weights"].tolist() == theirs.table["weights"].tolist()
    assert ours.cells.keys() == theirs.cells.keys()
    for key, cells in ours.cells.items():
        np.testing.assert_allclose(cells, theirs.cells[key], rtol=1e-9, equal_nan=True, err_msg=str(key))
    for split, draws in ours.draws.items():
        np.testing.assert_array_equal(draws, theirs.draws[split])
    mine, other = found.verdict, result.verdict
    assert (mine.kind, mine.row, found.pick.row) == (other.kind, other.row, result.pick.row)
    assert mine.changes == other.changes
    assert (mine.weights, mine.model) == (other.weights, other.model)


@pytest.mark.parametrize(
    "name", ["two", "watched", *(pytest.param(n, marks=pytest.mark.slow) for n in ("three", "five"))]
)
def test_every_answer_of_a_run_is_read_as_the_fusion_of_its_point(home, name):
    """To the three digits that weights are written with."""
    decision = bench.load_run(name, home).decision
    served, rates = decision.serving.served, list(decision.serving.rates.values())
    names = decision.terms_of("")
    for kind, weights, formula in zip(served.table["kind"], served.table["weights"], decision.formulas, strict=True):
        found = fusion_in(read(formula, ""), names)
        scale = rates if found[0] == "sum" else [1.0] * len(rates)
        again = Fusion.of(found[0], np.multiply(found[1], scale).tolist())
        assert again.kind == kind
        assert again.weights == pytest.approx([*weights.values()], rel=0.01)
