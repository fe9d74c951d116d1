"""`seesaw doctor`: what this machine has, and lacks."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from typing import Any

import psutil

from bench.app.cli.options import Home
from bench.app.cli.output import CommandOutput, print_table, say
from bench.core import plugins
from bench.core.errors import listed
from bench.core.system import content
from bench.core.system.home import resolve_home
from bench.core.system.machine import cores, versions

LEAST_MEMORY_GB = 2.0
LEAST_DISK_GB = 2.0


def doctor(home: Home = None) -> CommandOutput:
    """Show what this machine has, and what is missing."""
    place = resolve_home(home)
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    libraries = versions()
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(existing)
    facts: dict[str, Any] = {
        "system": platform.platform(),
        "cores": cores(),
        "memory_gb": memory.total / 1e9,
        "memory_free_gb": memory.available / 1e9,
        "home": str(place),
        "disk_free_gb": disk.free / 1e9,
        "gpu": _gpu(),
    }
    problems = []
    for name, version in libraries.items():
        if version == "not installed":
            problems.append(f"the library {name} is not installed")
    if facts["memory_free_gb"] < LEAST_MEMORY_GB:
        problems.append(
            f"expected {LEAST_MEMORY_GB:g} GB of free memory, found "
            f"{facts['memory_free_gb']:.1f} GB"
        )
    if facts["disk_free_gb"] < LEAST_DISK_GB:
        problems.append(
            f"expected {LEAST_DISK_GB:g} GB free at {place}, found {facts['disk_free_gb']:.1f} GB"
        )
    if not os.access(existing, os.W_OK):
        problems.append(f"expected a home that can be written, found {place}, which cannot")
    for kind in ("datasets", "search_spaces", "reports"):
        if not content.names(kind):
            problems.append(f"no {kind} found at {content.root(kind)}")
    entries, plugin_problems = plugins.inventory()
    problems += [*_kernel(), *plugin_problems, *_owners()]
    yield {"machine": facts, "versions": libraries, "plugins": entries, "problems": problems}
    rows = []
    for name, fact in facts.items():
        rows.append([name, fact if isinstance(fact, str) else f"{fact:.4g}"])
    print_table(["machine", "found"], rows)
    print_table(["library", "version"], libraries.items())
    print_table(["entry", "plug-in"], entries.items())
    for problem in problems:
        say(f"problem: {problem}")
    if not problems:
        say("nothing is missing")


def _owners() -> list[str]:
    """Other installed packages that have a module of our name: which of the two is imported is
    chance.
    """
    packages = metadata.packages_distributions()
    problems = []
    for name in ("bench", "seesaw"):
        foreign = sorted({*packages.get(name, ())} - {"seesaw-bench"})
        if foreign:
            problems.append(
                f"expected the import name '{name}' to be seesaw-bench's alone, found that "
                f"{listed(foreign)} also installed it; uninstall one of them"
            )
    return problems


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "unknown: torch is not installed"
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"


def _kernel() -> list[str]:
    """Runs the compiled optimizer once: the one part that depends on the machine's compiler
    support.
    """
    try:
        import torch

        from bench.core.schema import Field, Schema
        from bench.models.training.row_adam import RowAdam

        weight = torch.zeros(3, 4)
        optimizer = RowAdam(weight, Schema((Field("id", 2),), (), ()), lr=0.1)
        optimizer.step(torch.ones(1, 1, dtype=torch.int32), torch.ones(1, 1, 4))
    except Exception as error:  # whatever it is, the user should hear of it here and not in a trial
        return [f"the compiled optimizer does not run: {type(error).__name__}: {error}"]
    if torch.allclose(weight[1], torch.tensor(-0.1)):
        return []
    return ["the compiled optimizer computes wrong values"]
