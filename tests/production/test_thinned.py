"""A log without nine of ten negatives, from its card to a package: its probabilities are those of all rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from serving_toys import raw_rows

from bench.core.objectives import parse
from bench.data import load_card, parse_card, prepare
from bench.frontier.retraining import Length, Retraining
from bench.production.evaluation import judge, judgements
from bench.production.package import Parts, write_package
from bench.production.retrain import PartOrder, RetrainSpec, retrain
from bench.system.progress import Silent

FUNNEL = "synthetic-funnel@rows=60000,items=40,users=60"
RATE = 0.1
CONFIG: dict[str, Any] = {
    "sharing.kind": "shared_bottom",
    "embedding.dim": 4,
    "tower.layers": "16",
    "optim.epochs": 8.0,
    "optim.batch_size": 256,
    "optim.lr": 0.003,
}


def logs(folder):
    """Folders with all rows, with those left at one rate, and at a rate of their own.

    `shared` depends on the click, given all inputs.
    """
    table = raw_rows(FUNNEL)
    rng = np.random.default_rng(0)
    click, many = table["click"].to_numpy(), len(table)
    shared = (rng.random(many) < np.where(click == 1, 0.6, 0.1)).astype(int)
    rate = np.where(table["scenario"].to_numpy() == 0, RATE, 2 * RATE)
    for name, column in (("shared", shared), ("kept", np.where(click == 1, 1.0, rate)), ("row", np.arange(many))):
        table = table.append_column(name, pa.array(column))
    drawn = rng.random(many)
    kept = {
        "all": np.ones(many, bool),
        "number": (click == 1) | (drawn < RATE),
        "column": (click == 1) | (drawn < rate),
    }
    places = {}
    for name, rows in kept.items():
        (folder / name).mkdir()
        csv.write_csv(table.filter(pa.array(rows)), folder / name / "log.csv")
        places[name] = folder / name
    return places


def card_of(**keys):
    drawn = load_card(FUNNEL)
    columns = {name: column.model_dump(by_alias=True) for name, column in drawn.columns.items()}
    tasks = [
        {"name": "click", "column": "click"},
        {"name": "purchase", "column": "purchase", "parent": "click"},
        {"name": "shared", "column": "shared"},
    ]
    own = {"id": "thinned", "title": "-", "licence": "-", "citation": "-", "homepage": "-", "columns": columns}
    own |= {"reader": {"kind": "csv"}, "files": [{"name": "log.csv"}], "tasks": tasks}
    return parse_card(own | {"split": {"kind": "hash", "column": "row", "valid": 0.4, "test": 0.2}} | keys, "here")


@pytest.mark.slow
@pytest.mark.parametrize(("log", "rate", "funnel"), [("number", RATE, "entire_space"), ("column", "kept", "direct")])
def test_a_package_predicts_for_all_rows(tmp_path, log, rate, funnel):
    places = logs(tmp_path)
    card = card_of(sampling={"task": "click", "rate": rate})
    store = prepare(card, tmp_path / "home", places[log])
    objectives = (parse("click.logloss", store.schema.tasks, "here"),)
    options = Retraining(seeds=1, held_out=0.2)
    whole = (1.0,) * len(store.schema.tasks)
    part = PartOrder(CONFIG | {"funnel.kind": funnel}, Length(), whole)
    spec = RetrainSpec(card, store, (part,), objectives, options)
    made = retrain(spec, tmp_path / "work", {})

    members = [member.parts for member in made.members]
    rows = (np.array(store.split("valid").ids[:64]), np.array(store.split("valid").dense[:64]))
    parts = Parts(store.key, store.schema, made.parts, members, store.encoder, rows, calibrations=made.calibrations)
    scorer = write_package(parts, tmp_path / "package", onnx=False).scorer()
    whole = judge(card_of(), tmp_path / "home", places["all"], "test", [scorer], Silent())
    thinned = judge(card, tmp_path / "home", places[log], "test", [scorer], Silent())
    found, told = (
        {each.metric: each.estimate for each in judgements(judged, store.schema, resamples=200, confidence=0.99)}
        for judged in (whole, thinned)
    )
    for name in ("click", "purchase.cvr", "purchase.ctcvr", "shared"):
        # Held out were about as many thinned rows as there are in test, so the calibrations are as sure as test is.
        about = told[f"{name}.pcoc"]
        reach = (about.high - about.low) / 2
        assert found[f"{name}.pcoc"].value == pytest.approx(1, abs=reach), name
        for metric in ("pcoc", "auc", "logloss"):  # thinned rows tell what all rows do
            own = told[f"{name}.{metric}"]
            assert own.low < found[f"{name}.{metric}"].value < own.high, (name, metric)
        assert made.calibrated[f"test/{name}.pcoc"] == pytest.approx(about.value, rel=1e-4)
