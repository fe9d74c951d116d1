"""An environment of their own for the public libraries: a folder that their processes alone have on
their path.

They come without what they depend on: PyTorch and scikit-learn are those that Seesaw itself runs
on, so that the same versions are compared; and nothing is installed into the user's environment.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

from bench.core.system.atomic import atomic_folder

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def requirements() -> list[str]:
    """The extra `peers` of the project."""
    with PROJECT.open("rb") as file:
        extras: dict[str, list[str]] = tomllib.load(file)["project"]["optional-dependencies"]
    return extras["peers"]


def installed(home: Path) -> Path:
    """The folder, made where there is none yet.

    Raises:
        SystemExit: they cannot be installed; names the reason.
    """
    packages = requirements()
    mark = hashlib.sha256(" ".join([*packages, sys.version]).encode()).hexdigest()[:12]
    target = home / "benchmarks" / f"peers-{mark}"
    if target.exists():
        return target
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    with atomic_folder(target) as folder:
        result = subprocess.run(
            [*command, str(folder), *packages], stderr=subprocess.PIPE, text=True
        )
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise SystemExit(f"expected to install {', '.join(packages)}, found: {last}")
    return target
