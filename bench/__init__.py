"""Seesaw: find the trade-off frontier of multi-task recommenders.

The rooms, and which may import which, are listed in ARCHITECTURE.md.
Importing `bench` imports none of torch, optuna or mlflow; `bench.load_run` does, once it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import LoadedRun, load_run

__version__ = "0.1.0"
__all__ = ["LoadedRun", "__version__", "load_run"]


def __getattr__(name: str) -> Any:
    """Imports the names for notebooks when they are first used."""
    if name in ("LoadedRun", "load_run"):
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bench' has no attribute '{name}'")
