"""Arrows between rooms point one way: the rules of ARCHITECTURE.md, held against every import statement."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
BASE = {path.stem for path in BENCH.glob("*.py")} - {"__init__", "__main__", "suite", "run", "api"}

# room -> rooms it may import, besides the base modules
MAY_IMPORT = {
    "__init__": {"api"},
    "data": set(),
    "models": set(),
    "balancing": set(),
    "training": {"models", "balancing", "data"},
    "frontier": set(),
    "search": {"training", "frontier", "models", "balancing", "data"},
    "tracking": {"training", "frontier", "production"},
    "report": {"frontier"},
    "production": {"training", "frontier", "models", "balancing", "data"},
    "suite": set(),
    "run": {"suite", "search", "tracking", "report", "production", "training", "frontier", "models", "balancing"}
    | {"data"},
    "cli": {"suite", "run", "search", "tracking", "report", "production", "training", "frontier", "models", "balancing"}
    | {"data"},
    "api": {"run", "frontier", "report"},
    "__main__": {"cli"},
}
ONLY_IN = {"optuna": {"search"}, "mlflow": {"tracking"}, "plotly": {"report"}, "typer": {"cli"}, "rich": {"cli"}}
NEVER_IN = {"torch": {"frontier", "report", "tracking", *BASE}}


def room(path: Path) -> str:
    return path.relative_to(BENCH).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            assert node.level == 0, f"{path}: a relative import"
    return found


FILES = sorted(BENCH.rglob("*.py"))


def test_every_room_has_its_rule() -> None:
    rooms = {room(path) for path in FILES}
    assert rooms == set(MAY_IMPORT) | BASE


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(BENCH)))
def test_imports_follow_the_layers(path: Path) -> None:
    here = room(path)
    allowed = MAY_IMPORT.get(here, set()) | BASE | {here, "__version__"}
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "bench" and len(parts) > 1:
            assert parts[1] in allowed, f"{here} may not import bench.{parts[1]}"
        assert here in ONLY_IN.get(parts[0], {here}), f"only {ONLY_IN.get(parts[0])} may import {parts[0]}"
        assert here not in NEVER_IN.get(parts[0], set()), f"{here} must work without {parts[0]}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("bench", ("torch", "optuna", "mlflow")),
        ("bench.api", ("torch", "optuna", "mlflow")),
        ("bench.cli.app", ("torch", "optuna", "mlflow")),
        ("bench.frontier.frontier", ("torch", "optuna", "mlflow")),
        ("bench.report.page", ("torch", "optuna", "mlflow")),
    ],
)
def test_light_modules_load_nothing_heavy(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; sys.exit(','.join(n for n in {absent!r} if n in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_content_folders_hold_no_python() -> None:
    root = BENCH.parent
    assert not [path for kind in ("datasets", "search_spaces", "reports") for path in (root / kind).rglob("*.py")]
