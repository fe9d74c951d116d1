"""The documents' commands run, in order, and their links lead somewhere."""

import base64
import gzip
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer

import bench
from bench.cli import main
from bench.cli.app import app
from bench.core import plugins
from bench.frontier.policy import PICK_RULES, Epsilon, Guard, Policy, Segments
from bench.frontier.retraining import Retraining
from bench.testing import checks

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("reports/*/*.md"), *ROOT.glob("datasets/*/*.md")]
)
PATH_OF_A_MACHINE = re.compile(r"/(?:home|root|tmp|work|Users)/")


def blocks(document, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.slow
def test_the_guides_commands_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    commands = [line[2:] for block in blocks("docs/guide.md", "console") for line in block.splitlines()]
    assert len(commands) >= 10
    for command in commands:
        program, *arguments = shlex.split(command)
        if program == "python":
            subprocess.run([sys.executable, ROOT / arguments[0], *arguments[1:]], check=True, timeout=300)
            continue
        assert program == "seesaw"
        assert main(arguments) == 0, f"{command}\n{capsys.readouterr().err}"
    for block in blocks("docs/guide.md", "python"):
        names: dict[str, object] = {}
        exec(compile(block, "docs/guide.md", "exec"), names)  # our own document: what it shows must work
    assert (tmp_path / ".seesaw" / "runs" / "first" / "report.html").is_file()


def notebook_cells():
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_notebook_runs_where_nothing_was_made(tmp_path, monkeypatch):
    """Its cells in order in one namespace, in an empty folder; a kernel would only cost time and packages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    names: dict[str, object] = {}
    for cell in notebook_cells():
        exec(compile("".join(cell["source"]), "docs/notebook.ipynb", "exec"), names)
    assert {"points", "trials", "replicates", "pick", "together"} <= names.keys()
    assert (tmp_path / ".seesaw" / "runs" / "notebook" / "report.html").is_file()


def test_the_notebook_keeps_what_it_shows():
    cells = notebook_cells()
    kept = json.dumps([cell["outputs"] for cell in cells])
    assert all(cell["outputs"] for cell in cells)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert kept.count("image/svg+xml") == 2
    assert '"error"' not in kept
    assert '"stderr"' not in kept
    assert not PATH_OF_A_MACHINE.search(kept)


@pytest.mark.slow
def test_the_document_on_decisions_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make, ask = blocks("docs/decide.md", "python")
    exec(compile(make, "docs/decide.md", "exec"), {})
    for block in blocks("docs/decide.md", "console"):
        for line in block.splitlines():
            assert main(shlex.split(line)[2:]) == 0, f"{line}\n{capsys.readouterr().err}"
    assert "Switch to candidate" in capsys.readouterr().out
    exec(compile(ask, "docs/decide.md", "exec"), {})
    text = (ROOT / "docs/decide.md").read_text(encoding="utf-8")
    (command,) = (each for each in blocks("README.md", "") if each.startswith("seesaw decide"))
    assert main(shlex.split(command.replace("\\\n", " "))[1:]) == 0, capsys.readouterr().err
    options = typer.main.get_command(app).commands["decide"].params
    named = {option.opts[0] for option in options if option.opts[0].startswith("--")}
    assert not [
        name
        for name in named - {"--file", "--today", "--outcome", "--seed", "--toml", "--json", "--to", "--home"}
        if name not in text
    ]


@pytest.mark.slow
def test_the_document_on_tomorrow_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (make,) = blocks("docs/tomorrow.md", "python")
    exec(compile(make, "docs/tomorrow.md", "exec"), {})
    said = ""
    for block in blocks("docs/tomorrow.md", "console"):
        for line in block.splitlines():
            if "--refresh" in line:
                with monkeypatch.context() as patch:
                    patch.setattr("bench.runs.refresh._worse", lambda found, deployment: ["click.recall@10%"])
                    assert main(["deploy", "days", "--raw", ".", "--no-onnx", "--refresh"]) == 2
                told = capsys.readouterr()
                said += told.out
                assert "loses more of click.recall@10% than" in told.err
                assert not list(tmp_path.rglob("package-new"))
            assert main(shlex.split(line)[2:]) == 0, f"{line}\n{capsys.readouterr().err}"
    assert "8 days: " in said
    capsys.readouterr()
    assert main(["deploy", "days", "--raw", ".", "--no-onnx", "--refresh"]) == 2
    assert "to train on, and 1d to judge by, found none" in capsys.readouterr().err
    page = (tmp_path / ".seesaw" / "runs" / "days" / "report.html").read_text(encoding="utf-8")
    assert "<h3>By cut</h3>" in page
    assert re.search(r'<p class="verdict [^>]*>.*?did better than .*?</p>', page)  # the verdict counts days


@pytest.mark.slow
def test_what_is_done_before_the_test_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    document = (ROOT / "docs/before-the-test.md").read_text("utf-8")
    for kind, text in re.findall(r"```(python|console)\n(.*?)```", document, re.S):
        if kind == "python":
            exec(compile(text, "docs/before-the-test.md", "exec"), {})
        for line in text.splitlines() if kind == "console" else ():
            assert main(shlex.split(line)[2:]) == 0, f"{line}\n{capsys.readouterr().err}"
    said = capsys.readouterr().out
    assert "to show +7.46% and pass the guardrail of click" in said
    assert (tmp_path / "verdict" / "plan.html").is_file()
    assert json.loads((tmp_path / "by-row" / "plan.json").read_text("utf-8"))["unit"] == "row"
    assert "rows shown at random" in (tmp_path / "fair" / "report.html").read_text("utf-8")
    (shown,) = re.findall(r"`(Distinct author .+)`", document)
    assert shown in " ".join(said.split())
    page = (tmp_path / ".seesaw" / "runs" / "feed" / "report.html").read_text("utf-8")
    assert "Distinct author in the first 5: " in page
    _check_explanation(tmp_path / ".seesaw" / "runs" / "shop", capsys)


def _check_explanation(run, capsys):
    assert main(["explain", "shop", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sentence"].startswith("The order owes most to brand and rating + stars: shuffling brand loses ")
    assert [each["name"] for each in found["inputs"]] == ["brand", "rating + stars", "price", "hour"]
    assert found["sentence"] in (run / "report.html").read_text("utf-8")
    table = pd.read_csv(run / "shop" / "explained.csv")
    assert table.groupby("kind").size().to_dict() == {"heads": 6, "inputs": 8}
    assert bench.load_run(run).figure("inputs").svg.count("<rect") == 2 + 8
    assert main(["deploy", "shop", "--raw", ".", "--no-onnx", "--force"]) == 0
    assert not [*(run / "shop").glob("explained.*")]  # of the package that was there
    shutil.rmtree(run / "shop" / "package")
    capsys.readouterr()
    assert main(["explain", "shop"]) == 2
    assert "expected a deployed model to explain, found none; first `seesaw deploy shop`" in capsys.readouterr().err


@pytest.mark.slow
def test_the_policies_of_the_document_pick(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    text = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
    for name, policy in re.findall(r"^```toml (\S+)\n(.*?)^```", text, re.M | re.S):
        (tmp_path / name).write_text(policy)
    for command in (line[2:] for block in blocks("docs/policy.md", "console") for line in block.splitlines()):
        assert main(shlex.split(command)[1:]) == 0, f"{command}\n{capsys.readouterr().err}"
    for part in (Policy, Guard, Segments, Retraining, Epsilon):
        assert not [key for key in part.model_fields if f"`{key}`" not in text and f"[{key}]" not in text]
    assert not [rule for rule in PICK_RULES if f"`{rule}`" not in text]


@pytest.mark.slow
def test_the_plug_in_of_the_document_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    monkeypatch.setattr(plugins, "_FILES", {})
    text = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    for name, content in re.findall(r"^```(?:python|toml) (\S+)\n(.*?)^```", text, re.M | re.S):
        (tmp_path / name).write_text(content)
    for command in (line[2:] for block in blocks("docs/plugins.md", "console") for line in block.splitlines()):
        assert main(shlex.split(command)[1:]) == 0, f"{command}\n{capsys.readouterr().err}"
    for check in checks("balancing", "largest"):
        check()
    for group, place in plugins.GROUPS.items():
        assert f"| `seesaw.{group}` | `{place.split(':')[1]}` |" in text


def test_the_finished_page_is_small_and_holds_no_path_of_a_machine():
    page = ROOT / "docs" / "demo" / "quick.html"
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 700_000
    data = re.findall(r"<script[^>]* data-packed [^>]*>([^<]+)</script>", text)
    assert data
    for shown in (text, *(gzip.decompress(base64.b64decode(each)).decode() for each in data)):
        assert not PATH_OF_A_MACHINE.search(shown)


def test_the_readme_has_the_answer_of_the_reference():
    page = (ROOT / "docs/studies/reference.md").read_text(encoding="utf-8")
    answer = re.search(r"^\*\*(.+?)\. .+\*\*$", page, re.M)
    assert answer[1] in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


def test_commands_that_documents_name_have_these_options():
    """Of commands within a sentence or a table; those in blocks are run by the tests above."""
    commands = typer.main.get_command(app).commands
    known = {name: {each for option in of.params for each in option.opts} for name, of in commands.items()}
    for document in DOCUMENTS:
        for command in re.findall(r"`seesaw ([a-z][^`]*)`", document.read_text(encoding="utf-8")):
            name, *words = command.split()
            assert name in known, f"{document.name}: seesaw {command}"
            options = {word.split("=")[0].strip("[],.") for word in words if word.strip("[").startswith("--")}
            missing = options - known[name] - {"--plugin", "--help", "--version"}
            assert not missing, f"{document.name}: seesaw {command}: {missing}"


def test_every_command_takes_json_as_the_guide_says():
    for name, command in typer.main.get_command(app).commands.items():
        assert any("--json" in option.opts for option in command.params), name


def test_make_targets_that_documents_name_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for document in DOCUMENTS:
        for target in re.findall(r"^(?:`|\s*)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.M):
            assert re.search(rf"^{target}:", makefile, re.M), f"{document.name}: make {target}"


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_paths_that_documents_name_exist():
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for path in re.findall(r"`((?:bench|studies|tests|datasets|reports|search_spaces)/[\w./-]*)`", text):
            assert (ROOT / path).exists(), f"{name}: {path}"
    for document in DOCUMENTS:
        for path in re.findall(r"\bpython (studies/\S+\.py)", document.read_text(encoding="utf-8")):
            assert (ROOT / path).is_file(), f"{document.name}: {path}"
