"""Parts of a design from raw data to rows, on a generated log; and rows of the published table,
trained again.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from publish import objectives_of, publish
from reference.members import gather
from short_trainings import DESIGN

from bench.app.cli import main
from bench.app.reference.cells import ALONE, Cell, predicted_weights
from bench.app.reference.design_runs import CellRunner, published, run_design
from bench.app.reference.table import RESAMPLED_SEEDS, KnownRows, lines, read
from bench.app.runs.suite import load_suite
from bench.core.errors import UserError
from bench.core.system.progress import Silent
from bench.ledger.errors.intervals import intervals

SUITE = DESIGN.replace("rows=1000", "rows=3000").replace("weights = 2", "weights = 3")
SUITE += """
[confirm]
baselines = []
limit = 2
"""


@pytest.fixture
def suite(tmp_path):
    file = tmp_path / "small" / "suite.toml"
    file.parent.mkdir()
    file.write_text(SUITE)
    return str(file)


def test_predicted_weights_make_gradients_equally_long():
    weights = predicted_weights([2.0, 1.0, 4.0], ("a", "b", "c"))
    assert weights["a"] * 2 == pytest.approx(weights["b"], rel=1e-3)
    assert weights["c"] * 4 == pytest.approx(weights["b"], rel=1e-3)
    assert sum(weights.values()) == pytest.approx(3, rel=1e-3)
    assert predicted_weights([], ("a", "b")) == {"a": 1.0, "b": 1.0}


@pytest.mark.slow
def test_a_design_is_trained_once_and_published(suite, tmp_path):
    home = tmp_path / "home"
    first = run_design(home, suite, [], None, None, 1, Silent())
    assert first.failed == 0
    rows = list(KnownRows(home, tmp_path / "none"))
    assert {row.balancing for row in rows if row.sharing == ALONE} == {
        "single_task",
        "composite",
        "ensemble",
        "trees",
    }
    static = [row for row in rows if row.balancing == "static" and row.seed == 1]
    assert len(static) == 3
    assert all(len(row.served) == 7 * 2 and len(row.served_moved) == 24 * 14 for row in static)

    again = run_design(home, suite, [], None, None, 1, Silent())
    assert again.new == 0
    assert again.there >= first.new

    done = publish(home, suite, folder=tmp_path / "page")
    assert done.rows == done.new == len(rows)
    assert (tmp_path / "page" / "reference.html").read_text().startswith("<!doctype html>")

    (home / "reference").rename(tmp_path / "gone")
    third = run_design(
        tmp_path / "home", suite, ["synthetic/shared_bottom/pcgrad"], None, None, 1, Silent()
    )
    assert third.new == 0, "published rows are not trained again"


OWN = """
from bench.models.balancing import LossWeighting
from bench.core.registry import Entry, NoOptions


class Largest(LossWeighting):
    def __init__(self, tasks, config):
        super().__init__(tasks)

    def forward(self, losses):
        return losses.max()


