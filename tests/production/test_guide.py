"""Every command of docs/guide-deploy.md runs, in order, on a log of one's own; the server is started and stopped."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from server import served

from bench.cli import main
from bench.runs.deploy import open_model

GUIDE = Path(__file__).parents[2] / "docs" / "guide-deploy.md"
ROWS = 2000


def write_log(path):
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 40, ROWS), rng.integers(0, 20, ROWS)
    price = rng.normal(10, 3, ROWS).round(2)
    click = rng.random(ROWS) < 1 / (1 + np.exp(-(np.sin(users) + np.cos(items))))
    buy = click & (rng.random(ROWS) < 1 / (1 + np.exp(-(1 - (price - 10) / 2))))
    days = np.arange(ROWS) * 30 // ROWS + 1
    lines = ["user,item,price,day,click,buy,todays_score"]
    for u, i, p, d, c, b in zip(users, items, price, days, click.astype(int), buy.astype(int), strict=True):
        lines.append(f"u{u},i{i},{p},{d},{c},{b},{p - 2 * np.sin(u) - 2 * np.cos(i):.3f}")  # worse than chance
    path.write_text("\n".join(lines) + "\n")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)


def files():
    """The files that the guide shows, by name."""
    return dict(re.findall(r"^```toml (\S+)\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S))


@pytest.fixture
def say(capsys):
    def run(command):
        capsys.readouterr()
        code = main(shlex.split(command)[1:])
        out, err = capsys.readouterr()
        assert code == 0, f"{command}\n{out}\n{err}"
        return out

    return run


@pytest.mark.slow  # half a minute: a search, two deployments and a server
def test_every_command_of_the_guide(tmp_path, monkeypatch, say):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="the extra `serve`")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    write_log(tmp_path / "log.csv")
    (request,) = blocks("json")
    for name, content in files().items():
        (tmp_path / name).write_text(content)
    commands = [line[2:] for block in blocks("console") for line in block.splitlines()]
    answers: dict[str, tuple[int, Any]] = {}
    serving = next(command for command in commands if command.startswith("mlflow "))
    model = re.search(r"-m (\S+)", serving)
    said: dict[str, str] = {}
    for command in commands:
        if command.startswith("seesaw "):
            said[command] = say(command)
        elif command.startswith("curl "):
            uri = f"sqlite:///{tmp_path / '.seesaw' / 'mlflow.db'}"
            with served(model[1], tmp_path / "server.log", uri) as server:
                answers["good"] = server.ask(json.loads(request))
                bad = json.loads(request)
                bad["dataframe_records"][1]["price"] = "cheap"
                answers["bad"] = server.ask(bad)
    assert answers["good"][0] == 200
    for row in answers["good"][1]["predictions"]:
        assert list(row) == ["click", "buy.cvr", "buy.ctcvr", "score"]
    package = open_model(tmp_path / ".seesaw", "shop/1")
    offline = package.scorer().predict(json.loads(request)["dataframe_records"])
    np.testing.assert_allclose(pd.DataFrame(answers["good"][1]["predictions"]), offline, atol=1e-5)
    assert answers["bad"][0] == 400
    assert "row 2: 'price': expected a number, found 'cheap'" in answers["bad"][1]["message"]
    scores = pq.read_table(tmp_path / "scores" / "log-00000.parquet")
    assert scores.num_rows == ROWS
    assert scores.column_names == ["user", "item", "click", "buy.cvr", "buy.ctcvr", "score"]
    promoted = said["seesaw deploy shop --promote"]
    assert "shop: champion moves from version 1 to 2" in promoted
    assert "shop: previous moves to version 1" in promoted
    assert "shop: champion moves from version 2 to 1" in said["seesaw deploy shop --rollback"]
    evaluated = next(each for each in said.values() if each.startswith("shop@champion against column:todays_score: "))
    assert "kept: buy.recall@10% < -1%: the gain is +" in evaluated
    assert any("eager: probabilities differ by at most" in text for text in said.values())
