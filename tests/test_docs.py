"""The documents' commands run, in order, and their links lead somewhere."""

import base64
import copy
import gzip
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from server import served

import bench
from bench.app.cli import main
from bench.app.cli.app import PLACES, command_of
from bench.app.runs.deploy import open_model
from bench.core import plugins
from bench.deciding.policy import PICK_RULES, Epsilon, Guard, Policy, SegmentGuard
from bench.deciding.retraining import Retraining
from bench.testing import checks

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("reports/*/*.md"),
        *ROOT.glob("datasets/*/*.md"),
    ]
)
PATH_OF_A_MACHINE = re.compile(r"/(?:home|root|tmp|work|Users)/")


def blocks(document, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.M | re.S
    )


def commands(document):
    """Words of each command that a document shows."""
    return [
        shlex.split(line.removeprefix("$ "))
        for block in blocks(document, "console")
        for line in block.splitlines()
    ]


def say(words, capsys):
    """What a command of ours prints."""
    capsys.readouterr()
    code = main(words[1:])
    out, err = capsys.readouterr()
    assert (words[0], code) == ("seesaw", 0), f"{words}\n{out}\n{err}"
    return out


def shown(text, name):
    """Runs Python that a document shows."""
    exec(compile(text, name, "exec"), {})  # our own document: what it shows must work


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with its own home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEESAW_HOME", raising=False)
    return tmp_path


@pytest.mark.slow
def test_the_guides_commands_run_in_order(here, capsys):
    asked = commands("docs/guide.md")
    assert len(asked) >= 10
    for program, *arguments in asked:
        if program == "python":
            subprocess.run(
                [sys.executable, ROOT / arguments[0], *arguments[1:]], check=True, timeout=300
            )
        else:
            say([program, *arguments], capsys)
    for block in blocks("docs/guide.md", "python"):
        shown(block, "docs/guide.md")
    assert (here / ".seesaw" / "runs" / "first" / "report.html").is_file()


def in_order(document, capsys):
    """Runs `python` and `console` blocks in their order; what the commands print."""
    said = ""
    for language, body in re.findall(
        r"^```(python|console)\n(.*?)^```", (ROOT / document).read_text("utf-8"), re.M | re.S
    ):
        if language == "python":
            shown(body, document)
        else:
            said += "".join(say(shlex.split(line)[1:], capsys) for line in body.splitlines())
    return said


def test_the_commands_on_cards_run_in_order(here, capsys):
    assert in_order("docs/cards.md", capsys)


def write_log(path):
    """A shop's, whose `todays_score` is worse than chance."""
    rng, rows = np.random.default_rng(0), 2000
    users, items = rng.integers(0, 40, rows), rng.integers(0, 20, rows)
    price = rng.normal(10, 3, rows).round(2)
    click = rng.random(rows) < 1 / (1 + np.exp(-(np.sin(users) + np.cos(items))))
    buy = click & (rng.random(rows) < 1 / (1 + np.exp(-(1 - (price - 10) / 2))))
    today = (price - 2 * np.sin(users) - 2 * np.cos(items)).round(3)
    table = {
        "user": [f"u{user}" for user in users],
        "item": [f"i{item}" for item in items],
        "price": price,
    }
    table |= {
        "day": np.arange(rows) * 30 // rows + 1,
        "click": click * 1,
        "buy": buy * 1,
        "todays_score": today,
    }
    pd.DataFrame(table).to_csv(path, index=False)


