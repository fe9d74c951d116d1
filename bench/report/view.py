"""What a page shows, as plain values: frozen, of numbers and strings, with None where nothing was measured.

Tests assert on these; figures and HTML only draw them. Values are in natural units, one for each objective where a
tuple says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Spread:
    """What replicates on fresh seeds gave."""

    mean: float
    sd: float | None
    runs: int

    @property
    def half_width(self) -> float | None:
        """1.96 standard errors of the mean; None with a single replicate."""
        return None if self.sd is None else 1.96 * self.sd / math.sqrt(self.runs)


@dataclass(frozen=True)
class Reference:
    """The best single-task trial of an objective, and its value."""

    trial: int
    value: float


@dataclass(frozen=True)
class Axis:
    """An objective.

    Attributes:
        name: `income.auc`; label: `income AUC`.
        best: the best trial among those compared, and its value.
        baseline: the best single-task trial among those compared.
        search_baseline: the same among all trials, by the one run that the search saw.
        near: from worst to best, the range around the front that a figure opens with.
        reference: of the hypervolume.
    """

    name: str
    label: str
    maximize: bool
    best: Reference | None
    baseline: Reference | None
    search_baseline: Reference | None
    near: tuple[float, float] | None
    reference: float

    @property
    def sign(self) -> float:
        """`sign * value` is better when larger."""
        return 1.0 if self.maximize else -1.0


@dataclass(frozen=True)
class Trial:
    """A completed trial.

    Attributes:
        seen: values of the one run that the search saw.
        values: what it is placed by: replicate means where it was confirmed, else `seen`.
        valid, test: its replicates on each split; None where there are none.
        compared: whether it could be on the front: all trials, or the confirmed where any was.
    """

    number: int
    architecture: str
    sharing: str
    balancing: str
    seen: Values
    values: Values
    valid: tuple[Spread | None, ...]
    test: tuple[Spread | None, ...]
    params: tuple[tuple[str, str], ...]
    on_front: bool
    compared: bool
    baseline: bool
    p_nondominated: float | None = None

    @property
    def confirmed(self) -> bool:
        """Whether it has replicates."""
        return any(self.valid)


@dataclass(frozen=True)
class Cell:
    """The best of the trials with one sharing and one balancing kind: its gain, scaled, and how many there were."""

    gain: float
    trial: int
    trials: int


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
    """The chosen trial, why, what was passed over and why, and the command that trains it again."""

    trial: int
    architecture: str
    reason: str
    removed: tuple[tuple[int, str, str], ...]
    command: str


@dataclass(frozen=True)
class Failed:
    """Trials (or replicates of them) that failed for one reason."""

    kind: str
    reason: str
    runs: int
    trials: tuple[int, ...]


@dataclass(frozen=True)
class PageView:
    """One section of the page: a run on one dataset.

    Attributes:
        title, dataset: the dataset's title and id.
        trials: completed ones, by number.
        front: numbers of the trials on the front, best in the first objective first.
        step: corners of the line that the front draws, for two objectives; empty otherwise.
        confirmed: whether the front compares replicate means.
        history: (trials finished, trial, hypervolume) after each finished trial, by what the search saw.
        no_pick: why nothing was picked, where that is known.
        made: how it was made, label and value.
        stopped: how many trials the search stopped below full length.
    """

    title: str
    dataset: str
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    front: tuple[int, ...]
    step: tuple[tuple[float, float], ...]
    confirmed: bool
    hypervolume: float
    history: tuple[tuple[int, int, float], ...]
    sharing_kinds: tuple[str, ...]
    headlines: tuple[Headline, ...]
    picked: Picked | None
    no_pick: str
    gains: tuple[GainTable, ...]
    failures: tuple[Failed, ...]
    made: tuple[tuple[str, str], ...]
    stopped: int = 0

    def trial(self, number: int) -> Trial:
        """The completed trial of that number."""
        return next(trial for trial in self.trials if trial.number == number)
