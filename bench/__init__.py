"""Seesaw: find the trade-off frontier of multi-task recommenders.

Importing `bench` imports none of torch, optuna or mlflow; `bench.load_run` and `bench.run_suite` do, once they are
called. `bench.decide` never imports torch. ARCHITECTURE.md lists the rooms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import LoadedDecision, LoadedRun, decide, load_run, run_suite

__version__ = "0.1.0"
__all__ = ["LoadedDecision", "LoadedRun", "__version__", "decide", "load_run", "run_suite"]


def __getattr__(name: str) -> Any:
    """Imports the names for notebooks on first use."""
    if name in __all__:
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bench' has no attribute '{name}'")