@pytest.mark.slow  # half a minute: a search, two deployments and a server
def test_the_guide_to_deployment_works_to_the_served_model(here, capsys):
    """On a log of one's own; the server is started and stopped."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="the extra `serve`")
    guide = "docs/guide-deploy.md"
    write_log(here / "log.csv")
    for name, content in re.findall(
        r"^```toml (\S+)\n(.*?)^```", (ROOT / guide).read_text("utf-8"), re.M | re.S
    ):
        (here / name).write_text(content)
    (request,) = map(json.loads, blocks(guide, "json"))
    said: dict[str, str] = {}
    for words in commands(guide):
        if words[0] == "mlflow":
            model = words[words.index("-m") + 1]
        elif words[0] == "curl":
            with served(
                model, here / "server.log", f"sqlite:///{here / '.seesaw' / 'mlflow.db'}"
            ) as server:
                status, answer = server.ask(request)
                bad = copy.deepcopy(request)
                bad["dataframe_records"][1]["price"] = "cheap"
                refused, why = server.ask(bad)
        elif words[0] == "seesaw":
            said[" ".join(words)] = say(words, capsys)
    assert (status, refused) == (200, 400)
    assert "row 2: 'price': expected a number, found 'cheap'" in why["message"]
    offline = open_model(here / ".seesaw", "shop/1").scorer().predict(request["dataframe_records"])
    assert list(offline) == ["click", "buy.cvr", "buy.ctcvr", "score"]
    pd.testing.assert_frame_equal(
        pd.DataFrame(answer["predictions"]), offline, atol=1e-5, check_dtype=False
    )
    scores = pd.read_parquet(here / "scores" / "log-00000.parquet")
    assert len(scores) == 2000
    assert list(scores) == ["user", "item", *offline]
    promoted = said["seesaw deploy shop --promote"]
    assert "shop: champion moves from version 1 to 2" in promoted
    assert "shop: previous moves to version 1" in promoted
    assert "shop: champion moves from version 2 to 1" in said["seesaw deploy shop --rollback"]
    watched = next(text for words, text in said.items() if "--watch" in words)
    assert "champion as packaged against today's score (todays_score): " in watched
    assert "kept: buy.recall@10% < -1%: the gain is " in watched
    assert any("eager: probabilities differ by at most" in text for text in said.values())


def notebook_cells():
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_notebook_runs_where_nothing_was_made(here, monkeypatch):
    """Its cells in order in one namespace, in an empty folder; a kernel would only cost time and
    packages.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    names: dict[str, object] = {}
    for cell in notebook_cells():
        exec(compile("".join(cell["source"]), "docs/notebook.ipynb", "exec"), names)
    assert {"points", "trials", "replicates", "pick", "together"} <= names.keys()
    assert (here / ".seesaw" / "runs" / "notebook" / "report.html").is_file()


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
def test_the_document_on_decisions_works(here, capsys):
    make, ask = blocks("docs/decide.md", "python")
    shown(make, "docs/decide.md")
    assert "Switch to candidate" in "".join(
        say(words, capsys) for words in commands("docs/decide.md")
    )
    shown(ask, "docs/decide.md")
    text = (ROOT / "docs/decide.md").read_text(encoding="utf-8")
    (command,) = (each for each in blocks("README.md", "") if each.startswith("seesaw decide"))
    say(shlex.split(command.replace("\\\n", " ")), capsys)
    options = command_of("decide").params
    named = {option.opts[0] for option in options if option.opts[0].startswith("--")}
    assert not [
        name
        for name in named
        - {"--file", "--today", "--outcome", "--seed", "--toml", "--json", "--to", "--home"}
        if name not in text
    ]


@pytest.mark.slow
def test_the_document_on_own_models_works(here, monkeypatch, capsys):
    pytest.importorskip("lightgbm", reason="LightGBM comes with the extra `peers`")
    monkeypatch.syspath_prepend(str(here))
    text = (ROOT / "docs/own-model.md").read_text("utf-8")
    for name, body in re.findall(r"^```(?:python|toml) (\S+)\n(.*?)^```", text, re.M | re.S):
        (here / name).write_text(body)
    for block in blocks("docs/own-model.md", "python"):
        shown(block, "docs/own-model.md")
    said = [say(words, capsys) for words in commands("docs/own-model.md")]
    assert "counts" in said[-1]


@pytest.mark.slow
def test_the_document_on_tomorrow_works(here, monkeypatch, capsys):
    (make,) = blocks("docs/tomorrow.md", "python")
    shown(make, "docs/tomorrow.md")
    said = ""
    for words in commands("docs/tomorrow.md"):
        if "--refresh" in words:
            with monkeypatch.context() as patch:
                patch.setattr(
                    "bench.app.runs.refresh._worse", lambda found, deployment: ["click.recall@10%"]
                )
                assert main(["deploy", "days", "--raw", ".", "--no-onnx", "--refresh"]) == 2
            assert "loses more of click.recall@10% than" in capsys.readouterr().err
            assert not list(here.rglob("package-new"))
        said += say(words, capsys)
    assert "8 days: " in said
    assert main(["deploy", "days", "--raw", ".", "--no-onnx", "--refresh"]) == 2
    assert "to train on, and 1d to judge by, found none" in capsys.readouterr().err
    page = (here / ".seesaw" / "runs" / "days" / "report.html").read_text(encoding="utf-8")
    assert "<h3>By cut</h3>" in page
    # the verdict counts days
    assert re.search(r'<p class="verdict [^>]*>.*?did better than .*?</p>', page)


