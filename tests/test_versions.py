"""The tested versions fit the ranges of pyproject.toml, and the oldest of them are its lower bounds."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = canonicalize_name(PROJECT["name"])
PYTHONS = ("3.11.0", "3.12.0", "3.13.0")


def asked(*extras):
    """The project's dependencies and those of extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return [each for each in map(Requirement, lines) if canonicalize_name(each.name) != OWN]


def pinned(name, python):
    """The version that a file of constraints has for each package, on Linux with this Python."""
    where = {"python_full_version": python, "python_version": python.rpartition(".")[0], "sys_platform": "linux"}
    found: dict[str, Version] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("#"):
            continue
        each = Requirement(line)
        if each.marker is None or each.marker.evaluate(where):
            (pin,) = each.specifier
            assert (pin.operator, each.url, canonicalize_name(each.name) in found) == ("==", None, False), line
            found[canonicalize_name(each.name)] = Version(pin.version)
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_has_one_tested_version_within_its_range(python):
    pins = pinned("constraints.txt", python)
    for each in asked("serve", "test", "ray", "docs", "notebook", "dev"):
        assert pins[canonicalize_name(each.name)] in each.specifier, each
    assert not [name for name, pin in pins.items() if pin.local]  # an index has no such builds
    assert {"pip", "setuptools"} <= pins.keys()


def test_the_oldest_versions_are_the_lower_bounds():
    pins = pinned("constraints-oldest.txt", PYTHONS[0])
    for each in asked("serve", "test"):
        (bound,) = [pin.version for pin in each.specifier if pin.operator == ">="]
        assert pins[canonicalize_name(each.name)] in SpecifierSet(f"=={bound}.*"), f"{each}: raise the lower bound"


def test_integration_checks_the_oldest_python():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert PYTHONS[0] == f"{oldest}.0"
    assert f"for version in {oldest} {PYTHONS[-1].removesuffix('.0')};" in (ROOT / ".ci" / "run").read_text()
    assert f"--python-version {oldest} " in (ROOT / "Makefile").read_text()
