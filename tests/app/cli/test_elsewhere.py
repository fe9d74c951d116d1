"""A run holds what it is read by: it is the same from every folder, whatever becomes of the files
it was made from.
"""

import errno
import json
import os
import re
import sys

import pytest
from corruptions.work import files

import bench
from bench.app.cli import main

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@pytest.fixture(scope="module")
def made(module_shop):
    """The folder of a run that its time limit ended; suite, card, space, MLflow's store by relative
    paths.
    """
    shop = module_shop
    text = (
        shop.suite.read_text()
        .replace(f"{shop.folder}/", "")
        .replace("replicates = 2", "replicates = 0")
    )
    shop.suite.write_text(text.replace("trials = 6", 'trials = 100000\ntime = "0.5s"'))
    options = ["--raw", "raw", "--executor", "inline", "--name", "here", "--home", "home"]
    stores = ["--tracking", "sqlite:///tracked.db"]
    before = os.getcwd()
    os.chdir(shop.folder)
    try:
        assert main(["run", "suite.toml", *options, *stores]) == 0
    finally:
        os.chdir(before)
    return shop.folder / "home" / "runs" / "here"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder with another card, space and suite of the same names."""
    for name in ("card.toml", "space.toml", "suite.toml"):
        (tmp_path / name).write_text("title = 'another'")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def search(seesaw, made):
    (part,) = json.loads(seesaw("status", "here", "--json", home=made.parents[1]).out)[
        "datasets"
    ].values()
    return part["search"]


def test_a_run_is_looked_at_from_any_folder(seesaw, made, elsewhere):
    for command in (["status"], ["show"], ["pick"], ["status", "--sync"], ["diagnose"]):
        said = seesaw(*command, made, "--json", home=None)
        assert said.code == 0, said.err
    assert len(bench.load_run(made).front(heads=True))
    assert {path.name for path in elsewhere.iterdir()} == {"card.toml", "space.toml", "suite.toml"}


def test_asking_is_not_choosing(seesaw, made, monkeypatch):
    home, before, asked = made.parents[1], files(made), ["pick", "here", "--maximize", "click.auc"]
    saving = f"seesaw {' '.join(asked)} --save"
    follows = "The pick follows the last `seesaw pick --save`"
    monkeypatch.setattr(sys, "argv", ["seesaw", *asked])
    monkeypatch.chdir(made.parents[2])  # the page names files as seen from there
    said = seesaw(*asked, home=home).out
    assert said.endswith(f"not saved; to make it the pick that `deploy` trains: {saving}\n")
    answer = json.loads(seesaw(*asked, "--json", home=home).out)
    assert (answer.pop("save"), files(made), follows in said) == (saving, before, False)
    assert json.loads(seesaw(*asked, "--save", "--json", home=home).out) == answer
    assert json.loads(next(made.glob("*/picked.json")).read_text()) == answer
    assert follows in seesaw("show", "here", home=home).out
    assert "not saved" in seesaw("pick", "here", home=home).out
    said = seesaw("pick", "here", "--save", home=home).out  # goes back to the suite's policy
    assert ("not saved" in said, follows in said, files(made)) == (False, False, before)


@pytest.mark.slow
def test_it_goes_on_from_any_folder_with_its_own_card(seesaw, made, elsewhere):
    card, before = made.parents[2] / "card.toml", search(seesaw, made)
    more = f"{before['seconds']['used'] + 0.5:.2f}s"
    text = card.read_text()
    card.write_text(text.replace('price = "numeric"', 'price = "categorical"'))
    try:
        said = seesaw("run", made, "--time", more, "--json", home=None)
    finally:
        card.write_text(text)
    assert said.code == 0, said.err
    assert search(seesaw, made)["kinds"] != before["kinds"]
    assert {path.name for path in elsewhere.iterdir()} == {"card.toml", "space.toml", "suite.toml"}


def test_other_data_is_refused_before_anything_of_the_run_is_written(seesaw, made, tmp_path):
    log = made.parents[2] / "raw" / "log.csv"
    text, before = log.read_text(), files(made)
    log.write_text(text.replace("u1,", "u2,"))
    try:
        said = seesaw("run", made, "--trials", 200000, home=None)
    finally:
        log.write_text(text)
    assert said.code == 2
    assert "expected the data of" in said.err
    assert {**files(made), "driver.lock": b""} == {**before, "driver.lock": b""}


@pytest.fixture
def read_only(made, monkeypatch):
    """The system refuses whatever would change the run's home; this holds for root as well."""
    home, refusing, access = str(made.parents[1]), [True], os.access

    def hook(event, given):
        changes = event in (
            "os.mkdir",
            "os.rename",
            "os.remove",
            "os.rmdir",
            "os.truncate",
            "os.chmod",
        )
        if (
            refusing
            and str(given[:1]).find(home) > 0
            and (changes or (event == "open" and given[2] & WRITING))
        ):
            raise PermissionError(errno.EACCES, "Permission denied", given[0])

    def may(path, mode, **more):
        return access(path, mode, **more) and not (mode & os.W_OK and str(path).startswith(home))

    monkeypatch.setattr(os, "access", may)
    sys.addaudithook(hook)  # cannot be taken away, but quietened
    yield made
    refusing.clear()


def test_a_home_that_cannot_be_written_is_looked_at(seesaw, read_only, tmp_path):
    home = read_only.parents[1]
    page = tmp_path / "page.html"
    commands = [
        ["status"],
        ["show"],
        ["show", "--page", page],
        ["pick"],
        ["diagnose"],
        ["compare"],
    ]
    for command, *options in commands:
        said = seesaw(command, "here", *options, home=home)
        assert (said.code, said.err) == (0, "")
    for command in ("list", "doctor"):
        assert seesaw(command, home=home).code == 0
    assert page.is_file()
    assert len(bench.load_run("here", home=home).front(heads=True))


def test_what_writes_names_what_cannot_be_written(seesaw, shop, read_only):
    home = read_only.parents[1]
    commands = [
        ["show", "here", "--page", home / "page.html"],
        ["run", "here"],
        ["status", "here", "--sync"],
        ["train", shop.card],
    ]
    for command in [
        *commands,
        ["run", shop.suite],
        ["data", "prepare", shop.card],
        ["pick", "here", "--save"],
    ]:
        said = seesaw(*command, home=home)
        assert said.code == 2, (command, said.err)
        assert re.fullmatch(
            rf"seesaw: {home}\S*: cannot be written: Permission denied.*\n", said.err
        ), said.err
