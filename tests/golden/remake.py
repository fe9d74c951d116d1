"""Makes the stored runs, and the values that are read off them.

    python tests/golden/remake.py runs      # trains anew: other values on another machine
    python tests/golden/remake.py values    # of the runs that are stored; and of short trainings and commands

`runs.tar.xz` has what small runs leave on disk. `values.json.xz` has all that is computed from them: pick, verdict,
what the page draws, comparisons, metrics of MLflow, and what two rankings of kept predictions are worth against each
other. `said.txt` has what commands say, `short.json` what short trainings give. A change that moves code and changes no
estimator changes no value; `test_golden.py` holds all together.
"""

import base64
import dataclasses
import hashlib
import io
import json
import lzma
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RUNS, VALUES = HERE / "runs.tar.xz", HERE / "values.json.xz"
SHORT, SAID = HERE / "short.json", HERE / "said.txt"

CARD = """
id = "{name}"
title = "A made-up log"
licence = "none"
citation = "none"
homepage = "https://example.org"
time = "day"
{more}
[reader]
kind = "csv"

[[files]]
name = "log.csv"

[split]
kind = "time"
train = {{ last = 12 }}
valid = {{ first = 13, last = 21 }}
test = {{ first = 22 }}

{tasks}
[columns]
user = "categorical"
item = "categorical"
price = "numeric"
"""
SCENARIO = """
[segments.scenario]
column = "scenario"
[segments.country]
column = "country"
"""
SUITE = """
title = "Golden"
space = "{space}"
[[datasets]]
id = "{card}"
[budget]
{budget}
[search]
sampler = "random"
tries = 1
[confirm]
{confirm}
"""
SPACE = """
title = "Three ways of sharing"
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
[parameters."sharing.kind".branches.mmoe]
"sharing.mmoe.experts" = { type = "int", low = 2, high = 3, default = 2 }
[parameters."balancing.kind"]
type = "switch"
default = "static"
[parameters."balancing.kind".branches.static]
"balancing.static.weight" = { type = "simplex", spread = 4 }
[parameters."balancing.kind".branches.pcgrad]
"""
CURRENT = """
[config]
"sharing.kind" = "shared_bottom"
"optim.epochs" = 2
"optim.batch_size" = 64
"embedding.dim" = 4
"tower.layers" = "8"
[score]
weights = { click = 2, like = 1 }
"""
CONFIRM = """replicates = 2
limit = 3
budget = 8
kinds = true
baselines = ["single_task", "equal_weights", "trees"]"""
BY_RUNGS = "lengths = 4"


@dataclasses.dataclass(frozen=True)
class Made:
    """One run: its tasks, with their parents, and what is special about it."""

    tasks: Mapping[str, str]
    card: str = ""
    current: str = ""
    budget: str = "trials = 8"
    confirm: str = CONFIRM
    like: str = ""  # the run whose card and raw file it has
    rows: int = 1_500


MADE = {
    "two": Made({"click": "", "like": ""}, current="config"),
    "packaged": Made({"click": "", "like": ""}, current="package", budget="trials = 4", like="two"),
    "three": Made({"click": "", "buy": "click", "like": ""}, card=f'group = "user"\n{SCENARIO}'),
    "four": Made({"click": "", "like": "", "share": "", "follow": ""}, card='logged = ["today"]', current="column"),
    "five": Made({"click": "", "buy": "click", "like": "", "share": "", "follow": ""}),
    "watched": Made({"click": "", "watch": "click"}, card='group = "user"'),
    "alone": Made({"click": ""}),
    "unconfirmed": Made({"click": "", "like": ""}, confirm="replicates = 0"),
    "rungs": Made({"click": "", "like": "", "share": ""}, budget=BY_RUNGS, card=f'group = "user"\n{SCENARIO}'),
}
LEFT_OUT = ("report.html", "package", "cells.parquet", "picked.json", "picked.toml", "served.json")
LEFT_OUT += ("served.npz", "mlflow.json")
"""What is made of the rest, or is no input of it."""
FEW = 40
"""Resamples, so that the runs are small."""
LONG = 1_000
"""Longer texts, such as packed draws, are kept by their digest."""


