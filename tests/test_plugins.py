"""Plug-ins: what they may give, what is refused, and the example package from its wheel to a served
model.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from data_toys import LEAST

import bench
from bench.app.cli import main
from bench.core import plugins
from bench.core.errors import UserError
from bench.core.plugins import PluginFile
from bench.core.records import Job
from bench.core.registry import Chosen
from bench.core.schema import Field, Schema, Task
from bench.deciding.policy import PICK_RULES, Policy
from bench.models.balancing import BALANCING
from bench.models.training.config import TrialConfig
from bench.models.training.job import run_job
from bench.search.executors import EXECUTORS
from bench.search.executors.process import run_by_name
from bench.serve.engines import ENGINES
from bench.serve.served_model import ModelPart, ModelSpec
from bench.testing import checks
from bench.testing.readers import ReaderSample

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "plugin"
LARGEST = """
from bench.models.balancing import LossWeighting
from bench.models.contracts import Sharing
from bench.models.sharing.shared_bottom import SharedBottom
from bench.models.model_options import HiddenConfig
from bench.core.registry import Entry, NoOptions

class Largest(LossWeighting):
    def __init__(self, tasks, config):
        super().__init__(tasks)

    def forward(self, losses):
        return len(losses) * losses.max()

BALANCING = {"largest": Entry(Largest, NoOptions, "-", "the largest loss alone")}
SHARING = {"twin": Entry(SharedBottom, HiddenConfig, "-", "a shared bottom of another name")}
"""


RULE = """
from bench.deciding.policy import PickRule

