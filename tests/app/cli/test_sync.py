"""MLflow that was away during a run, and `seesaw sync` after it: from the command line, with a real
server.
"""

import json
import shutil
import sys

import pytest
from contents import content, everything_once
from corruptions.work import run
from servers import RealServer, silent_server

from bench.app.runs.create import create
from bench.app.runs.extend import extended
from bench.app.runs.folder import Run
from bench.app.runs.request import Request
from bench.core.errors import UserError
from bench.core.system.credentials import PASSWORD, USERNAME
from bench.search.study import Study

SECRET = "a@s3cret"


class Shell:
    """Calls commands with one home."""

    def __init__(self, home):
        self.home = home

    def __call__(self, *arguments):
        return run([*arguments, "--home", self.home])

    def records(self, name):
        (part,) = Run.open(self.home, name).datasets.values()
        return Study.read(part.folder).records()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = RealServer(tmp_path_factory.mktemp("server"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    return Shell(tmp_path_factory.mktemp("home"))


def searched(shell, shop, name, uri):
    options = (
        "--raw",
        shop.raw,
        "--executor",
        "inline",
        "--trials",
        3,
        "--name",
        name,
        "--tracking",
        uri,
        "--json",
    )
    with pytest.MonkeyPatch.context() as patch:
        # what is kept as the command
        patch.setattr(sys, "argv", ["seesaw", "run", *map(str, options)])
        return shell("run", shop.suite, *options)


@pytest.fixture(scope="module")
def away(server, shell, module_shop):
    """A run during which the server was not there; it is there from then on. The address came with
    a password.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in (USERNAME, PASSWORD):
            patch.setenv(name, "")
        said = searched(shell, module_shop, "away", server.uri.replace("://", f"://me:{SECRET}@"))
        server.start()
        yield said


@pytest.mark.slow
def test_no_password_is_kept_or_shown(server, shell, away):
    assert (
        json.loads((shell.home / "runs/away/run.json").read_text())["request"]["tracking"]
        == server.uri
    )
    dead = shell("status", "away", "--sync", "--tracking", f"http://me:{SECRET}@127.0.0.1:1")
    assert (dead[0], "nothing answers there" in dead[2]) == (2, True)
    shell("pick", "away", "--save")
    for text in (*away[1:], *dead[1:], *shell("pick", "away")[1:]):
        assert "s3cret" not in text
    files = [path for path in shell.home.rglob("*") if path.is_file()]
    assert {"run.json", "provenance.json", "report.html", "study.jsonl"} <= {
        path.name for path in files
    }
    assert not [path for path in files if b"s3cret" in path.read_bytes()]


def test_credentials_go_only_to_an_address_that_was_named_for_this_home(
    seesaw, shop, tmp_path, monkeypatch
):
    """A run and its whole home may be somebody else's."""
    for name in (USERNAME, PASSWORD):
        monkeypatch.setenv(name, SECRET)
    with silent_server() as (port, asked):
        uri, theirs, mine = f"http://127.0.0.1:{port}", tmp_path / "theirs", tmp_path / "home"
        create(
            theirs,
            Request(suite=str(shop.suite), name="a", raw=shop.raw, executor="inline", tracking=uri),
        )
        assert Run.open(theirs, "a").store_address == uri
        shutil.copytree(theirs, mine)
        for command in (
            ("status", "a", "--sync"),
            ("run", "a"),
            ("run", mine / "runs" / "a", "--current", "models:/m/1"),
        ):
            said = seesaw(*command)
            assert (said.code, said.out) == (2, "")
            assert (
                f"an MLflow address that you named for {mine} before, found {uri} in"
                in one_sentence(said.err)
            )
            assert not asked
        assert seesaw("status", "a", "--sync", "--tracking", uri).code == 0
        run = Run.open(mine, "a")
        assert run.store_address == uri
        other = extended(run, Request(suite="a", tracking="https://me:s3cret@host/x"))
        with pytest.raises(
            UserError, match=r"^--address: expected HOST:PORT .* found 'ray://\*\*\*@host:1'$"
        ):
            extended(
                run.changed(request=run.request.model_copy(update={"executor": "ray"})),
                Request(suite="a", address="ray://s3cret@host:1"),
            )
        assert (other.request.tracking, other.store_address) == ("https://host/x", "https://host/x")


def test_a_run_of_somebody_else_shows_no_password_and_stays_in_its_folder(seesaw, shop, tmp_path):
    run = create(
        tmp_path / "home", Request(suite=str(shop.suite), name="a", raw=shop.raw, executor="inline")
    )
    file = run.folder / "run.json"
    kept = file.read_text()
    for address in (
        f"http://me:{SECRET}@127.0.0.1:1",
        f"postgresql://me:{SECRET}@h/db",
        f"http://h/x?t={SECRET}",
    ):
        values = json.loads(kept)
        values["request"]["tracking"] = address
        file.write_text(json.dumps(values))
        for options in ((), ("--json",)):
            said = seesaw("status", "a", *options)
            assert (said.code, "s3cret" in said.out + said.err) == (0, False)
    for folder in ("..", "../b", str(tmp_path), "."):
        values = json.loads(kept)
        next(iter(values["parts"].values()))["folder"] = folder
        file.write_text(json.dumps(values))
        said = seesaw("status", "a")
        assert (said.code, said.out) == (2, "")
        assert f"expected the name of a folder in the run's, found '{folder}'" in one_sentence(
            said.err
        )


def one_sentence(err):
    (line,) = err.splitlines()
    assert line.startswith("seesaw: ")
    return line


@pytest.mark.slow
def test_a_server_that_is_down_leaves_a_note(shell, away):
    code, out, err = away
    assert code == 0, err
    assert json.loads(out)["points"]
    assert (shell.home / "runs" / "away" / "report.html").is_file()
    (note,) = (line for line in err.splitlines() if "--sync" in line)
    assert note.startswith(
        "MLflow has 0 of 3 trials; `seesaw status away --sync` sends what is missing (could not "
    )
    assert "Traceback" not in err


@pytest.mark.slow
def test_what_was_not_sent_is_sent_once(server, shell, away, tmp_path):
    code, out, err = shell("status", "away", "--sync", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    confirmed = sum(len(record.replicates) for record in shell.records("away"))
    assert (document["run"], document["tracking"]) == ("away", server.uri)
    assert document["sent"] == {
        "trials": 3,
        "replicates": confirmed,
        "hypervolumes": 3,
        "fronts": 1,
    }
    found = content(server.uri, "away", tmp_path / "files", "seesaw/shop")
    everything_once(found, shell.records("away"))
    ((status, _, _, _, _, files),) = found["parent", None, None, None]
    assert status == "FINISHED"
    assert files["report.html"] == (shell.home / "runs" / "away" / "report.html").read_bytes()

    assert shell("status", "away", "--sync") == (0, f"nothing was missing at {server.uri}\n", "")
    assert json.loads(shell("status", "away", "--sync", "--json")[1])["sent"] == dict.fromkeys(
        document["sent"], 0
    )
    assert content(server.uri, "away", tmp_path / "again", "seesaw/shop") == found
