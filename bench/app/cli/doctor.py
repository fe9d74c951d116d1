"""`seesaw doctor`: what this machine has, and what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata

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
    libraries = versions()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    memory_free, disk_free = (
        psutil.virtual_memory().available / 1e9,
        shutil.disk_usage(there).free / 1e9,
    )
    facts = {
        "system": platform.platform(),
        "cores": cores(),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "memory_free_gb": memory_free,
        "home": str(place),
        "disk_free_gb": disk_free,
        "gpu": _gpu(),
    }
    problems = [
        f"the library {name} is not installed"
        for name, text in libraries.items()
        if text == "not installed"
    ]
    if memory_free < LEAST_MEMORY_GB:
        problems.append(
            f"expected {LEAST_MEMORY_GB:g} GB of free memory, found {facts['memory_free_gb']:.1f} "
            "GB"
        )
    if disk_free < LEAST_DISK_GB:
        problems.append(
            f"expected {LEAST_DISK_GB:g} GB free at {place}, found {facts['disk_free_gb']:.1f} GB"
        )
    if not os.access(there, os.W_OK):
        problems.append(f"expected a home that can be written, found {place}, which cannot")
    problems += [
        f"no {kind} found at {content.root(kind)}"
        for kind in ("datasets", "search_spaces", "reports")
        if not content.names(kind)
    ]
    if problem := _kernel():
        problems.append(problem)
    entries, wrong = plugins.inventory()
    problems += wrong + _owners()
    yield {"machine": facts, "versions": libraries, "plugins": entries, "problems": problems}
    print_table(
        ["machine", "found"],
        [
            [key, value if isinstance(value, str) else f"{value:.4g}"]
            for key, value in facts.items()
        ],
    )
    print_table(["library", "version"], libraries.items())
    print_table(["entry", "plug-in"], entries.items())
    say(
        "nothing is missing"
        if not problems
        else "\n".join(f"problem: {problem}" for problem in problems)
    )


def _owners() -> list[str]:
    """Other installed packages that have a module of our name: which of the two is imported is
    chance.
    """
    owners = metadata.packages_distributions()
    return [
        f"expected the import name '{name}' to be seesaw-bench's alone, found that "
        f"{listed(others)} also installed it; uninstall one of them"
        for name in ("bench", "seesaw")
        if (others := sorted(set(owners.get(name, ())) - {"seesaw-bench"}))
    ]


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "unknown: torch is not installed"
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"


def _kernel() -> str | None:
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
        return f"the compiled optimizer does not run: {type(error).__name__}: {error}"
    return (
        None
        if torch.allclose(weight[1], torch.tensor(-0.1))
        else "the compiled optimizer computes wrong values"
    )
