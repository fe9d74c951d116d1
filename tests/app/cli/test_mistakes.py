"""The user's mistakes: each gives one sentence that names it, exit code 2, and leaves nothing
half-written.
"""

import json
import re

import pytest
from corruptions.work import files


def card(old, new):
    return lambda shop: shop.edit(shop.card, old, new)


def suite(old, new):
    return lambda shop: shop.edit(shop.suite, old, new)


def space(old, new):
    return lambda shop: shop.edit(shop.folder / "space.toml", old, new)


def objectives(*names):
    return suite('["click.auc", "buy.ctcvr.auc"]', json.dumps(names))


def always(shop):
    """Adds a task whose label is 1 in every row."""
    lines = shop.log.read_text().splitlines()
    shop.log.write_text("\n".join([f"{lines[0]},always", *(f"{line},1" for line in lines[1:])]))
    shop.edit(
        shop.card,
        "[columns]",
        '[[tasks]]\nname = "always"\ncolumn = "always"\noptional = true\n[columns]',
    )


PREPARE = ("data", "prepare", "{card}", "--raw", "{raw}")
LONG = "n" * 300
TRAIN = ("train", "{card}", "--raw", "{raw}")
RUN = ("run", "{suite}", "--raw", "{raw}", "--executor", "inline")


def variant(name):
    return card("[columns]", f'[variants."{name}"]\ntitle = "x"\n[columns]')


def source(url):
    return card("[split]", f'[[sources]]\nkind = "url"\nurls = {{ "log.csv" = "{url}" }}\n[split]')


FUNNEL = ("run", "quick", "--dataset", "synthetic-funnel")
NO_REPLICATES = suite("replicates = 2", "replicates = 0")
# its name, what is called, what the sentence must name, and what is done wrong before
MISTAKES = [
    ("unknown command", ("serach",), ("serach",)),
    ("unknown option", ("list", "--jsn"), ("--jsn",)),
    ("missing argument", ("train",), ("DATASET",)),
    ("unknown suite", ("run", "quik"), ("suite", "quik", "quick")),
    ("a suite's name for a run", (*RUN, "--name", "quick"), ("--name", "no suite has", "quick")),
    ("unknown key to confirm", (*RUN, "--confirm", "statik=7"), ("confirm", "statik", "static")),
    ("no kind of list", ("list", "space"), ("kind", "space", "spaces")),
    ("a list of one data set", ("list", "suites", "--dataset", "x"), ("--dataset", "'spaces'")),
    ("nothing to score", ("score", "none"), ("FILES and --out", "--latency")),
    ("an address of no sync", ("status", "none", "--tracking", "x"), ("none",)),
    ("unknown sampler", (*RUN, "--sampler", "tpee"), ("sampler", "tpee", "tpe")),
    ("no length", (*TRAIN, "--set", "training.until=0"), ("training.until",)),
    (
        "a path of 5,000 letters",
        ("train", f"a/{LONG * 20}.toml"),
        ("not found", "a/nnn", "characters)"),
    ),
    ("set twice", (*TRAIN, "--set", "optim.lr=1", "--set", "optim.lr=2"), ("optim.lr", "twice")),
    (
        "a kind that does not fit",
        ("run", "quick", "--set", "loss.kind=bpr"),
        ("bpr", "does not fit"),
    ),
    (
        "a label that is always 1",
        (*TRAIN, "--tasks", "always"),
        ("always.auc", "came out as nan"),
        always,
    ),
    (
        "9 objectives",
        RUN,
        ("at most 8", "found 9"),
        objectives(*(f"click.ndcg@{k}" for k in range(1, 10))),
    ),
    ("days of no time", (*FUNNEL, "--backtest", "3"), ("a split by time", "random")),
    (
        "two ways to train",
        ("backtest", "none", "--warm", "--window", "7d"),
        ("--warm", "--window"),
    ),
    (
        "costs alone",
        RUN,
        ("at least one task's metric", "only costs"),
        objectives("cost/parameters"),
    ),
    (
        "no current file",
        RUN,
        ("none.toml",),
        suite("[[datasets]]", 'current = "none.toml"\n[[datasets]]'),
    ),
    ("nobody confirms it", (*RUN, "--current", "{card}"), ("a run that confirms",), NO_REPLICATES),
    (
        "an address without Ray",
        (*RUN, "--address", "here:1"),
        ("--address: expected --executor ray",),
    ),
    ("unknown key in a suite", RUN, ("suite.toml", "trails"), suite("trials = 6", "trails = 6")),
    (
        "space without such a key",
        RUN,
        ("space.toml", "optim", "rate"),
        space('"optim.lr"', '"optim.rate"'),
    ),
    (
        "a blend of no trees",
        RUN,
        ("expected trees beside blend",),
        suite('"single_task"]', '"blend"]'),
    ),
    (
        "eta of one",
        RUN,
        ("search.eta", "greater than 1"),
        suite("tries = 1", "lowest = 9\neta = 1"),
    ),
    (
        "two limits of samples",
        RUN,
        ("samples", "lengths"),
        suite("trials = 6", "samples = 9\nlengths = 3"),
    ),
    (
        "top alone",
        (*RUN, "--sampler", "tpe"),
        ("sampler", "gp", "tpe"),
        suite("tries = 1", "lowest = 9"),
    ),
    ("a limit that inline cannot keep", (*RUN, "--job-time", "5m"), ("job_time", "found inline")),
    ("a run's name too long", (*RUN, "--name", LONG), ("--name", "at most 100", LONG)),
    ("a long home", ("list", "--home", LONG), ("name that a file can have", LONG[:20])),
    ("a variant that leads elsewhere", PREPARE, ("variants", "../up"), variant("../up")),
    (
        "no host of a tracking store",
        (*RUN, "--tracking", "http://[::1/x"),
        ("--tracking", "http://[::1/x"),
    ),
    (
        "a password of a source",
        PREPARE,
        ("sources.0", "http://***@host/x"),
        source("http://me:word@host/x"),
    ),
    ("a path as a run's name", (*RUN, "--name", "../out"), ("--name", "../out")),
    ("an empty split", PREPARE, ("test",), card("first = 26", "first = 260")),
]


@pytest.mark.parametrize(
    ("name", "arguments", "says", "do"), [(*each, None)[:4] for each in MISTAKES]
)
def test_one_sentence_code_2_and_nothing_half_written(
    name, arguments, says, do, shop, seesaw, tmp_path
):
    if do:
        do(shop)
    before = files(tmp_path)
    arguments = [a.format(card=shop.card, raw=shop.raw, suite=shop.suite) for a in arguments]
    home = None if "--home" in arguments or name == "unknown command" else tmp_path / "home"
    said = seesaw(*arguments, home=home)
    assert said.code == 2, said.err
    assert said.out == ""
    lines = [text for text in said.err.splitlines() if text.startswith("seesaw: ")]
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    for fragment in says:
        assert fragment.lower() in lines[0].lower(), lines[0]
    after = files(tmp_path)
    left = {name for name in after if after[name] != before.get(name)}
    # A whole store and the list of known files may stay: both were made before the mistake could be
    # seen.
    assert all(re.match(r"home/(store/|raw/digests.json)", name) for name in left), left
    assert not [name for name in left if ".part" in name]