@pytest.mark.slow
def test_what_is_done_before_the_test_works(here, capsys):
    said = in_order("docs/before-the-test.md", capsys)
    assert re.search(r"to show \+7\.\d+% and pass the guardrail of click", said)
    assert (here / "verdict" / "plan.html").is_file()
    assert json.loads((here / "by-row" / "plan.json").read_text("utf-8"))["unit"] == "row"
    assert "rows shown at random" in (here / "fair" / "report.html").read_text("utf-8")
    (shown,) = re.findall(
        r"`(Distinct author .+)`", (ROOT / "docs/before-the-test.md").read_text("utf-8")
    )
    assert shown in " ".join(said.split())
    page = (here / ".seesaw" / "runs" / "feed" / "report.html").read_text("utf-8")
    assert "Distinct author in the first 5: " in page
    _check_explanation(here / ".seesaw" / "runs" / "shop", capsys)


def _check_explanation(run, capsys):
    assert main(["explain", "shop", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sentence"].startswith(
        "The order owes most to brand and rating + stars: shuffling brand loses "
    )
    assert [each["name"] for each in found["inputs"]] == [
        "brand",
        "rating + stars",
        "price",
        "hour",
    ]
    assert found["sentence"] in (run / "report.html").read_text("utf-8")
    table = pd.read_csv(run / "shop" / "explained.csv")
    assert table.groupby("kind").size().to_dict() == {"heads": 6, "inputs": 8}
    assert bench.load_run(run).figure("inputs").svg.count("<rect") == 2 + 8
    assert main(["deploy", "shop", "--raw", ".", "--no-onnx", "--force"]) == 0
    assert not [*(run / "shop").glob("explained.*")]  # of the package that was there
    shutil.rmtree(run / "shop" / "package")
    capsys.readouterr()
    assert main(["explain", "shop"]) == 2
    assert (
        "expected a deployed model to explain, found none; first `seesaw deploy shop`"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_the_policies_of_the_document_pick(here, capsys):
    text = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
    for name, policy in re.findall(r"^```toml (\S+)\n(.*?)^```", text, re.M | re.S):
        (here / name).write_text(policy)
    for words in commands("docs/policy.md"):
        say(words, capsys)
    for part in (Policy, Guard, SegmentGuard, Retraining, Epsilon):
        assert not [
            key for key in part.model_fields if f"`{key}`" not in text and f"[{key}]" not in text
        ]
    assert not [rule for rule in PICK_RULES if f"`{rule}`" not in text]


@pytest.mark.slow
def test_the_plug_in_of_the_document_works(here, monkeypatch, capsys):
    monkeypatch.setattr(plugins, "_FILES", {})
    text = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    for name, content in re.findall(r"^```(?:python|toml) (\S+)\n(.*?)^```", text, re.M | re.S):
        (here / name).write_text(content)
    for words in commands("docs/plugins.md"):
        say(words, capsys)
    monkeypatch.setattr(plugins, "_FILES", {})
    (code,) = re.findall(r"^```python\n(import bench\n.*?)^```", text, re.M | re.S)
    exec(compile(code, "docs/plugins.md", "exec"), {})
    assert capsys.readouterr().out.strip()
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
    known = {}
    for name in PLACES:
        options = command_of(name).params
        known[name] = {spelling for option in options for spelling in option.opts}
    for document in DOCUMENTS:
        for command in re.findall(r"`seesaw ([a-z][^`]*)`", document.read_text(encoding="utf-8")):
            name, *words = command.split()
            if name == "data":
                name = f"data {words.pop(0)}"
            assert name in known, f"{document.name}: seesaw {command}"
            options = {
                word.split("=")[0].strip("[],.")
                for word in words
                if word.strip("[").startswith("--")
            }
            missing = options - known[name] - {"--plugin", "--help", "--version"}
            assert not missing, f"{document.name}: seesaw {command}: {missing}"


def test_every_command_takes_json_as_the_guide_says():
    for name in PLACES:
        assert any("--json" in option.opts for option in command_of(name).params), name


def test_make_targets_that_documents_name_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for document in DOCUMENTS:
        for target in re.findall(
            r"^(?:`|\s*)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.M
        ):
            assert re.search(rf"^{target}:", makefile, re.M), f"{document.name}: make {target}"


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(
            r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")
        ):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_paths_that_documents_name_exist():
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "docs/contracts.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for path in re.findall(
            r"`((?:bench|studies|tests|datasets|reports|search_spaces)/[\w./-]*)`", text
        ):
            assert (ROOT / path).exists(), f"{name}: {path}"
    for document in DOCUMENTS:
        for path in re.findall(r"\bpython (studies/\S+\.py)", document.read_text(encoding="utf-8")):
            assert (ROOT / path).is_file(), f"{document.name}: {path}"


def test_the_readme_tells_what_its_page_says():
    page = (ROOT / "docs" / "demo" / "quick.html").read_text(encoding="utf-8")
    verdict = re.search(
        r"is ahead of single-task models by (\S+) \(([^)]*)\)", page.replace("&nbsp;", " ")
    )
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"is ahead of single-task models by {verdict[1]} ({verdict[2]})" in readme
