"""What a user asks of a run: the same options on the command line, in a file, and in Python."""

from pathlib import Path

import pytest

import bench
from bench.app.cli.options import validated
from bench.app.runs.create import create
from bench.app.runs.extend import extended
from bench.app.runs.request import Request
from bench.core.errors import UserError
from bench.core.option import Option
from bench.deciding.logged.asked import Asked


def test_options_go_before_those_of_the_file(tmp_path):
    file = tmp_path / "asked.toml"
    file.write_text(
        'suite = "quick"\ntrials = 3\nseed = 5\ntime = "2m"\ndataset = ["a", '
        '"b"]\n[set.optim]\nepochs = 2\n'
    )
    request = Request.of({"suite": str(file), "seed": 0})
    assert request == Request(
        suite="quick", trials=3, seed=0, time=120.0, dataset=("a", "b"), set={"optim.epochs": 2}
    )
    file.write_text('suite = "quick"\nsed = 5\n')
    with pytest.raises(UserError, match=r"asked\.toml: unknown key 'sed' \(did you mean '"):
        Request.of({"suite": str(file)})


def test_its_command_asks_for_the_same():
    asked = Request(
        suite="quick", dataset="a,b", job_time="90s", set=["optim.lr=0.1", "sharing.kind=ple"]
    )
    assert asked.words == [
        *("seesaw", "run", "quick", "--job-time", "90.0", "--dataset", "a,b"),
        *("--set", "optim.lr=0.1", "--set", 'sharing.kind="ple"'),
    ]
    pairs = asked.words[-1:-4:-2]
    assert Request(suite="quick", set=pairs).set == asked.set


def test_a_resumed_run_has_other_options_and_the_same_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(bench.__file__).parents[1])
    card = "datasets/synthetic-funnel/card.toml"
    run = create(
        tmp_path,
        Request(suite="quick", dataset=(card,), samples=10**9, executor="inline", raw=Path("raw")),
    )
    assert run.request.dataset == (str(Path(card).resolve()),)
    assert run.request.raw == Path("raw").resolve()

    def more_of(**asked):
        return extended(run, Request(suite=str(run.folder), **asked))

    more = more_of(samples=2 * 10**9, device="cpu")
    assert (more.request.samples, more.suite.budget.samples, more.request.device) == (
        2 * 10**9,
        2 * 10**9,
        "cpu",
    )
    assert more.request.dataset == run.request.dataset
    with pytest.raises(
        UserError,
        match=r"^--lengths: expected a limit that 'synthetic-funnel' has \(--samples\), found",
    ):
        more_of(lengths=3)
    with pytest.raises(
        UserError, match=r"^--samples: expected at least 1,000,000,000, the total of"
    ):
        more_of(samples=5)
    with pytest.raises(
        UserError, match=r"^--seed: expected 0, with which the run 'synthetic-f.* 3"
    ):
        more_of(seed=3)
    with pytest.raises(UserError, match=r"^--confirm: expected static, members, .* found 'kinds'"):
        more_of(confirm={"kinds": True})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kinds": {"p": "bad"}}, "--kind p: expected "),
        ({"values": {"click": "x"}}, "--value click: expected a number, found 'x'"),
        ({"recalibrate": "x"}, "--no-recalibrate: expected true or false"),
        ({"score": "s", "weights": "p"}, "expected `score` or `weights`, found both"),
    ],
)
def test_a_complaint_names_the_option_as_it_is_typed(options, complaint):
    asked = {"labels": ["click", "buy"], "models": {"new": ["p", "q"]}}
    with pytest.raises(UserError, match=f"^{complaint}"):
        validated(Asked, asked | options)


def test_an_option_of_pairs_is_a_table():
    option = Option("value", "TASK=NUMBER", "buy=40")
    assert option.pairs(["click=1", " buy = 40 "]) == {"click": "1", "buy": "40"}
    with pytest.raises(UserError, match="--value: expected TASK=NUMBER as in buy=40, found 'buy'"):
        option.pairs(["buy"])
    with pytest.raises(UserError, match="expected each name once, found 'buy' twice"):
        option.pairs(["buy=1", "buy=2"])
