"""What a page shows, as plain values: frozen, of numbers and strings, with None where nothing was measured.

Tests assert on these; figures and HTML only draw them. Values are in natural units, one for each objective where a
tuple says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.frontier.stability import Stability

Values = tuple[float | None, ...]

Id = int | str
"""Of a point: its trial's number, or `7@16000` where that was stopped after so many samples."""


def identified(number: int, until: int | None) -> Id:
    """The id of a point."""
    return number if until is None else f"{number}@{until}"


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
    """The best single-task trial of an objective, and its value; `until` where it was stopped short of full length."""

    trial: int
    value: float
    until: int | None = None


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
    """A point: a trial with a result, or in a search by rungs a trial at one of its rungs.

    Attributes:
        samples: of training, in a search by rungs; `until` the same where that is short of full length.
        seen: values of the one run that the search saw.
        values: what it is placed by: replicate means where it was confirmed, else `seen`.
        valid, test: its replicates on each split; None where there are none.
        compared: whether it could be on the front: all trials, or the confirmed where any was.
        diagnosis: sentences on what holds its tasks back.
        angles: between tasks' gradients: tasks, where, mean cosine, share below 0.
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
    samples: int | None = None
    until: int | None = None
    diagnosis: tuple[str, ...] = ()
    angles: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def id(self) -> Id:
        """What tells it from other points."""
        return identified(self.number, self.until)

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
class PageView:
    """One section of the page: a run on one dataset.

    Attributes:
        title, dataset: the dataset's title and id.
        trials: the points, by number and length.
        front: ids of the points on the front, best in the first objective first.
        step: corners of the line that the front draws, for two objectives; empty otherwise.
        confirmed: whether the front compares replicate means.
        history: (trials finished, trial, hypervolume) after each finished trial, by what the search saw; in a search by
            rungs (samples trained on, trial, hypervolume) after each result.
        no_pick: why nothing was picked, where that is known.
        made: how it was made, label and value.
        stopped: how many trials the search stopped below full length.
        full: training samples of full length, in a search by rungs where a trial got there.
        stability: how the pick changes with weights and seeds.
    """

    title: str
    dataset: str
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    front: tuple[Id, ...]
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
    full: int | None = None
    stability: Stability | None = None

    @property
    def by_rungs(self) -> bool:
        """Whether trials were judged before full length."""
        return any(trial.samples is not None for trial in self.trials)

    def trial(self, id: Id) -> Trial:
        """The point of that id."""
        return next(trial for trial in self.trials if trial.id == id)
