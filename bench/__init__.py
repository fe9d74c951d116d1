"""Seesaw: find the trade-off frontier of multi-task recommenders.

`__all__` has what is public, and docs/python.md says what it does; all else is private, see
ARCHITECTURE.md. Importing `bench` imports none of torch, optuna or mlflow; `run` and `load_run` do.
`decide` never imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import Result, Trainer, decide, load_run, read_cells, run
    from bench.core.errors import UserError

__version__ = "0.1.0"
__all__ = [
    "Result",
    "Trainer",
    "UserError",
    "__version__",
    "decide",
    "load_run",
    "read_cells",
    "run",
]


def __getattr__(name: str) -> Any:
    """Imports the names for Python and notebooks on first use."""
    if name in __all__:
        from bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'bench' has no attribute '{name}'")
