"""Makes the stored runs, and the values that are read off them.

    python tests/golden/remake.py runs      # trains anew: other values on another machine python
    tests/golden/remake.py values    # of the runs that are stored; and of short trainings and
    commands

`runs.tar.xz` has what small runs leave on disk. `values/RUN.txt` has all that is computed from one
of them, a line a value: cells of both fronts, pick, verdict, plan, what the page draws,
comparisons, metrics of MLflow, and what two rankings of kept predictions are worth against each
other. `said.txt` has what commands say, `short.json` what short trainings give. A change that moves
code and changes no estimator changes no value; `test_golden.py` holds all together, and a
difference of these files says which number moved, from what to what.
"""

import base64
import dataclasses
import io
import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RUNS, VALUES = HERE / "runs.tar.xz", HERE / "values"
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
    "four": Made(
        {"click": "", "like": "", "share": "", "follow": ""},
        card='logged = ["today"]',
        current="column",
    ),
    "five": Made({"click": "", "buy": "click", "like": "", "share": "", "follow": ""}),
    "watched": Made({"click": "", "watch": "click"}, card='group = "user"'),
    "alone": Made({"click": ""}),
    "unconfirmed": Made({"click": "", "like": ""}, confirm="replicates = 0"),
    "rungs": Made(
        {"click": "", "like": "", "share": ""}, budget=BY_RUNGS, card=f'group = "user"\n{SCENARIO}'
    ),
}
NAMES = (*MADE, "packaged and two")
"""Runs, and a comparison of two, whose values are kept."""
NOTHING = 1e-12
"""Smaller numbers are zeros that were computed."""
LEFT_OUT = ("report.html", "package", "cells.parquet", "picked.json", "picked.toml", "served.json")
LEFT_OUT += ("served.npz", "mlflow.json")
"""What is made of the rest, or is no input of it."""
FEW = 40
"""Resamples, so that the runs are small."""
CELL = ("value", "low", "high", "gain", "gain_low", "gain_high", "sd")
"""Numbers of a cell, in the order of its line."""
FROM_CELLS = ("planes", "rows", "values", "costs", "row", "draws", "looks")
"""Parts of a page that repeat cells, or are drawings: `test_same_numbers.py` compares them with
cells.
"""


