"""The user's mistakes: each gives one sentence that names it, exit code 2, and leaves nothing half-written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.core.errors import UserError


def nothing(shop) -> None:
    """No preparation: the arguments are the mistake."""


def card(old: str, new: str) -> Callable:
    return lambda shop: shop.edit(shop.card, old, new)


def suite(old: str, new: str) -> Callable:
    return lambda shop: shop.edit(shop.suite, old, new)


def space(old: str, new: str) -> Callable:
    return lambda shop: shop.edit(shop.folder / "space.toml", old, new)


def objectives(*names: str) -> Callable:
    return suite('["click.auc", "buy.ctcvr.auc"]', json.dumps(names))


def line(number: int, text: str) -> Callable:
    def change(shop) -> None:
        lines = shop.log.read_text().splitlines()
        lines[number - 1] = text
        shop.log.write_text("\n".join(lines) + "\n")

    return change


def always(shop) -> None:
    """Adds a task whose label is 1 in every row."""
    lines = shop.log.read_text().splitlines()
    shop.log.write_text("\n".join([f"{lines[0]},always", *(f"{line},1" for line in lines[1:])]))
    shop.edit(shop.card, "[columns]", '[[tasks]]\nname = "always"\ncolumn = "always"\noptional = true\n[columns]')


PREPARE = ("prepare", "{card}", "--raw", "{raw}")
LONG, DIGITS = "n" * 300, "1" * 5000
TRAIN = ("train", "{card}", "--raw", "{raw}")
RUN = ("run", "{suite}", "--raw", "{raw}", "--executor", "inline")


def variant(name: str) -> Callable:
    return card("[columns]", f'[variants."{name}"]\ntitle = "x"\n[columns]')


def source(url: str) -> Callable:
    return card("[split]", f'[[sources]]\nkind = "url"\nurls = {{ "log.csv" = "{url}" }}\n[split]')


@dataclass(frozen=True)
class Mistake:
    """What is done wrong, what is called, and what the sentence must name."""

    name: str
    arguments: tuple[str, ...]
    says: tuple[str, ...]
    do: Callable = nothing


MISTAKES = [
    # Names
    Mistake("unknown command", ("serach",), ("serach",)),
    Mistake("unknown option", ("datasets", "--jsn"), ("--jsn",)),
    Mistake("missing argument", ("train",), ("DATASET",)),
    Mistake("nothing to remove", ("datasets", "--remove"), ("--remove: expected a data set",)),
    Mistake("unknown suite", ("run", "quik"), ("suite", "quik", "quick")),
    Mistake("unknown data set", ("train", "census-incom"), ("dataset", "census-incom", "census-income")),
    Mistake("unknown space", (*RUN, "--space", "hug"), ("search space", "hug")),
    Mistake("unknown run", ("frontier", "nowhere"), ("run", "nowhere")),
    Mistake("no address", (*RUN, "--tracking", "localhost:5000"), ("--tracking", "localhost:5000", "http://HOST:PORT")),
    Mistake("unknown sampler", (*RUN, "--sampler", "tpee"), ("sampler", "tpee", "tpe")),
    Mistake("unknown executor", (*RUN, "--executor", "dask"), ("executor", "dask", "process")),
    Mistake("unknown device", (*RUN, "--device", "gpu"), ("device", "gpu", "cuda")),
    Mistake("unknown metric", RUN, ("click.auk", "click.auc"), suite("click.auc", "click.auk")),
    Mistake("a metric without direction", RUN, ("click.pcoc",), suite("click.auc", "click.pcoc")),
    Mistake("an objective named twice", RUN, ("twice", "click.auc"), suite("buy.ctcvr.auc", "click.auc")),
    Mistake("unknown task", (*TRAIN, "--tasks", "click,bye"), ("bye", "buy")),
    Mistake("a child without its parent", (*TRAIN, "--tasks", "buy"), ("buy", "parent", "click")),
    Mistake("no such package to measure", ("latency", "nothing"), ("a package's folder, a run", "no 'nothing'")),
    Mistake("no such run to deploy", ("deploy", "nothing"), ("nothing",)),
    Mistake("no such pick to deploy", ("deploy", "{raw}/picked.json"), ("expected a run or a picked.json, found no",)),
    # Configuration
    Mistake("no length", (*TRAIN, "--set", "training.until=0"), ("training.until",)),
    Mistake("unknown configuration key", (*TRAIN, "--set", "optim.lrate=1"), ("optim", "lrate")),
    Mistake("unknown key of an axis", (*TRAIN, "--set", "sharing.knd=mmoe"), ("sharing.knd", "sharing.kind'?")),
    Mistake("unknown key of training", (*TRAIN, "--set", "training.untl=9"), ("untl", "did you mean 'training.until'")),
    Mistake("an integer of 5,000 digits", (*TRAIN, "--set", f"optim.lr={DIGITS}"), ("optim.lr", "64 bits", "5,000")),
    Mistake("a path of 5,000 letters", ("train", f"a/{DIGITS}.toml"), ("not found", "a/111", "characters)")),
    Mistake("wrong type", (*TRAIN, "--set", "optim.lr=fast"), ("lr", "number", "fast")),
    Mistake("no equals sign", (*TRAIN, "--set", "optim.lr"), ("NAME=VALUE", "optim.lr")),
    Mistake("set twice", (*TRAIN, "--set", "optim.lr=1", "--set", "optim.lr=2"), ("optim.lr", "twice")),
    Mistake(
        "contradictory architecture", (*TRAIN, "--set", "architecture=esmm", "--set", "sharing.kind=ple"), ("esmm",)
    ),
    Mistake("a weight for no task", (*TRAIN, "--set", "balancing.static.weight.like=2"), ("like", "click")),
    Mistake("a kind that does not fit", ("run", "quick", "--set", "loss.kind=bpr"), ("bpr", "does not fit")),
    Mistake("missing configuration file", (*TRAIN, "--config", "none.toml"), ("none.toml",)),
    Mistake("a label that is always 1", (*TRAIN, "--tasks", "always"), ("always.auc", "came out as nan"), always),
    # Suites, spaces, options
    Mistake("6 objectives", RUN, ("at most 5", "found 6"), objectives(*(f"click.ndcg@{k}" for k in range(1, 7)))),
    Mistake("costs alone", RUN, ("at least one task's metric", "only costs"), objectives("cost/parameters")),
    Mistake("no natural reference", RUN, ("'cost/parameters'",), objectives("click.auc", "cost/parameters")),
    Mistake("one static weight", RUN, ("static = 0", "found 1"), suite("limit = 2", "static = 1")),
    Mistake("no current file", RUN, ("none.toml",), suite("[[datasets]]", 'current = "none.toml"\n[[datasets]]')),
    Mistake(
        "a current point that nobody confirms",
        (*RUN, "--current", "{card}"),
        ("expected a run that confirms",),
        suite("replicates = 2", "replicates = 0"),
    ),
    Mistake("an address without Ray", (*RUN, "--address", "here:1"), ("--address: expected --executor ray",)),
    Mistake("a GPU's share without Ray", (*RUN, "--gpus", "1"), ("--gpus: expected --executor ray",)),
    Mistake("memory without Ray", (*RUN, "--memory", "100"), ("--memory: expected --executor ray",)),
    Mistake("no batch", ("latency", "{raw}", "--batches", "0"), ("--batches: expected whole numbers from 1 to",)),
    Mistake("two moves", ("deploy", "a", "--promote", "--rollback"), ("expected one of --as challenger", "found two")),
    Mistake("unknown key in a suite", RUN, ("suite.toml", "trails"), suite("trials = 6", "trails = 6")),
    Mistake("broken suite", RUN, ("suite.toml", "TOML", "line"), suite("trials = 6", "trials = = 6")),
    Mistake("unknown rule", RUN, ("policy", "elbow", "knee"), suite("[budget]", '[policy]\nrule = "elbow"\n[budget]')),
    Mistake(
        "reference of no objective", RUN, ("like.auc",), suite("[budget]", 'reference = { "like.auc" = 1 }\n[budget]')
    ),
    Mistake("space without such a key", RUN, ("space.toml", "optim", "rate"), space('"optim.lr"', '"optim.rate"')),
    Mistake("a lowest rung past full length", RUN, ("search.lowest", "1.5"), suite("tries = 1", "lowest = 1.5")),
    Mistake("eta of one", RUN, ("search.eta", "greater than 1"), suite("tries = 1", "lowest = 9\neta = 1")),
    Mistake("an eta of nothing", RUN, ("search.eta", "[]"), suite("tries = 1", "lowest = 9\neta = []")),
    Mistake("eta without rungs", RUN, ("search", "lowest", "eta"), suite("tries = 1", "lowest = false\neta = 3")),
    Mistake("a lowest rung in words", (*RUN, "--lowest", "few"), ("search.lowest", "few")),
    Mistake("two limits of samples", RUN, ("samples", "lengths"), suite("trials = 6", "samples = 9\nlengths = 3")),
    Mistake("a share beyond all", RUN, ("search.share", "2"), suite("tries = 1", "lowest = 9\nshare = 2")),
    Mistake(
        "a sampler that learns at the top alone",
        (*RUN, "--sampler", "tpe"),
        ("sampler", "gp", "tpe"),
        suite("tries = 1", "lowest = 9"),
    ),
    Mistake("no duration", (*RUN, "--time", "soon"), ("duration", "soon")),
    Mistake("no trials", (*RUN, "--trials", "0"), ("trials", "0")),
    Mistake("a run's name too long", (*RUN, "--name", LONG), ("--name", "at most 100", LONG)),
    Mistake("an unknown run of a long name", ("status", LONG), ("unknown run", "(300 characters)")),
    Mistake("a long home", ("datasets", "--home", LONG), ("name that a file can have", LONG[:20])),
    Mistake("a card's id too long", PREPARE, ("card.toml", "at most 100", LONG[:50]), card('"shop"', f'"{LONG}"')),
    Mistake("a variant that leads elsewhere", PREPARE, ("variants", "../up"), variant("../up")),
    Mistake("no host of a tracking store", (*RUN, "--tracking", "http://[::1/x"), ("--tracking", "http://[::1/x")),
    Mistake("no host of a source", PREPARE, ("card.toml", "sources.0", "http://[::1/x"), source("http://[::1/x")),
    Mistake("a password of a source", PREPARE, ("sources.0", "http://***@host/x"), source("http://me:word@host/x")),
    Mistake("a secret of a source", PREPARE, ("sources.0", "'https://host/x***'"), source("https://host/x?sig=a")),
    Mistake("a path as a run's name", (*RUN, "--name", "../out"), ("--name", "../out")),
    # Cards
    Mistake("broken card", PREPARE, ("card.toml", "TOML", "line"), card('kind = "csv"', "kind = csv")),
    Mistake("unknown key in a card", PREPARE, ("card.toml", "'licens'", "'licence'"), card("licence =", "licens =")),
    Mistake("a label as an input", PREPARE, ("click",), card('item = "categorical"', 'click = "categorical"')),
    Mistake("an empty split", PREPARE, ("test",), card("first = 26", "first = 260")),
    Mistake("unknown column", PREPARE, ("log.csv", "colour"), card('item = "categorical"', 'colour = "categorical"')),
    # Raw files
    Mistake("no such raw folder", ("prepare", "{card}", "--raw", "{raw}/none"), ("none",)),
    Mistake("missing raw file", PREPARE, ("log.csv",), lambda shop: shop.log.unlink()),
    Mistake("text where a number belongs", PREPARE, ("log.csv", "price", "cheap"), line(100, "u1,i1,cheap,4,1,1,0")),
    # The place
    Mistake("home is a file", ("datasets", "--home", "{card}"), ("home", "card.toml")),
]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_one_sentence_code_2_and_nothing_half_written(mistake: Mistake, shop, seesaw, tmp_path: Path) -> None:
    mistake.do(shop)
    before = files(tmp_path)
    arguments = [a.format(card=shop.card, raw=shop.raw, suite=shop.suite) for a in mistake.arguments]
    home = None if "--home" in arguments or mistake.name.startswith("unknown command") else tmp_path / "home"
    said = seesaw(*arguments, home=home)
    assert said.code == 2, said.err
    assert said.out == ""
    lines = [text for text in said.err.splitlines() if text.startswith("seesaw: ")]
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    for fragment in mistake.says:
        assert fragment.lower() in lines[0].lower(), lines[0]
    after = files(tmp_path)
    left = {name for name in after if after[name] != before.get(name)}
    # A whole store and the list of known files may stay: both were made before the mistake could be seen.
    assert all(re.match(r"home/(store/|raw/digests.json)", name) for name in left), left
    assert not [name for name in left if ".part" in name]


@pytest.mark.slow
def test_a_configuration_that_cannot_work_never_reaches_a_worker(seesaw, shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason for refusing it is made up, and only this process knows it: a worker would have trained it."""
    from bench.run import execute
    from bench.training.config import TrialConfig

    def refuses(self: TrialConfig, schema: object) -> None:
        raise UserError("expected a weight, found none")

    class Idle:
        """Could not be handed a job."""

        slots = 2

        def __init__(self, *_: object) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(TrialConfig, "check_fit", refuses)
    monkeypatch.setattr(execute, "EXECUTORS", {"process": Idle})
    seesaw("run", shop.suite, "--raw", shop.raw, "--name", "a", "--workers", 2)
    status = json.loads(seesaw("status", "a", "--json").out)
    assert (status["failed"], status["running"], status["total"]) == (6, 0, 6)  # one a trial, and then it ends
    assert {(each["kind"], each["reason"]) for each in status["failures"]} == {
        ("configuration", "expected a weight, found none")
    }