BALANCING = {"my_largest": Entry(Largest, NoOptions, "-", "the largest loss alone")}
"""


@pytest.mark.slow
def test_a_method_of_ones_own_gets_the_trials_of_the_others(suite, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(OWN)
    Path(suite).write_text(SUITE.replace("weights = 3", "weights = 7"))
    words = [
        "run",
        suite,
        "--only",
        "my_largest",
        "--plugin",
        str(plugin),
        "--workers",
        "1",
        "--home",
        str(tmp_path),
    ]

    def run():
        return subprocess.run(
            [sys.executable, "-m", "bench", *words], capture_output=True, text=True, cwd=tmp_path
        )

    refused = run()
    assert refused.returncode == 2
    part = "synthetic-funnel@rows=3000/shared_bottom/static"
    assert (
        f"no 7 tuned static weights there; `seesaw run {suite} --part {part}` adds them"
        in refused.stderr
    )
    run_design(tmp_path, suite, [part], None, None, 1, Silent())
    for text, new in (
        (OWN, 4),
        (OWN, 0),
        (OWN.replace("losses.max()", "losses.max() + losses.sum()"), 4),
    ):
        plugin.write_text(text)
        done = run()
        assert done.returncode == 0, done.stderr
        assert "1 cell by 4 trainings each: about " in done.stderr
        assert done.stdout.startswith(
            f"{new} trainings, {4 - new} more were there already, 0 failed"
        )
        assert re.search(
            r"^(Yes|No|Cannot tell).* my_largest .*beats? tuned static weights with ",
            done.stdout,
            re.M,
        )
    rows = [row for row in KnownRows(tmp_path, tmp_path / "none") if row.balancing != "static"]
    assert {(row.balancing, row.failure, row.commit[:16]) for row in rows} == {
        ("my_largest", "", "mine.py (sha256 ")
    }


@pytest.mark.slow
def test_a_torn_last_row_is_trained_again(suite, tmp_path):
    home = tmp_path / "home"
    run_design(home, suite, ["synthetic/shared_bottom/equal"], None, None, 1, Silent())
    file = next((home / "reference").glob("*.jsonl"))
    whole = list(lines(file))
    text = file.read_text()
    file.write_text(text[:-40])
    assert (
        run_design(home, suite, ["synthetic/shared_bottom/equal"], None, None, 1, Silent()).new == 1
    )
    assert [row.test for row in lines(file)] == [row.test for row in whole]
    bad = text.splitlines()
    file.write_text("\n".join([bad[0], json.dumps({"data": 1}), *bad[2:]]) + "\n")
    with pytest.raises(UserError, match="line 2: expected a row of the reference"):
        run_design(home, suite, ["synthetic/shared_bottom/equal"], None, None, 1, Silent())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--trials", "5"], "--trials: expected a search, found the design of reference"),
        (["--part", "nothing"], "--part: expected a part such as"),
        (["--only", "mgda", "--part", "census-income/alone"], "--part: expected a part such as"),
        (
            ["--only", "mgda", "--part", "movielens-100k/ple"],
            "--part movielens-100k/ple/static` adds them",
        ),
        (["--only", "nothing"], "--only: unknown balancer or way of sharing 'nothing'"),
    ],
)
def test_a_mistake_is_one_sentence(words, expected, capsys):
    assert main(["run", "reference", *words]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.slow
def test_points_of_a_search_stand_beside_the_cells(suite, tmp_path):
    home, data = tmp_path / "home", "synthetic-funnel@rows=3000"
    run_design(home, suite, [f"{data}/shared_bottom/equal"], None, None, 1, Silent())
    words = [
        "--dataset",
        data,
        "--trials",
        "3",
        "--lowest",
        "0",
        "--set",
        "optim.epochs=1",
        "--workers",
        "1",
    ]
    assert main(["run", suite, *words, "--name", "joint", "--home", str(home)]) == 0
    done = publish(home, suite, ["joint"])
    rows = [row for row in read(done.table) if row.sharing == "search"]
    assert rows
    assert {row.balancing for row in rows} == {"search by gp"}
    assert {row.content for row in read(done.table)} == {rows[0].content}
    assert all(len(row.served) == 7 * 2 for row in rows)
    for point in {row.config["point"] for row in rows}:
        moved = [len(row.served_moved) for row in rows if row.config["point"] == point]
        assert sorted(moved, reverse=True) == [
            24 * 14 if n < RESAMPLED_SEEDS else 0 for n in range(len(moved))
        ]
    assert "search by gp" in {standing.method for standing in done.answers.standings}
    assert publish(home, suite, ["joint"]).new == 0


RAW = Path(__file__).parents[4] / "shared" / "data"
DATA, SEEDS = "hotel-bookings", (1, 2, 3)


@pytest.mark.slow
@pytest.mark.skipif(not (RAW / DATA).is_dir(), reason="needs hotel bookings in ../shared/data")
def test_cells_that_are_trained_again_lie_within_their_intervals(tmp_path):
    suite = load_suite("reference")
    objectives = objectives_of(suite)
    data = next(
        entry
        for entry in gather(read(published("reference")), objectives, {})
        if entry.name == DATA
    )
    intervals_by_member = dict(
        zip(
            map(id, data.members),
            intervals([member.heads for member in data.members]) or (),
            strict=True,
        )
    )
    runner = CellRunner(
        tmp_path, suite.dataset(DATA), RAW, 2, KnownRows(tmp_path, tmp_path / "none"), Silent()
    )
    try:
        for balancing in ("equal", "pcgrad", "uncertainty"):
            (member,) = data.members_of("shared_bottom", balancing)
            cell = Cell(DATA, "shared_bottom", balancing)
            rows = runner.trained(cell, [(dict(member.config), seed) for seed in SEEDS])
            again = np.mean([row.test for row in rows], axis=0)
            here = member.heads.values[[member.heads.seeds.index(seed) for seed in SEEDS]].mean(
                axis=0
            )
            for objective, ours, theirs, interval in zip(
                data.objectives, again, here, intervals_by_member[id(member)], strict=True
            ):
                assert abs(ours - theirs) < (interval.high - interval.low) / 2, (
                    f"{cell.part}: {objective.name}"
                )
    finally:
        runner.close()