def write_log(folder, made):
    """The raw file: labels of one or two users' and items' factors, by whole numbers alone."""
    rng = np.random.default_rng(49)
    rows = made.rows
    users, items = rng.integers(0, 40, rows), rng.integers(0, 25, rows)
    price = rng.integers(100, 2_000, rows)
    taste = {
        task: (rng.integers(-3, 4, 40), rng.integers(-3, 4, 25)) for task in ("click", "buy", "like", "share", "follow")
    }
    columns: dict[str, Any] = {
        "user": [f"u{each}" for each in users],
        "item": [f"i{each}" for each in items],
        "price": price / 100,
        "day": np.arange(rows) * 30 // rows + 1,
        "scenario": users % 3,
        "country": [("US", "DE", "FR")[each % 3] for each in users // 3],
    }
    for place, (task, (of_user, of_item)) in enumerate(taste.items()):
        liking = of_user[users] + of_item[items] - (price > 1_000 + 100 * place) - place // 2
        columns[task] = (rng.integers(-4, 5, rows) < liking).astype(int)
    columns["buy"] &= columns["click"]
    columns["watch"] = np.where(columns["click"] == 1, 5 + 3 * taste["like"][1][items] + rng.integers(0, 20, rows), 0)
    columns["watch"] = np.maximum(columns["watch"], 0)
    columns["today"] = -price / 7
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(folder / "log.csv", index=False)


def task_text(name, parent):
    """A task of the card."""
    kind = '\nkind = "regression"' if name == "watch" else ""
    of = f'\nparent = "{parent}"' if parent else ""
    return f'[[tasks]]\nname = "{name}"\ncolumn = "{name}"{kind}{of}\n'


def train(home, runs=MADE):
    """The runs."""
    from bench.cli import main
    from bench.runs import execute

    execute.RESAMPLES = FEW
    folder = home / "content"
    folder.mkdir(parents=True)
    space = folder / "space.toml"
    space.write_text(SPACE)
    (folder / "current.toml").write_text(CURRENT)
    (folder / "column.toml").write_text('column = "today"\n')
    for name, made in runs.items():
        own = made.like or name
        write_log(folder / own, made)
        card, suite = folder / f"{own}.toml", folder / f"{name}-suite.toml"
        tasks = "\n".join(task_text(*each) for each in made.tasks.items())
        card.write_text(CARD.format(name=own, more=made.card, tasks=tasks))
        suite.write_text(SUITE.format(space=space, card=card, budget=made.budget, confirm=made.confirm))
        package = next((home / "runs" / "two").rglob("package"), home)
        current = {"config": folder / "current.toml", "column": folder / "column.toml", "package": package}
        words = ["run", suite, "--raw", folder / own, "--name", name, "--home", home, "--executor", "inline"]
        words += ["--current", current[made.current]] if made.current else []
        check(main([str(word) for word in words]))
        if name == "two":
            check(main(["deploy", name, "--home", str(home)]))


def check(code):
    """Ends where a command failed."""
    if code:
        raise SystemExit(code)


def pack(home):
    """Stores what the runs left."""
    with tarfile.open(RUNS, "w:xz", preset=9) as archive:
        for path in sorted(home.glob("runs/**/*")):
            parts = path.relative_to(home).parts
            if path.is_file() and not set(parts) & set(LEFT_OUT):
                info = tarfile.TarInfo("/".join(parts))
                data = path.read_bytes()
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def unpack(home):
    """The stored runs, in a home."""
    with tarfile.open(RUNS) as archive:
        archive.extractall(home, filter="data")


def values(home):
    """By run all that is computed from what it left; and comparisons of runs on the same data."""
    return {name: values_of(home, name) for name in (*MADE, "packaged and two")}


def short(home):
    """What short trainings, jobs of every kind and a small design give, and which jobs a run asks for."""
    from searching import searched
    from short_trainings import configurations, designed, jobs, trained

    found = {name: trained(*each) for name, each in configurations().items()}
    return {"trainings": found, "jobs": jobs(home / "jobs"), "designed": designed(home), "searched": searched(home)}


def values_of(home, name):
    """Those of one run, or of a comparison of two."""
    return _plain(_read(home, name)) if name in MADE else _compared(home, *name.split(" and "))


def _read(home, name):
    from bench.api import load_run
    from bench.report.embed import section_data
    from bench.runs.page import view_of
    from bench.runs.reporting import front_of
    from bench.tracking.values import runs_of

    result = load_run(name, home).decision
    front = front_of(result, {}, "experiment", "run")
    logged = {str(number): (on[0], on[1]) for number, on in front.placed.items()}
    page = section_data(view_of(result))
    if page["decision"]:  # their last bit is the processor's: no digest
        drawn = np.frombuffer(base64.b64decode(page["decision"]["retrained"]), "<f4").astype(float)
        page["decision"]["retrained"] = [len(drawn), float(drawn.sum())]
    return {
        "pick": result.pick.to_json() if result.pick else result.no_pick,
        "verdict": result.verdict.to_json(),
        "readings": result.readings,
        "frontier": result.frontier.to_json(),
        "page": page,
        "mlflow": [{each.name: each.value for each in front.values}, front.tags, logged],
        "mlflow trials": [
            [wanted.name, wanted.tags, wanted.values] for each in result.records for wanted in runs_of(each)
        ],
        "compare": {by: _compared(home, name, by=by) for by in ("sharing", "balancing")},
        "evaluate": _evaluated(result),
    }


def _compared(home, *names, by="sharing"):
    from bench.core.errors import UserError
    from bench.runs.comparing import compare_runs
    from bench.runs.folder import Run

    try:
        return _plain(compare_runs([Run.open(home, name) for name in names], by).to_json())
    except UserError as error:
        return str(error)


def _evaluated(result):
    """The kept predictions of the first two confirmed points against each other, as two packages' would be."""
    from bench.core.rows import TEST
    from bench.core.schema import SCORE, Schema
    from bench.frontier.score import prediction_names
    from bench.measure.predictions import FOLDER, name_of, predictions, read_rows
    from bench.production.evaluation import Judged, judgements, served
    from bench.results.points import confirmed

    folder = result.run.folder / FOLDER
    points = [each for each in result.frontier.points if confirmed(each) and each.kind == "trial"][:2]
    if len(points) < 2:
        return None
    rows = read_rows(folder, TEST)
    schema = Schema((), (), tuple(result.run.tasks))
    said = []
    for point in points:
        joint = predictions(folder, TEST, name_of(point.training, point.replicates[0].replicate)).astype(np.float64)
        own: dict[str, Any] = {SCORE: joint.mean(axis=1)}
        for at, task in enumerate(schema.tasks):
            parent = schema.parents[at]
            given = joint[:, at] if parent is None or parent < 0 else joint[:, at] / joint[:, parent]
            own |= dict(zip(prediction_names(task), (given, joint[:, at]), strict=False))
        said.append(own)
    judged = Judged(rows.labels, tuple(said), rows.group.astype(np.int64))
    found = [*served(judged, schema, (), 50), *judgements(judged, schema, 50)]
    return {each.metric: [each.estimate, each.other, each.difference, each.verdict] for each in found}


def _plain(value):
    """As JSON has it: numbers, texts, lists and dicts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [_plain(each) for each in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, str) and len(value) > LONG:
        return f"{len(value)} characters, {hashlib.sha256(value.encode()).hexdigest()}"
    return value


def write_values(home):
    """Writes them down."""
    from options import commands, said

    VALUES.write_bytes(lzma.compress(json.dumps(values(home), sort_keys=True).encode(), preset=9))
    SAID.write_text(as_text({command: said(home, command) for command in commands()}))
    found = {name: _rounded(each) for name, each in short(home).items()}
    SHORT.write_text(_in_lines(found) + "\n")


def _rounded(value):
    """Numbers in seven digits, more than repeat elsewhere."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _in_lines(found):
    """JSON with a line for each entry of each part, so that a difference shows what has changed."""
    parts = []
    for name, each in found.items():
        own = each.items() if isinstance(each, dict) else enumerate(each)
        lines = [(f"{json.dumps(key)}: " if isinstance(each, dict) else "") + json.dumps(value) for key, value in own]
        ends = "{}" if isinstance(each, dict) else "[]"
        parts.append(f"{json.dumps(name)}: {ends[0]}\n" + ",\n".join(lines) + f"\n{ends[1]}")
    return "{\n" + ",\n".join(parts) + "\n}"


def as_text(found):
    """Commands with their exit codes and what they say, as one reads them."""
    return "".join(f"$ {command}\n[{code}]\n{text.rstrip()}\n\n" for command, (code, text) in found.items())


def read_values():
    """As they were written down."""
    found: dict[str, Any] = json.loads(lzma.decompress(VALUES.read_bytes()))
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1] == "runs":
            train(Path(folder))
            pack(Path(folder))
        else:
            unpack(Path(folder))
            write_values(Path(folder))