def write_log(folder, made):
    """The raw file: labels of one or two users' and items' factors, by whole numbers alone."""
    rng = np.random.default_rng(49)
    rows = made.rows
    users, items = rng.integers(0, 40, rows), rng.integers(0, 25, rows)
    price = rng.integers(100, 2_000, rows)
    taste = {
        task: (rng.integers(-3, 4, 40), rng.integers(-3, 4, 25))
        for task in ("click", "buy", "like", "share", "follow")
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
    columns["watch"] = np.where(
        columns["click"] == 1, 5 + 3 * taste["like"][1][items] + rng.integers(0, 20, rows), 0
    )
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
    from bench.app.cli import main
    from bench.app.runs import execute

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
        suite.write_text(
            SUITE.format(space=space, card=card, budget=made.budget, confirm=made.confirm)
        )
        package = next((home / "runs" / "two").rglob("package"), home)
        current = {
            "config": folder / "current.toml",
            "column": folder / "column.toml",
            "package": package,
        }
        words = [
            "run",
            suite,
            "--raw",
            folder / own,
            "--name",
            name,
            "--home",
            home,
            "--executor",
            "inline",
        ]
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


def short(home):
    """What short trainings, jobs of every kind and a small design give, and which jobs a run asks
    for.
    """
    from searching import searched
    from short_trainings import configurations, designed, jobs, trained

    found = {name: trained(*each) for name, each in configurations().items()}
    return {
        "trainings": found,
        "jobs": jobs(home / "jobs"),
        "designed": designed(home),
        "searched": searched(home),
    }


def values_of(home, name):
    """By name the values of one run, or of a comparison of two, as texts."""
    return dict(
        _lines(_plain(_read(home, name) if name in MADE else _compared(home, *name.split(" and "))))
    )


def _read(home, name):
    from bench.api import load_run
    from bench.app.report.embed import section_data
    from bench.app.report.plan_page import planned
    from bench.app.runs.reporting import front_of
    from bench.app.runs.run_page import section_of
    from bench.app.tracking.target_state import runs_of
    from bench.core.errors import UserError

    result = load_run(name, home).found
    document = result.document
    document.pop("points")  # as cells have them
    if "served" in document:
        document["served"] = {key: document["served"][key] for key in ("hypervolume", "readings")}
    front = front_of(result, {}, "experiment", "run")
    logged = {str(number): (on[0], on[1]) for number, on in front.placed.items()}
    try:
        plan = planned(result.decision)
        plan.pop("against")  # it names a file
        plan.pop("notes")
    except UserError as error:
        plan = str(error)
    return {
        "cells": _cells(result.decision.cells),
        "document": document,
        "plan": plan,
        "page": _page(section_data(section_of(result))),
        "mlflow": [{each.name: each.value for each in front.values}, front.tags, logged],
        "mlflow trial": {
            wanted.name: [wanted.tags, _last(wanted.values)]
            for wanted in runs_of(result.records[0])
        },
        "compare": {by: _compared(home, name, by=by) for by in ("sharing", "balancing")},
        "judged": _judged(result),
    }


def _cells(table):
    """By front, split, slice, measure and serving point the numbers of a cell; by point whether it
    is on the front.
    """
    found = {}
    for cell in table.to_dict("records"):
        point = " ".join(str(cell[key]) for key in ("name", "kind", "weights") if cell[key])
        place = "/".join((cell["front"], cell["split"], cell["slice"], cell["measure"], point))
        assert place not in found, f"two cells have one name: {place}"
        found[place] = [cell[key] for key in CELL]
        on_front = [bool(cell["on_front"]), cell["p_nondominated"]]
        found[f"{cell['front']}/on front/{point}"] = on_front
    return found


def _page(section):
    """What a page has beside cells."""
    spread = {
        plane: {
            split: [np.ravel(matrix).tolist() for matrix in matrices]
            for split, matrices in facts["spread"].items()
        }
        for plane, facts in section["planes"].items()
        if facts.get("spread")
    }
    decision = section["decision"] and dict(section["decision"])
    if decision:  # their last bit is the processor's: no digest
        drawn = np.frombuffer(base64.b64decode(decision["retrained"]), "<f4").astype(float)
        decision["retrained"] = [len(drawn), float(drawn.sum())]
        decision = {key: value for key, value in decision.items() if key not in FROM_CELLS}
    rest = {key: value for key, value in section.items() if key not in FROM_CELLS}
    return rest | {"spread": spread, "decision": decision}


def _last(values):
    """By metric how often it was logged, and its last value."""
    logged: dict[str, list[float]] = {}
    for each in values:
        logged.setdefault(each.name, []).append(each.value)
    return {name: [len(every), every[-1]] for name, every in logged.items()}


def _compared(home, *names, by="sharing"):
    from bench.app.runs.comparing import compare_runs
    from bench.app.runs.folder import Run
    from bench.core.errors import UserError

    try:
        return _plain(compare_runs([Run.open(home, name) for name in names], by).to_json())
    except UserError as error:
        return str(error)


def _judged(result):
    """The kept predictions of the first two confirmed points against each other, as two packages'
    would be.
    """
    from bench.core.rows import TEST
    from bench.core.schema import SCORE, Schema
    from bench.deciding.score import prediction_names
    from bench.ledger.points import confirmed
    from bench.measure.predictions import FOLDER, name_of, predictions, read_rows
    from bench.serve.judgements import Judged, judgements, served

    folder = result.run.folder / FOLDER
    points = [
        each for each in result.decision.frontier.points if confirmed(each) and each.kind == "trial"
    ][:2]
    if len(points) < 2:
        return None
    rows = read_rows(folder, TEST)
    schema = Schema((), (), tuple(result.run.tasks))
    said = []
    for point in points:
        joint = predictions(
            folder, TEST, name_of(point.training, point.replicates[0].replicate)
        ).astype(np.float64)
        own: dict[str, Any] = {SCORE: joint.mean(axis=1)}
        for at, task in enumerate(schema.tasks):
            parent = schema.parents[at]
            given = (
                joint[:, at] if parent is None or parent < 0 else joint[:, at] / joint[:, parent]
            )
            own |= dict(zip(prediction_names(task), (given, joint[:, at]), strict=False))
        said.append(own)
    judged = Judged(rows.labels, tuple(said), rows.group.astype(np.int64))
    found = [*served(judged, schema, (), 50), *judgements(judged, schema, 50)]
    return {
        each.metric: [each.estimate, each.other, each.difference, each.verdict] for each in found
    }


def _plain(value):
    """As JSON has it: numbers, texts, lists and dicts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [
            _plain(each)
            for each in (sorted(value) if isinstance(value, set | frozenset) else value)
        ]
    return value


def _lines(value, name=""):
    """Names and texts: one of each number or text, and of each list of them."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _lines(part, f"{name}/{key}" if name else key)
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        for place, part in enumerate(value):
            yield from _lines(part, f"{name}/{place}")
    elif isinstance(value, list):
        yield name, " ".join(map(_text, value))
    else:
        yield name, _text(value)


def _text(value):
    """A number in seven digits, or a text in quotes."""
    if isinstance(value, float):
        return f"{0.0 if abs(value) < NOTHING else value:.7g}"
    return re.sub(r"/\S+?/content/", "CONTENT/", json.dumps(value, ensure_ascii=False))


def write_values(home):
    """Writes them down."""
    from options import commands, said

    VALUES.mkdir(exist_ok=True)
    for name in NAMES:
        lines = [f"{key} = {text}\n" for key, text in sorted(values_of(home, name).items())]
        (VALUES / f"{name}.txt").write_text("".join(lines))
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
        lines = [
            (f"{json.dumps(key)}: " if isinstance(each, dict) else "") + json.dumps(value)
            for key, value in own
        ]
        ends = "{}" if isinstance(each, dict) else "[]"
        parts.append(f"{json.dumps(name)}: {ends[0]}\n" + ",\n".join(lines) + f"\n{ends[1]}")
    return "{\n" + ",\n".join(parts) + "\n}"


def as_text(found):
    """Commands with their exit codes and what they say, as one reads them."""
    return "".join(
        f"$ {command}\n[{code}]\n{text.rstrip()}\n\n" for command, (code, text) in found.items()
    )


def read_values(name):
    """Those of a run, as they were written down."""
    lines = (VALUES / f"{name}.txt").read_text().splitlines()
    return dict(line.split(" = ", 1) for line in lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1] == "runs":
            train(Path(folder))
            pack(Path(folder))
        else:
            unpack(Path(folder))
            write_values(Path(folder))
