"""The contract of a generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.registry import Config


@dataclass(frozen=True)
class Generator:
    """Makes rows out of nothing but its parameters; the same parameters give the same rows.

    Attributes:
        config: its parameters.
        columns: parameters -> inputs, as a card's `columns`, used where a card lists none.
        generate: parameters -> Arrow table with the inputs, the labels and the truth behind them.
        paper: source.
        version: raised whenever the same parameters give other rows.
    """

    config: type[Config]
    columns: Callable[[Any], dict[str, Any]]
    generate: Callable[[Any], Any]
    paper: str
    version: int = 1
