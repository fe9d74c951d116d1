"""What a nightly job measured so far, so that its rules can be asked each night.

A file of JSON lines, one for each night and measure: its value, its standard error, and which rows
it was measured on. The same rows again replace their line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.stats import norm

from bench.core.errors import UserError
from bench.core.registry import Config
from bench.core.system.atomic import write_text
from bench.ledger.confidence_sequence import mean_so_far
from bench.ledger.effect import LEVEL, Effect


class Night(Config):
    """What was measured on one night's rows."""

    rows: str
    """Digest of the rows' labels and groups."""
    measure: str
    """A metric's gain or value, without a rule's bound: another bound asks the same nights."""
    value: float
    error: float
    """Its standard error."""


def digest_of(arrays: Iterable[NDArray[Any]]) -> str:
    """Of a night's rows."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


@dataclass
class Watch:
    """The nights of a file, and tonight's rows.

    Attributes:
        rows: digest of tonight's.
    """

    file: Path
    rows: str
    nights: list[Night]

    @classmethod
    def read(cls, file: Path, rows: str) -> Watch:
        """What is in the file; nothing where there is none.

        Raises:
            UserError: a line that no watch wrote.
        """
        nights = []
        if file.exists():
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                try:
                    nights.append(Night.model_validate_json(line))
                except ValidationError:
                    raise UserError(
                        f"--watch: {file}, line {number}: expected what an earlier night wrote, "
                        "found something else"
                    ) from None
        return cls(file, rows, nights)

    def mean_with(self, measure: str, tonight: Effect) -> tuple[Effect, int]:
        """A measure's mean over all nights, with tonight's, and how many they are.

        Tonight's value counts from now on; its interval is of `LEVEL`, and finite.
        """
        replaced = (measure, self.rows)
        nights = [night for night in self.nights if (night.measure, night.rows) != replaced]
        error = (tonight.high - tonight.low) / (2 * float(norm.ppf((1 + LEVEL) / 2)))
        nights.append(Night(rows=self.rows, measure=measure, value=tonight.value, error=error))
        self.nights = nights
        same = [night for night in nights if night.measure == measure]
        mean = mean_so_far([night.value for night in same], [night.error for night in same])
        return mean, len(same)

    def write(self) -> None:
        """Keeps tonight's."""
        lines = [json.dumps(night.model_dump()) for night in self.nights]
        write_text(self.file, "".join(f"{line}\n" for line in lines))