PICK_RULES = {"first": PickRule(lambda gains, terms: gains[..., 0], "has the best {names}")}
"""


@pytest.fixture
def add(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_FILES", {})
    monkeypatch.delenv(plugins.PLUGIN, raising=False)

    def added(text=LARGEST, name="mine.py"):
        (tmp_path / name).write_text(textwrap.dedent(text))
        file = PluginFile.read(tmp_path / name)
        plugins.add(file)
        return file

    return added


def test_entries_of_a_file_are_entries(add):
    before = dict(BALANCING)
    file = add()
    assert dict(BALANCING) == before | {"largest": BALANCING["largest"]}
    assert TrialConfig.parse({"balancing.kind": "largest"}).balancing == Chosen(
        "largest", BALANCING["largest"].config()
    )
    assert plugins.needs(
        {"balancing.kind": "largest", "sharing.kind": "mmoe", "optim.lr": 0.1}.items()
    ) == {"balancing.largest": file.origin}
    plugins.add(file)  # once more changes nothing
    assert len(checks("sharing", "twin")) > 20


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            LARGEST.replace('"largest"', '"static"'),
            "expected a new name, found 'static', which seesaw itself has",
        ),
        (
            "BALANCING = {'mine': 3}",
            r"seesaw.balancing.mine: expected a bench.core.registry.Entry, found int",
        ),
        ("import sys\nsys.exit(3)", "cannot be imported: SystemExit: 3"),
        ("x = 1", "expected one of the dicts SHARING, .* and PICK_RULES, found none"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_exit_code_2(add, tmp_path, capsys, text, sentence):
    (tmp_path / "bad.py").write_text(text)
    command = [
        "train",
        "synthetic-funnel@rows=4000",
        "--set",
        "balancing.kind=mine",
        "--home",
        str(tmp_path),
    ]
    assert main([*command, "--plugin", str(tmp_path / "bad.py")]) == 2
    assert re.match(rf"seesaw: plug-in bad.py \(sha256 \w+\).*{sentence}", capsys.readouterr().err)


def test_a_file_gives_rules_engines_and_executors(add):
    add(RULE + 'ENGINES = EXECUTORS = {"mine": lambda *given: None}')
    assert Policy(rule="first").rule == "first"
    assert "mine" in ENGINES
    assert list(EXECUTORS)[-1] == "mine"
    assert list(plugins.needs([("executor.kind", "mine"), ("rule.kind", "first")])) == [
        "executor.mine",
        "rule.first",
    ]
    add("EXECUTORS = {'none': 3}", "other.py")
    with pytest.raises(
        UserError,
        match=r"seesaw.executor.none: expected a function \(run, workers, options\), found int",
    ):
        dict(EXECUTORS)


def test_a_file_gives_a_reader_with_options_of_its_own(add):
    add("""
    from typing import Literal
    from bench.core.registry import Entry
    from bench.data import readers
    from bench.data.sources import CsvReader

    class Semicolons(CsvReader):
        kind: Literal["semicolons"] = "semicolons"
        separator: str = ";"

    FILES = {"semicolons": Entry(readers.FILES["csv"].build, Semicolons, "-", "text between semicolons")}
    """)
    card = {
        "reader": {"kind": "semicolons"},
        "files": [{"name": "log.txt"}],
        "columns": {"user": "categorical"},
    }
    rows = [{"user": "u,1", "click": "0"}, {"user": "u;2", "click": "1"}]
    content = b'user;click\nu,1;0\n"u;2";1\n'
    sample = ReaderSample(LEAST | card, content, rows, content + b"u;1;1\n", "line 4")
    for check in checks("reader", "semicolons", sample=sample):
        check()


def test_two_files_may_not_give_one_name(add):
    add()
    add(LARGEST + "\n", "other.py")
    with pytest.raises(
        UserError, match=r"plug-in other.py .* found 'largest', which mine.py \(sha256 \w+\) has"
    ):
        dict(BALANCING)


def test_what_is_missing_or_changed_is_told(add, monkeypatch):
    needed = plugins.needs([("balancing.kind", "largest")])
    assert not needed
    file = add()
    needed = plugins.needs([("balancing.kind", "largest")])
    plugins.check(needed, "run")
    monkeypatch.setattr(plugins, "_FILES", {})
    with pytest.raises(
        UserError,
        match=r"^run: expected balancing.largest of the plug-in mine.py \(sha256 \w+\), found",
    ):
        plugins.check(needed, "run", same=False)
    changed = add(LARGEST + "# changed\n")
    with pytest.raises(UserError, match=f"found {re.escape(changed.origin)}: it changed since"):
        plugins.check({"balancing.largest": file.origin}, "run")
    plugins.check(needed, "run", same=False)


def test_a_job_brings_the_file_that_it_needs(add, tmp_path, monkeypatch):
    file = add()
    monkeypatch.setattr(plugins, "_FILES", {})
    job = Job(
        0,
        0,
        {"balancing.kind": "largest"},
        str(tmp_path / "nothing"),
        0,
        ("valid",),
        (),
        (),
        1,
        plugins=(file,),
    )
    with pytest.raises(UserError, match="nothing"):  # no store: it came as far as that
        run_job(job)
    assert plugins.files() == (file,)


@pytest.fixture
def old_run(add, tmp_path):
    """A run that used a pick rule of a file, which this process does not have; and that file."""
    file = add(RULE, "rule.py")
    folder = (
        Path(shutil.copytree(ROOT / "tests/golden/formats/0.1.0", tmp_path / "home"))
        / "runs"
        / "first"
    )
    manifest = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(
        json.dumps(manifest | {"plugins": {"rule.first": file.origin}})
    )
    plugins._FILES.clear()
    return folder, Path(file.path)


def through_the_command_line(folder, **options):
    words = [word for path in options.values() for word in ("--plugin", str(path))]
    return main(["status", str(folder), "--json", *words])


def through_run(folder, **options):
    with pytest.raises(UserError, match=r"^enough, with first$"):
        bench.run("synthetic-funnel", home=folder, **options)
    return 0


def through_decide(folder, **options):
    rows = pd.DataFrame({"a": [0, 1] * 50, "b": [1, 0] * 50})
    asked = {"labels": ["a", "b"], "models": {"today": ["p", "q"]}, "policy": {"rule": "first"}}
    with pytest.raises(UserError, match="'p'"):  # past its options
        bench.decide(rows, **asked, **options)
    return 0


def through_load_run(folder, **options):
    return 0 if bench.load_run(folder, **options).run.name == "first" else 1


@pytest.mark.parametrize("named", ["by the variable", "by the argument", "by both"])
@pytest.mark.parametrize(
    "door",
    [through_the_command_line, through_run, through_decide, through_load_run],
    ids=lambda door: door.__name__,
)
def test_a_file_comes_in_through_every_door(old_run, monkeypatch, door, named):
    folder, file = old_run

    def create(home, request, progress, words):
        raise UserError(f"enough, with {[*PICK_RULES][-1]}")

    monkeypatch.setattr("bench.app.runs.extend.create", create)
    if named != "by the argument":
        monkeypatch.setenv(plugins.PLUGIN, str(file))
    assert door(folder, **({} if named == "by the variable" else {"plugins": file})) == 0
    assert [Path(added.path) for added in plugins.files()] == [file]


def test_what_no_door_brings_is_told_with_all_ways_to_name_it(old_run):
    folder, _ = old_run
    ways = r"name it with --plugin, in Python with `plugins`, or anywhere with SEESAW_PLUGIN$"
    with pytest.raises(
        UserError,
        match=rf"^first: expected rule.first of the plug-in rule.py .*, found none; {ways}",
    ):
        bench.load_run(folder)


@pytest.mark.parametrize("call", [bench.run, bench.decide, bench.load_run])
def test_a_file_that_is_not_there_is_one_sentence_each_time(add, monkeypatch, call):
    with pytest.raises(
        UserError, match=r"^plugins nowhere.py: expected a file of Python: No such file"
    ):
        call("log.csv", plugins=["nowhere.py"])
    monkeypatch.setenv(plugins.PLUGIN, "nowhere.py")
    for _ in range(2):
        with pytest.raises(
            UserError, match=r"^SEESAW_PLUGIN nowhere.py: expected a file of Python: No such file"
        ):
            call("log.csv")


def test_a_file_of_the_variable_may_read_the_registry_that_it_extends(add, tmp_path, monkeypatch):
    (tmp_path / "curious.py").write_text(
        LARGEST + "from bench.models.balancing import BALANCING as OURS\nassert OURS['static']"
    )
    monkeypatch.setenv(plugins.PLUGIN, str(tmp_path / "curious.py"))
    assert "largest" in BALANCING


def test_a_worker_has_the_driver_s_text_of_a_file_that_changed_since(add, tmp_path, monkeypatch):
    file = add()
    monkeypatch.setattr(plugins, "_FILES", {})
    monkeypatch.setenv(plugins.PLUGIN, file.path)
    Path(file.path).write_text(LARGEST + "# changed\n")
    job = Job(
        0,
        0,
        {"balancing.kind": "largest"},
        str(tmp_path / "nothing"),
        0,
        ("valid",),
        (),
        (),
        1,
        plugins=(file,),
    )
    with pytest.raises(UserError, match="nothing"):  # no store: it came as far as that
        run_by_name("bench.models.training.job:run_job", None, job)
    assert plugins.files() == (file,)
    assert list(plugins.needs([("balancing.kind", "largest")]).values()) == [file.origin]


def test_the_variable_names_what_a_packaged_model_needs(add, monkeypatch):
    file = add()
    schema = Schema((Field("user", 9),), (), (Task("click"), Task("like")))
    config = TrialConfig.parse({"sharing.kind": "twin"}).dotted()
    recipe = ModelSpec.of_trained(schema, [ModelPart.whole(config, schema)], [[[[{}]]]])
    monkeypatch.setattr(plugins, "_FILES", {})
    monkeypatch.setenv(plugins.PLUGIN, file.path)
    assert recipe.weights()


def test_a_packaged_model_needs_what_is_in_it_and_not_its_balancer(add, monkeypatch):
    add()
    schema = Schema((Field("user", 9),), (), (Task("click"), Task("like")))
    config = TrialConfig.parse({"sharing.kind": "twin", "balancing.kind": "largest"}).dotted()
    recipe = ModelSpec.of_trained(schema, [ModelPart.whole(config, schema)], [[[[{}]]]])
    assert list(recipe.plugins) == ["sharing.twin"]
    assert recipe.weights()
    monkeypatch.setattr(plugins, "_FILES", {})
    with pytest.raises(
        UserError,
        match=r"^the packaged model: expected sharing.twin of the plug-in mine.py .* --plugin, ",
    ):
        recipe.weights()
    ModelSpec.of_trained(
        schema, [ModelPart.whole(config | {"sharing.kind": "mmoe"}, schema)], [[[[{}]]]]
    )


def test_seesaw_is_bench():
    code = (
        "import seesaw, bench; import seesaw.ledger.comparison as a; import "
        "bench.ledger.comparison as b; from seesaw.core.registry import Entry; import "
        "bench.core.registry as c; assert Entry is c.Entry; assert seesaw is bench and a is b and "
        "a.__spec__.name == a.__name__ == 'bench.ledger.comparison'"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a process that has the example package installed."""
    site = tmp_path_factory.mktemp("site")
    # a build leaves files
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "plugin")
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(site)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # what pip does with it, and needs no pip
    zipfile.ZipFile(next(site.glob("*.whl"))).extractall(site)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}


