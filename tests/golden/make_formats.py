"""Makes what a version leaves on disk, for later versions to read: once, when it is released, and
never again.

    python tests/golden/make_formats.py  # writes tests/golden/formats/VERSION

A folder has a run, with its package and its ledger, a part of the published table, and `said.json`:
what is read off them. `test_formats.py` reads every folder with the program as it is.
"""

import json
import shutil
from pathlib import Path

import pandas as pd
from remake import LEFT_OUT, Made, train

FOLDERS = Path(__file__).parent / "formats"
HOME = Path("/srv/seesaw")
"""Where the run is made: its files name it."""
CONFIRM = 'replicates = 2\nlimit = 2\nbudget = 4\nbaselines = ["single_task"]'
RUN = Made(
    {"click": "", "like": ""}, current="config", budget="trials = 3", confirm=CONFIRM, rows=600
)
KEPT = ("package", "cells.parquet", "picked.json", "picked.toml")
ROWS = pd.DataFrame(
    {"user": ["u1", "u2", "new"], "item": ["i1", "i2", "i3"], "price": [3.5, 9.25, None]}
)
TABLE = ("synthetic-relatedness", "shared_bottom", ("static", "equal", "mgda", "uncertainty"))


def said(folder):
    """What is read off a folder: verdict, cells, scores and an answer."""
    import bench
    from bench.app.reference.cells import Cell
    from bench.app.reference.comparisons import comparable, compared
    from bench.app.reference.table import read
    from bench.app.runs.suite import SuiteDataset
    from bench.core.objectives import Objective
    from bench.serve.package import Package

    found = bench.load_run(folder / "runs" / "first")
    cells = bench.read_cells(folder / "runs" / "first" / "first" / "cells.parquet")
    package = Package.open(folder / "runs" / "first" / "first" / "package")
    rows, cell = read(folder / "table.parquet"), Cell(*TABLE[:2], "mgda")
    objectives = tuple(Objective(name, "maximize") for name in rows[0].objectives)
    answer = compared(cell, comparable(rows, cell), objectives, SuiteDataset(id=cell.data), 1)
    return {
        "rows": len(rows),
        "answer": [answer.verdict, answer.lead.value, answer.lead.low, answer.lead.high],
        "verdict": found.verdict(),
        "formula": found.formula(),
        "pick": found.pick().sentence,
        "cells": len(cells),
        "values": cells.groupby(["front", "split", "measure"])["value"]
        .mean()
        .reset_index()
        .values.tolist(),
        "read": len(found.cells()),
        "scores": package.scorer("eager").predict(ROWS).to_dict("list"),
    }


def make(target):
    """Makes a folder."""
    from bench.app.cli import main
    from bench.app.reference.design_runs import published
    from bench.app.reference.table import read, write

    HOME.mkdir(parents=True)
    try:
        train(HOME, {"first": RUN})
        assert main(["deploy", "first", "--force", "--home", str(HOME)]) == 0
        left_out = shutil.ignore_patterns(*(set(LEFT_OUT) - set(KEPT)), "*.lock")
        shutil.copytree(HOME / "runs", target / "runs", ignore=left_out)
    finally:
        shutil.rmtree(HOME)
    data, sharing, balancing = TABLE
    rows = [
        row for row in read(published("reference")) if (row.data, row.sharing) == (data, sharing)
    ]
    write([row for row in rows if row.balancing in balancing], target / "table.parquet")
    (target / "said.json").write_text(json.dumps(said(target), indent=1))


if __name__ == "__main__":
    import bench

    make(FOLDERS / bench.__version__)
