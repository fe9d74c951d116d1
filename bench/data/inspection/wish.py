"""What split the user asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import UserError

Kind = Literal["time", "hash", "random", "files", "column"]


@dataclass(frozen=True)
class Wish:
    """What the user asks for.

    Attributes:
        kind: None to choose by what else is given.
        column: that a split by hash or by column goes by.
    """

    kind: Kind | None = None
    valid: float = 0.1
    test: float = 0.1
    time: str | None = None
    group: str | None = None
    column: str | None = None

    @property
    def chosen(self) -> Kind:
        """By time where there is one, else by group, else by chance."""
        if self.kind is not None:
            return self.kind
        if self.time is not None:
            return "time"
        return "hash" if self.group is not None or self.column is not None else "random"

    @property
    def hashed(self) -> str | None:
        """The column whose values a split by hash keeps together."""
        return (self.column or self.group) if self.chosen == "hash" else None

    def check(self) -> None:
        """Raises UserError for shares that leave nothing, or a kind that lacks its column."""
        for name in ("valid", "test"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"--{name}: expected a share between 0 and 1, found {getattr(self, name):g}")
        if self.valid + self.test >= 1:
            raise UserError(f"nothing is left for train: --valid {self.valid:g} and --test {self.test:g} reach 1")
        if self.chosen == "time" and self.time is None:
            raise UserError("--split time: expected --time COLUMN, found none")
        if self.chosen == "hash" and self.hashed is None:
            raise UserError(f"--split {self.chosen}: expected --group COLUMN or --split-column COLUMN, found neither")
        if self.chosen == "column" and self.column is None:
            raise UserError("--split column: expected --split-column COLUMN, found none")
        if self.column is not None and self.chosen not in ("hash", "column"):
            raise UserError(f"--split-column is for a split by column or by hash, not by {self.chosen}")