@pytest.mark.slow
def test_the_example_passes_its_own_tests(installed):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(EXAMPLE),
    ]
    done = subprocess.run(
        [*command, str(EXAMPLE / "tests")], env=installed, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["process", "ray"])
def test_the_example_is_searched_packaged_and_served(installed, tmp_path, executor):
    if executor == "ray":
        pytest.importorskip("ray", reason="no Ray: the extra `ray`")
        # and not the cluster of a test beside this one
        installed = {
            **installed,
            "RAY_ADDRESS": "local",
        }
    (tmp_path / "space.toml").write_text(
        'title = "Mine"\n[fixed]\n"sharing.kind" = "linear_residual"\n"optim.epochs" = '
        '1\n"embedding.dim" = 4\n[parameters."balancing.kind"]\ntype = "switch"\ndefault = '
        '"loss_power"\n[parameters."balancing.kind".branches.largest]\n[parameters."balancing.kind".branches.loss_power]\n"balancing.loss_power.power" '
        '= { type = "float", low = 0.1, high = 2.0, default = 0.5 }\n'
    )
    (tmp_path / "mine.py").write_text(LARGEST)

    def seesaw(*words, code=0, env=installed):
        command = [sys.executable, "-m", "bench", *words]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    without = {**installed, "PYTHONPATH": str(ROOT)}
    listed = json.loads(seesaw("doctor", "--json"))["plugins"]
    assert listed == dict.fromkeys(
        ("balancing.loss_power", "rule.least_gain", "sharing.linear_residual"),
        "seesaw-example 0.1.0",
    )
    searching = [
        "run",
        "quick",
        "--name",
        "a",
        "--dataset",
        "synthetic-funnel@rows=4000",
        "--space",
        "space.toml",
    ]
    searching += ["--trials", "2", "--executor", executor, "--workers", "2"]
    seesaw(*searching, env={**installed, "SEESAW_PLUGIN": "mine.py"})
    run = json.loads((tmp_path / ".seesaw" / "runs" / "a" / "run.json").read_text())
    assert set(run["plugins"]) == {
        "balancing.largest",
        "balancing.loss_power",
        "sharing.linear_residual",
    }
    log = next((tmp_path / ".seesaw" / "runs" / "a").glob("*/study.jsonl")).read_text()
    assert "unknown" not in log
    assert seesaw("run", "a", code=2).startswith(
        "seesaw: a: expected balancing.largest of the plug-in mine.py"
    )
    with (tmp_path / "mine.py").open("a") as file:
        file.write("# changed\n")
    assert "it changed since" in seesaw("run", "a", "--plugin", "mine.py", code=2)
    if executor == "ray":
        return
    (tmp_path / "mine.py").write_text(LARGEST)
    seesaw("deploy", "a", "--no-onnx", "--plugin", "mine.py")
    package = next((tmp_path / ".seesaw" / "runs" / "a").glob("*/package"))
    assert json.loads((package / "manifest.json").read_text())["plugins"] == {
        "sharing.linear_residual": "seesaw-example 0.1.0"
    }
    seesaw("score", str(package), "--latency")
    refused = seesaw("score", str(package), "--latency", code=2, env=without)
    assert (
        "expected sharing.linear_residual of the plug-in seesaw-example 0.1.0, found none; "
        "install it"
    ) in refused
    assert "install it" in seesaw("show", "a", "--plugin", "mine.py", code=2, env=without)
