"""The trainers of `examples/trainers`, by other people's code, on real data."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "trainers"
PEERS = ",".join(str(EXAMPLES / name) for name in ("deepctr_mmoe.toml", "rechub_ple.toml"))
SUITE = """
title = "Peers"
space = "quick"
[[datasets]]
id = "{card}"
objectives = {objectives}
outcomes = {outcomes}
[budget]
trials = 6
[search]
tries = 1
full_length = 20_000
[confirm]
replicates = 2
limit = 2
kinds = true
baselines = ["single_task", "trees"]
"""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _installed():
    for package in ("deepctr_torch", "torch_rechub", "lightgbm"):
        if find_spec(package) is None:  # to import DeepCTR-Torch asks the network for news
            pytest.skip(f"{package} is not installed: the extra `peers`")


def some_lines(source, target, step):
    """Copies every `step`-th line of a compressed file, the first one included."""
    with gzip.open(source, "rt") as file, gzip.open(target, "wt") as copy:
        for number, line in enumerate(file):
            if number % step == 0:
                copy.write(line)


@pytest.fixture
def census_part(census_raw, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for source in census_raw.glob("*.gz"):
        some_lines(source, folder / source.name, 20)
    return folder


@pytest.fixture
def kuairand_part(kuairand_raw, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for source in kuairand_raw.glob("*.csv.gz"):
        if source.name.startswith("log"):
            some_lines(source, folder / source.name, 8)
        else:
            (folder / source.name).symlink_to(source)
    return folder


def suite(folder, card, objectives, outcomes):
    path = folder / "peers.toml"
    path.write_text(SUITE.format(card=card, objectives=objectives, outcomes=outcomes))
    return path


def test_on_kuairand_peers_stand_beside_our_models(kuairand_part, seesaw, tmp_path):
    path = suite(
        tmp_path,
        "kuairand-pure@by-day",
        ["click.auc", "long_view.ctcvr.auc"],
        ["click.recall@10%", "long_view.recall@10%"],
    )
    asked = ("run", path, "--raw", kuairand_part, "--trainer", PEERS, "--name", "peers", "--json")
    said = seesaw(*asked)
    assert said.code == 0, said.err
    result = bench.load_run("peers", tmp_path / "home")
    trials = result.trials()
    assert not trials["failure"].any()
    assert {"deepctr_mmoe", "rechub_ple"} < {*trials["sharing"]}
    points = result.points()
    peers = points[points["architecture"].isin(["deepctr_mmoe", "rechub_ple"])]
    assert len(peers)
    assert result.verdict()
    point = peers["point"].iloc[0]
    for command in (
        ("backtest", "peers", "--cuts", "2"),
        ("plan", "peers", "--traffic", "1000/day"),
    ):
        said = seesaw(*command, "--point", point)
        assert said.code == 0, said.err
    said = seesaw("compare", "peers", "--by", "trainer")
    assert said.code == 0, said.err
    assert "deepctr_mmoe" in said.out


def test_on_census_a_killed_run_ends_as_an_undisturbed_one(census_part, seesaw, tmp_path):
    objectives = ["income.auc", "never_married.auc"]
    outcomes = ["income.recall@10%", "never_married.recall@10%"]
    path = suite(tmp_path, "census-income", objectives, outcomes)
    options = ("--raw", census_part, "--trainer", PEERS, "--space", "none", "--json")
    undisturbed = seesaw("run", path, *options, "--name", "undisturbed")
    assert undisturbed.code == 0, undisturbed.err
    home = tmp_path / "home"
    arguments = ("run", path, *options, "--name", "killed", "--home", home)
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 300
    while not any(log.stat().st_size > 6000 for log in home.glob("runs/killed/*/study.jsonl")):
        assert process.poll() is None
        assert time.monotonic() < deadline, "expected trials within five minutes"
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = seesaw("run", "killed", "--json")
    assert again.code == 0, again.err
    assert qualities(again.out) == qualities(undisturbed.out)


def qualities(text):
    """Metrics of a front's points; their costs may differ."""
    points = []
    for point in json.loads(text)["points"]:
        metrics = {}
        for name, value in point["metrics"].items():
            if not name.startswith("cost/"):
                metrics[name] = value
        points.append((point["trial"], metrics))
    return points


def test_trees_of_a_function_are_searched_on_hotel_bookings(hotel_raw, seesaw, tmp_path):
    said = seesaw(
        *("run", "quick", "--dataset", "hotel-bookings", "--raw", hotel_raw),
        *("--trainer", EXAMPLES / "boosted.toml", "--space", "none"),
        *("--trials", "3", "--confirm", "replicates=0", "--name", "trees", "--json"),
    )
    assert said.code == 0, said.err
    trials = bench.load_run("trees", tmp_path / "home").trials()
    assert "lightgbm" in {*trials["sharing"]}
    assert not trials["failure"].any()
