"""A small data set of one's own, and a way to call the command line in this process."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from bench.app.cli import main

CARD = """
id = "shop"
title = "A shop's log"
licence = "none"
citation = "none"
homepage = "https://example.org"
post_exposure = ["dwell"]
time = "day"
reader = { kind = "csv" }
files = [{ name = "log.csv" }]

[split]
kind = "time"
train = { last = 20 }
valid = { first = 21, last = 25 }
test = { first = 26 }

[[tasks]]
name = "click"
column = "click"

[[tasks]]
name = "buy"
column = "buy"
parent = "click"

[columns]
user = "categorical"
item = "categorical"
price = "numeric"
"""

SPACE = """
title = "Two ways of sharing"
[fixed]
"optim.epochs" = 2
"optim.batch_size" = 64
"embedding.dim" = 4
"tower.layers" = "8"
[parameters."optim.lr"]
type = "float"
low = 1e-3
high = 1e-2
log = true
default = 5e-3
[parameters."sharing.kind"]
type = "switch"
default = "shared_bottom"
[parameters."sharing.kind".branches.single_task]
"sharing.single_task.layers" = { type = "choice", options = ["8", "16"], default = "8" }
[parameters."sharing.kind".branches.shared_bottom]
"sharing.shared_bottom.layers" = { type = "choice", options = ["8", "16"], default = "8" }
"""

SUITE = """
title = "The shop"
space = "{space}"
[[datasets]]
id = "{card}"
objectives = ["click.auc", "buy.ctcvr.auc"]
[budget]
trials = 6
[search]
tries = 1
[confirm]
replicates = 2
limit = 2
baselines = ["single_task"]
"""


SMALL = """
title = "Small"
space = "quick"
[[datasets]]
id = "synthetic-funnel@rows=2000"
[budget]
trials = 3
[search]
sampler = "random"
tries = 0
[confirm]
replicates = 2
limit = 3
budget = 6
baselines = ["single_task", "equal_weights"]
[set]
"optim.epochs" = 1
"""


TRAINER = """
name = "counts"
command = ["python", "train.py"]
seconds = 60
[rungs]
unit = "rows"
[parameters.prior]
type = "float"
low = 1.0
high = 100.0
default = 10.0
log = true
[parameters.by]
type = "choice"
options = ["item", "user"]
default = "item"
"""
PROGRAM = """
import json, sys
import pandas as pd
job = json.load(open(sys.argv[1]))
by, prior = job["config"]["by"], job["config"]["prior"]
train = pd.read_parquet(job["rows"]["train"]).sample(frac=0.8, random_state=job["seed"] % 2**31)
for split in job["predict"]:
    rows = pd.read_parquet(job["rows"][split])
    columns = {"row": rows["row"]}
    for task in job["tasks"]:
        label = train[task["name"]]
        sums = label.groupby(train[by]).agg(["sum", "count"])
        rates = (sums["sum"] + prior * label.mean()) / (sums["count"] + prior)
        columns[task["name"]] = rows[by].map(rates).fillna(label.mean())
    pd.DataFrame(columns).to_parquet(job["answer"][split])
"""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


class Shop:
    """A folder with a card, its raw file, a space and a suite."""

    def __init__(self, folder):
        self.folder, self.card, self.suite = folder, folder / "card.toml", folder / "suite.toml"
        self.raw, self.log = folder / "raw", folder / "raw" / "log.csv"

    def edit(self, file, old, new):
        text = file.read_text()
        assert old in text, f"{old!r} is not in {file.name}"
        file.write_text(text.replace(old, new))

    def run(self, seesaw, name, *more, executor="inline"):
        said = seesaw(
            "run",
            self.suite,
            "--raw",
            self.raw,
            "--name",
            name,
            "--executor",
            executor,
            "--json",
            *more,
        )
        assert said.code == 0, said.err
        return dict(json.loads(said.out))

    def write_log(self, rows=800, seed=0, today=False):
        """The raw file; `today` adds today's score: cheap items first, and none in every tenth
        row.
        """
        rng = np.random.default_rng(seed)
        users, items = rng.integers(0, 12, rows), rng.integers(0, 9, rows)
        price = rng.normal(10, 3, rows).round(2)
        click = rng.random(rows) < 1 / (1 + np.exp(-(np.sin(users) + np.cos(items))))
        buy = click & (rng.random(rows) < 1 / (1 + np.exp(-(1 - (price - 10) / 2))))
        lines = ["user,item,price,day,dwell,click,buy" + ",today" * today]
        for at, (u, i, p, c, b) in enumerate(zip(users, items, price, click, buy, strict=True)):
            score = f",{'' if at % 10 == 0 else -p}" * today
            lines.append(f"u{u},i{i},{p},{at * 30 // rows + 1},1,{c:d},{b:d}{score}")
        self.log.write_text("\n".join(lines) + "\n")


def open_shop(folder):
    made = Shop(folder)
    made.raw.mkdir(parents=True)
    made.card.write_text(CARD)
    (made.folder / "space.toml").write_text(SPACE)
    made.suite.write_text(SUITE.format(space=made.folder / "space.toml", card=made.card))
    made.write_log()
    return made


@pytest.fixture
def shop(tmp_path):
    return open_shop(tmp_path / "shop")


@pytest.fixture
def trainer(shop):
    """The file of a trainer of counts."""
    (shop.folder / "train.py").write_text(PROGRAM)
    file = shop.folder / "trainer.toml"
    file.write_text(TRAINER)
    return file


@pytest.fixture(scope="module")
def module_shop(tmp_path_factory):
    """One for all tests of a module, which do not change it."""
    return open_shop(tmp_path_factory.mktemp("module") / "shop")


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A home with a small run on generated data, `kinds`: ways of sharing."""
    suite = tmp_path_factory.mktemp("suite") / "kinds" / "suite.toml"
    home = tmp_path_factory.mktemp("small")
    suite.parent.mkdir()
    suite.write_text(SMALL)
    assert (
        main(["run", str(suite), "--name", "kinds", "--home", str(home), "--executor", "inline"])
        == 0
    )
    return home


@pytest.fixture
def seesaw(tmp_path, capsys):
    """Runs a command with a home of the test's own."""

    def call(*arguments, home=tmp_path / "home"):
        capsys.readouterr()
        options = [] if home is None else ["--home", str(home)]
        code = main([str(argument) for argument in (*arguments, *options)])
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def interrupt(monkeypatch):
    """Has Ctrl-C come instead of an inline job's outcome, where what is given says so of the job's
    number from 1 on.
    """

    def install(when):
        from bench.search.executors.base import InlineExecutor

        go, jobs = InlineExecutor.next, 0

        def stops(self):
            nonlocal jobs
            jobs += 1
            if when(jobs):
                raise KeyboardInterrupt
            return go(self)

        monkeypatch.setattr(InlineExecutor, "next", stops)

    return install
