"""Arrows between rooms, and between modules, point one way: every import statement against
ARCHITECTURE.md's rules.
"""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench"
OUTSIDE = {"studies", "tests", *(path.stem for path in (BENCH.parent / "studies").iterdir())}
"""Top-level names of modules that are not of the package: a study's own name is one where its
folder is on the path.
"""
BASE = {"core", "core.system"}

# room, or a family in one -> rooms it may import, besides `core` and `core.system`, which all
# others may
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "core.system": {"core"},
    "__init__": {"api", "core"},
    "data": set(),
    "measure": set(),
    "models": set(),
    "models.balancing": set(),
    "models.training": {"measure", "models", "models.balancing", "data"},
    "ledger": {"ledger.errors", "measure"},
    "models.trainers": {"measure", "models", "models.training", "data"},
    "search": {
        "models.trainers",
        "models.training",
        "ledger",
        "models",
        "models.balancing",
        "data",
    },
    "search.confirm": {"search", "models.training", "ledger", "measure"},
    "deciding": {"ledger", "measure"},
    "deciding.logged": {"deciding", "ledger", "measure"},
    "deciding.plan": {"deciding", "ledger", "measure"},
    "serve": {
        "deciding",
        "deciding.logged",
        "ledger",
        "measure",
        "models",
        "models.balancing",
        "models.training",
        "data",
    },
    "serve.backtest": {
        "models.trainers",
        "serve",
        "deciding",
        "ledger",
        "measure",
        "models.training",
        "data",
    },
    "app": set(),
    "app.tracking": {"ledger", "serve"},
    "app.report": {"deciding", "deciding.logged", "deciding.plan", "ledger", "measure"},
    "app.runs": {
        "models.trainers",
        "app.report",
        "app.tracking",
        "serve",
        "serve.backtest",
        "deciding",
        "deciding.logged",
        "search",
        "search.confirm",
        "ledger",
    }
    | {"measure", "models", "models.balancing", "models.training", "data"},
    "app.reference": {
        "app.runs",
        "app.report",
        "search",
        "search.confirm",
        "ledger",
        "measure",
        "models",
    }
    | {"models.balancing", "models.training", "data"},
    "app.cli": {
        "app.runs",
        "app.reference",
        "app.report",
        "app.tracking",
        "serve",
        "serve.backtest",
        "deciding",
    }
    | {
        "deciding.logged",
        "deciding.plan",
        "search",
        "ledger",
        "models",
        "models.balancing",
        "models.training",
        "data",
    },
    "api": {
        "models.trainers",
        "app.cli",
        "app.runs",
        "app.report",
        "deciding.logged",
        "deciding.plan",
        "deciding",
        "serve",
        "ledger",
        "data",
    },
    "testing": {
        "search",
        "serve",
        "deciding",
        "measure",
        "models",
        "models.balancing",
        "models.training",
        "data",
    },
    "__main__": {"app.cli"},
}
ORDER = ("core", "data", "measure", "models", "ledger", "search", "deciding", "serve", "app")
"""Rooms from the ground up: none imports one above it."""

ONLY_IN = {"optuna": {"search", "testing"}, "mlflow": {"app.tracking"}, "tomllib": {"core"}}
ONLY_IN |= {name: {"app.cli"} for name in ("typer", "rich")}
NEVER_IN = {
    "torch": {
        "measure",
        "ledger",
        "deciding",
        "deciding.logged",
        "deciding.plan",
        "app.report",
        "app.tracking",
        *BASE,
    }
}


def room(path):
    return room_of(path.relative_to(BENCH).with_suffix("").parts)


def room_of(parts):
    """The family of a module where it has one, else its room."""
    family = ".".join(parts[:2])
    return family if family in MAY_IMPORT else parts[0]


@cache
def imports(path):
    """What a file imports anywhere, in functions and for types, too: modules, and names in them as
    `module.name`.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(BENCH.rglob("*.py"))


def test_every_room_has_its_rule():
    assert {room(path) for path in FILES} == set(MAY_IMPORT)


def broken(here, module):
    """The rule that an import of a module breaks in a room."""
    top, *rest = module.split(".")
    if top in OUTSIDE:
        return f"the package may not import {top}"
    below = MAY_IMPORT[here] | (set() if here in BASE else BASE) | {here, "__version__"}
    if top == "bench" and rest and room_of(rest) not in below:
        return f"{here} may not import bench.{room_of(rest)}"
    if here not in ONLY_IN.get(top, {here}):
        return f"only {ONLY_IN[top]} may import {top}"
    return f"{here} must work without {top}" if here in NEVER_IN.get(top, set()) else None


def test_rules_lead_down():
    for here, below in MAY_IMPORT.items():
        if here.partition(".")[0] in ORDER:
            places = [ORDER.index(lower.partition(".")[0]) for lower in below]
            assert max(places, default=0) <= ORDER.index(here.partition(".")[0]), here


def test_imports_follow_the_layers():
    broken_rules = {
        path.relative_to(BENCH): {broken(room(path), module) for module in imports(path)} - {None}
        for path in FILES
    }
    assert not {str(path): rules for path, rules in broken_rules.items() if rules}


def test_each_rule_can_be_broken():
    assert broken("models", "bench.data.store") == "models may not import bench.data"
    assert broken("app.cli", "studies.speed.table") == "the package may not import studies"
    assert broken("search", "speed.table") == "the package may not import speed"
    assert broken("app.runs", "mlflow.entities") == "only {'app.tracking'} may import mlflow"
    assert broken("deciding", "torch") == "deciding must work without torch"
    assert broken("core", "bench.core.system.lock") == "core may not import bench.core.system"
    assert broken("deciding", "bench.core.errors") is None


CIRCULAR = {("bench", "bench.api")}
"""Imports that may close a circle: (from, to). `bench` gives notebooks the names of `bench.api`,
which it imports when one is first used; and modules take `__version__` from `bench`, which Python
imports before any of them."""


def test_modules_do_not_import_each_other_in_circles():
    modules = {
        ".".join(path.relative_to(BENCH.parent).with_suffix("").parts): path for path in FILES
    }
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    arrows = {
        module: {name if name in modules else name.rpartition(".")[0] for name in imports(path)}
        & set(modules)
        for module, path in modules.items()
    }
    for module, to in CIRCULAR:
        arrows[module].remove(to)
    TopologicalSorter(arrows).prepare()  # a CycleError names the modules of a circle


def test_light_modules_and_mistakes_load_nothing_heavy():
    light = [
        "bench",
        "bench.api",
        "bench.app.cli.app",
        "bench.app.report.page",
        "bench.app.tracking.reading",
    ]
    light += [
        ".".join(path.relative_to(BENCH.parent).with_suffix("").parts)
        for path in (BENCH / "deciding").rglob("[!_]*.py")
    ]
    wrong = [
        ["train", "census-income", "--config", "none.toml"],
        ["train", "census-income", "--device", "gpu"],
        ["run", "quick", "--device", "gpu"],
    ]
    code = f"""
import importlib, sys
for module in [*{light!r}, *{wrong!r}]:
    if isinstance(module, str):
        importlib.import_module(module)
    elif importlib.import_module("bench.app.cli").main(module) != 2:
        sys.exit(f"{{module}} is not refused")
    if heavy := {{"torch", "optuna", "mlflow"}} & set(sys.modules):
        sys.exit(f"{{module}} loads {{heavy}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_content_folders_hold_no_python():
    root = BENCH.parent
    assert not [
        path
        for kind in ("datasets", "search_spaces", "reports")
        for path in (root / kind).rglob("*.py")
    ]
