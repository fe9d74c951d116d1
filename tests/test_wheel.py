"""The wheel: one top-level package, and its content is found from anywhere."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A checkout, as far as it is packaged."""
    source = tmp_path_factory.mktemp("source")
    kept = ("bench", "datasets", "search_spaces", "reports")
    for name in kept:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "_content"))
    for name in ("pyproject.toml", "setup.py", "seesaw.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    return source


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    pytest.importorskip("build", reason="the package `build` makes the wheel")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_an_install_in_place_shows_no_warning(source, tmp_path):
    code = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.whl"))
    assert "Warning" not in done.stderr
    assert "InformationOnly" not in done.stderr


@pytest.mark.slow
def test_its_only_top_level_names_are_bench_and_its_alias(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bench", "seesaw.py"}


def test_it_holds_every_module_and_all_content(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "bench").rglob("*.py")}
    content = {
        f"bench/_content/{path.relative_to(ROOT)}"
        for kind in ("datasets", "search_spaces", "reports")
        for path in (ROOT / kind).rglob("*.toml")
    }
    assert content
    assert modules | content | {"bench/py.typed", "bench/_content/reports/reference/table.parquet"} <= inside


def test_it_finds_its_content_from_an_empty_directory(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    empty = tmp_path / "empty"
    empty.mkdir()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import bench; from bench.system import content; "
        "assert bench.__file__.startswith(sys.argv[1]), bench.__file__; "
        "print(content.names('datasets'), content.names('search_spaces'), content.names('reports')); "
        "content.read_toml(content.find('reports', 'quick')); "
        "from bench.reference.execute import published; assert published('reference').is_file()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(site)], cwd=empty, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("census-income", "synthetic-funnel", "quick"):
        assert name in done.stdout
