"""A log without three of four negatives, from its card to a package: its probabilities are those of all rows."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from data_toys import card_of
from serving_toys import raw_rows

from bench.core.objectives import parse
from bench.data import load_card, prepare
from bench.frontier.retraining import Length, Retraining
from bench.production.evaluation import judge, judgements
from bench.production.package import Parts, write_package
from bench.production.retrain import PartOrder, RetrainSpec, retrain
from bench.system.progress import Silent

FUNNEL = "synthetic-funnel@rows=20000"
CONFIG = {"sharing.kind": "shared_bottom", "embedding.dim": 4, "tower.layers": "8", "optim.lr": 0.005}


def card(**keys):
    columns = {name: column.model_dump(by_alias=True) for name, column in load_card(FUNNEL).columns.items()}
    tasks = [{"name": "click", "column": "click"}, {"name": "purchase", "column": "purchase", "parent": "click"}]
    split = {"kind": "hash", "column": "row", "valid": 0.4, "test": 0.3}
    files = {"reader": {"kind": "csv"}, "files": [{"name": "log.csv"}]}
    return card_of(**files, tasks=tasks, columns=columns, split=split, **keys)


@pytest.mark.parametrize("rate", [0.25, "kept"])
def test_a_package_predicts_for_all_rows(tmp_path, rate):
    table, rng = raw_rows(FUNNEL), np.random.default_rng(0)
    click, whole, thinned = table["click"].to_numpy(), tmp_path / "whole", tmp_path / "thinned"
    kept = np.where(click == 1, 1, 0.25 if rate == 0.25 else np.where(table["scenario"].to_numpy() == 0, 0.2, 0.5))
    table = table.append_column("kept", pa.array(kept)).append_column("row", pa.array(np.arange(len(table))))
    for folder, rows in ((whole, np.ones(len(table), bool)), (thinned, rng.random(len(table)) < kept)):
        folder.mkdir()
        csv.write_csv(table.filter(pa.array(rows)), folder / "log.csv")
    thin = card(sampling={"task": "click", "rate": rate})
    store = prepare(thin, tmp_path / "home", thinned)
    part, chosen = PartOrder(CONFIG, Length(), (1.0, 1.0)), Retraining(seeds=1, held_out=0.3)
    aims = (parse("click.logloss", store.schema.tasks, "here"),)
    made = retrain(RetrainSpec(thin, store, (part,), aims, chosen), tmp_path / "work", {})
    rows, members = (np.array(store.split("valid").ids[:9]), np.array(store.split("valid").dense[:9])), made.members
    parts = Parts(store.key, store.schema, made.parts, [each.parts for each in members], store.encoder, rows,
                  calibrations=made.calibrations)  # fmt: skip
    scorer = write_package(parts, tmp_path / "package", onnx=False).scorer()
    judged = [
        judge(own, tmp_path / "home", folder, "test", [scorer], Silent())
        for own, folder in ((card(), whole), (thin, thinned))
    ]
    found, told = ({each.metric: each.estimate for each in judgements(each, store.schema, 50, 0.99)} for each in judged)
    for name in ("click", "purchase.cvr", "purchase.ctcvr"):
        assert made.calibrated[f"test/{name}.pcoc"] == pytest.approx(told[f"{name}.pcoc"].value, rel=1e-4)
        assert found[f"{name}.pcoc"].value == pytest.approx(1, abs=0.2), name
        for metric in ("pcoc", "logloss"):  # thinned rows tell what all rows do
            own = told[f"{name}.{metric}"]
            assert own.low < found[f"{name}.{metric}"].value < own.high, (name, metric)
