"""What a page says of a run besides its trials, as plain values: tables, headlines, the pick, what was spent."""

from __future__ import annotations

from dataclasses import dataclass

Values = tuple[float | None, ...]
Intervals = tuple[tuple[float, float] | None, ...]

Id = int | str
"""Of a point: its trial's number, or `7@16000` where that was stopped after so many samples."""


def identified(number: int, until: int | None) -> Id:
    """The id of a point."""
    return number if until is None else f"{number}@{until}"


@dataclass(frozen=True)
class Cell:
    """The best of the trials with one sharing and one balancing kind: its gain, scaled, and how many there were.

    Attributes:
        half_width: of the gain's 90% interval; None where nothing is known of seeds.
        confirmed: whether it is a gain of replicate means, over a baseline of replicate means.
    """

    gain: float
    trial: int
    trials: int
    half_width: float | None = None
    confirmed: bool = False


@dataclass(frozen=True)
class GainTable:
    """Gain over the best single-task trial in one objective: rows are balancing kinds, columns sharing kinds."""

    label: str
    scale: float
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]


@dataclass(frozen=True)
class Headline:
    """A number to open with, and a line of what it means."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Picked:
    """The chosen point, why, what was passed over (by name) and why, and the command that trains it again."""

    trial: int
    architecture: str
    reason: str
    removed: tuple[tuple[str, str], ...]
    command: str
    until: int | None = None

    @property
    def id(self) -> Id:
        """Of the point."""
        return identified(self.trial, self.until)


@dataclass(frozen=True)
class Failed:
    """Trials (or replicates of them) that failed for one reason."""

    kind: str
    reason: str
    runs: int
    trials: tuple[int, ...]


@dataclass(frozen=True)
class Influence:
    """The share of the variance between trials that a parameter explains alone, with its 90% interval."""

    name: str
    share: float
    low: float
    high: float
    trials: int


@dataclass(frozen=True)
class Spent:
    """Training samples that trials of one sharing kind took, by stage: `to 16,000`, .., `replicates`."""

    kind: str
    samples: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Surface:
    """What so many percent of the fronts of single seeds attain, in two objectives: corners of its line."""

    percent: int
    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Standard:
    """A baseline (`equal_weights`, `trees`, `static_weights 4:1`, ..): by objective its mean and interval.

    Attributes:
        test, test_intervals: the same on test.
    """

    name: str
    values: Values
    intervals: Intervals
    replicates: int = 0
    test: Values = ()
    test_intervals: Intervals = ()

    @property
    def words(self) -> str:
        """Its name for people."""
        return self.name.replace("_", " ")

    @property
    def retuned(self) -> bool:
        """Whether it is one of the static weights that were tuned anew, which are drawn together."""
        return self.name.startswith("static_weights")


@dataclass(frozen=True)
class Shrinkage:
    """A confirmed point in one objective: the search's value, and its replicates' means on each split."""

    id: Id
    sharing: str
    objective: int
    search: float
    valid: float | None
    confirm: float | None
    test: float | None
