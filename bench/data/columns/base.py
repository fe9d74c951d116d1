"""What every kind of column has: options on a card, a fitter, and parts of the encoder that it
leaves behind.

A kind is one file with these three classes, and one line in `KINDS`:

    Kind     options on a card; says how its raw column is read, makes the fitter, drafts itself
    Fitter   takes rows part by part and keeps a few numbers of each until all of train was seen
    Part     encodes raw rows, in preparing and in serving, and says what rows must bring
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from bench.core import schema
from bench.core.arrays import Floats, Mask, Singles
from bench.core.errors import UserError, unknown
from bench.core.registry import Config
from bench.data.values import as_numbers

if TYPE_CHECKING:
    from bench.data.checks import Sieve
    from bench.data.inspection.column import Counted
    from bench.data.inspection.labels import Labels


def weekday_of_yyyymmdd(numbers: Floats) -> Floats:
    """20220425 -> 0, a Monday; numbers of more than 8 digits are missing."""
    fits = (numbers >= 0) & (numbers < 1e8)
    dates = numbers[fits].astype(np.int64)
    months = (dates // 10000 - 1970) * 12 + (dates // 100) % 100 - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + dates % 100 - 1
    weekdays = np.full(len(numbers), np.nan)
    weekdays[fits] = (days + 3) % 7
    return weekdays


DERIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "hour_of_hhmm": lambda numbers: np.floor(numbers / 100),
    "hour_of_unix_ms": lambda numbers: np.floor(numbers / 3_600_000) % 24,
    "hour_of_unix_s": lambda numbers: np.floor(numbers / 3600) % 24,
    "weekday_of_unix_ms": lambda numbers: (np.floor(numbers / 86_400_000) + 3) % 7,
    "weekday_of_unix_s": lambda numbers: (np.floor(numbers / 86_400) + 3) % 7,
    "weekday_of_yyyymmdd": weekday_of_yyyymmdd,
}
"""Name on a card -> function of numbers (N,), NaN where missing. Monday is 0, and 1970-01-01 was a
Thursday; in UTC.
"""


def _known(name: str) -> str:
    if name not in DERIVATIONS:
        raise ValueError(str(unknown("derivation", name, DERIVATIONS)))
    return name


Derivation = Annotated[str, AfterValidator(_known)]


Reads = Literal["text", "number", "list", "vector"]
"""How a raw column is read."""
EXAMPLES = 3


def read_as(uses: Iterable[tuple[str, Reads]]) -> dict[str, Reads]:
    """Raw column -> how it is read: as numbers if used so anywhere, as lists or vectors if only so,
    else as texts.
    """
    joint: dict[str, Reads] = {}
    for raw, reads in uses:
        before = joint.setdefault(raw, reads)
        if before != reads:
            joint[raw] = "number" if "number" in (before, reads) else "text"
    return joint


class Source(Config):
    """A raw column, and a function of its values."""

    column: str
    derive: Derivation | None = None
    """A function of numbers; the column is then read as numbers, also in serving."""
    missing: tuple[str, ...] = ()
    """Texts that mean missing."""
    spelled: bool = False
    """Whether "1" and "1.0" are two categories: where the raw texts held one number in two
    spellings.
    """

    @property
    def markers(self) -> tuple[str, ...]:
        """Texts that mean missing after the function."""
        return self.missing if self.derive is None else ()

    def numbers(self, table: pa.Table) -> NDArray[np.float64]:
        """(N,), NaN where missing; raises UserError if the table lacks the column or it holds no
        numbers.
        """
        numbers = as_numbers(self.raw(table), self.missing, self.column)
        return numbers if self.derive is None else DERIVATIONS[self.derive](numbers)

    def values(self, table: pa.Table) -> Any:
        """The Arrow column (N,), after the function; errors as of `numbers`."""
        if self.derive is None:
            return self.raw(table)
        return pa.array(self.numbers(table), from_pandas=True)

    def raw(self, table: pa.Table) -> pa.ChunkedArray:
        """The column as it is; raises UserError if the table lacks it."""
        # Faster than `column_names`, which is built at each call.
        if table.schema.get_field_index(self.column) < 0:
            raise UserError(
                f"expected a raw column '{self.column}', found "
                f"{', '.join(table.column_names) or 'none'}"
            )
        return table[self.column]


class Part(Config):
    """A part of a fitted encoder; independent of the card."""

    kind: str
    reads: ClassVar[Reads] = "text"

    if TYPE_CHECKING:

        @property
        @abstractmethod
        def name(self) -> str:
            """Of the input, or of what is made of it."""

        @property
        @abstractmethod
        def source(self) -> Source:
            """The raw column that it is made from."""

    @property
    def wanted(self) -> Reads:
        """How rows' raw column is read."""
        return self.reads if self.source.derive is None else "number"

    @property
    def needed(self) -> bool:
        """Whether rows must have the column, since train lacked no value."""
        return False

    def check(self, name: str, column: Any, missing: Collection[str], sieve: Sieve) -> None:
        """The sieve takes the rows of a raw Arrow column that do not fit."""

    def examples(self) -> list[Any]:
        """`EXAMPLES` raw values as a request may have them."""
        if self.source.derive is None:
            return self._examples()
        return [20240101.0 if self.source.derive.endswith("yyyymmdd") else 1200.0] * EXAMPLES

    def _examples(self) -> list[Any]:
        return [None] * EXAMPLES


PAD = -1
"""Local id of an unused slot; it becomes row 0."""
LocalIds = NDArray[np.int32]


class FieldPart(Part):
    """Makes embedding ids: local ids, to which the encoder adds offsets."""

    @property
    @abstractmethod
    def field(self) -> schema.Field:
        """The field in the schema."""

    @abstractmethod
    def encode(self, table: pa.Table) -> LocalIds:
        """Local ids (N, slots) of raw rows, padded at the end."""


class DensePart(Part):
    """Makes dense columns."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of its dense columns."""

    @abstractmethod
    def encode(self, table: pa.Table) -> Singles:
        """Dense columns (N, names) of raw rows."""


class Quantity(DensePart):
    """Makes dense columns of the numbers that its fitter keeps."""

    def encode(self, table: pa.Table) -> Singles:
        """Dense columns (N, names) of raw rows."""
        return self.encode_numbers(self.source.numbers(table))

    @abstractmethod
    def encode_numbers(self, numbers: NDArray[np.float64]) -> Singles:
        """The same of the numbers that its fitter kept."""


class Fitter(ABC):
    """Fits one input on rows that come in parts. Of each row it keeps `width` codes (int32) or
    numbers (float64).

    Attributes:
        source: final after `finish`.
        column: its options on the card.
        min_count: rows of train that a value needs.
    """

    width = 1

    def __init__(self, name: str, source: Source, column: Any, min_count: int = 1) -> None:
        self.name, self.source, self.column = name, source, column
        self.min_count = getattr(column, "min_count", None) or min_count

    @abstractmethod
    def take(self, table: pa.Table, train: Mask, grow: bool = True) -> NDArray[Any]:
        """What is kept of n rows (n, width), fitted on those of train; new values get codes if
        `grow`.
        """

    @abstractmethod
    def finish(self) -> tuple[Part, ...]:
        """The parts of the encoder, fitted on all of train."""

    def notes(self) -> Iterator[str]:
        """What the user should know, after `finish`."""
        return iter(())


@dataclass(frozen=True)
class Finding:
    """The input that a column makes on a drafted card, and why in a few words."""

    option: Mapping[str, Any] | None
    """The input's options for the card; None where the column is left out."""
    why: str
    name: str | None = None
    """Of the input, where it is not the column's."""
    proposed: bool = False
    """Whether it is no input unless somebody decides so."""

    @property
    def makes_input(self) -> bool:
        """Whether the card takes it as an input."""
        return self.option is not None and not self.proposed

    @property
    def category(self) -> bool:
        """Whether it makes a categorical input of values as they are."""
        return self.option == {"kind": "categorical"}


class Kind(Config, ABC):
    """Options of an input on a card."""

    source: str | None = Field(None, alias="from", min_length=1)
    """Raw column it is made from; its own name where absent."""
    derive: Derivation | None = None
    """A function of the raw column, one of `DERIVATIONS`."""
    kind: str
    reads: ClassVar[Reads] = "text"
    fits: ClassVar[type[Fitter]]
    parts: ClassVar[tuple[type[Part], ...]]
    """Classes of the parts that its fitter makes."""
    slots: ClassVar[int] = 1
    by_form: ClassVar[bool] = True
    """Whether a draft knows it by the form of values; else columns of ids, weights and free text
    are left out first.
    """
    served: ClassVar[bool] = True
    """Whether models see it in serving; else a draft never proposes it."""

    @property
    def wanted(self) -> Reads:
        """How its raw column is read."""
        return self.reads if self.derive is None else "number"

    def source_of(self, name: str, missing: tuple[str, ...]) -> Source:
        """What the input of that name reads."""
        return Source(column=self.source or name, derive=self.derive, missing=missing)

    def fitter(self, name: str, source: Source, min_count: int) -> Fitter:
        """Fits the input of that name; `min_count` is the card's."""
        return self.fits(name, source, self, min_count)

    def shape_in(self, shape: schema.Schema, name: str) -> schema.Schema:
        """Adds the input to a schema without data: a field has two values, a number one range."""
        return replace(shape, fields=(*shape.fields, schema.Field(name, 2, self.slots)))

    def check(self, name: str, column: Any, missing: Collection[str], sieve: Sieve) -> None:
        """The sieve takes the rows of its raw Arrow column that do not fit."""

    @classmethod
    def draft(cls, column: Counted, labels: Labels) -> Finding | None:
        """The input that a column makes on a drafted card, or why it makes none; None leaves it to
        later kinds.
        """
        return None
