"""What a page shows, as plain values: frozen, of numbers and strings, with None where nothing was measured.

Tests assert on these; figures and HTML only draw them. Values are in natural units, one for each objective where a
tuple says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bench.frontier.stability import Stability
from bench.records import Scalar
from bench.report.detail import NOTHING, Detail
from bench.report.findings import (
    Failed,
    GainTable,
    Headline,
    Id,
    Influence,
    Picked,
    Shrinkage,
    Spent,
    Standard,
    Surface,
    Values,
    identified,
)
from bench.rows import CONFIRM, SEARCH


@dataclass(frozen=True)
class Spread:
    """What replicates on fresh seeds gave, and the 90% interval of the mean, where it is known."""

    mean: float
    sd: float | None
    runs: int
    interval: tuple[float, float] | None = None

    @property
    def half_width(self) -> float | None:
        """Of the interval."""
        return None if self.interval is None else (self.interval[1] - self.interval[0]) / 2


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
        seen: values of the one run that the search saw, on validation.
        values: what it is placed by: replicates' means on confirmation rows where it was confirmed, else `seen`.
        confirm, test: its replicates on each split; None where there are none.
        compared: whether it could be on the front: all trials, or the confirmed where any was.
        diagnosis: sentences on what holds its tasks back.
        region: of a confirmed point a matrix S, see `bench.frontier.regions`: where its true values lie.
        detail: what it went through: replicates, curves, what its tasks did to each other.
    """

    number: int
    architecture: str
    sharing: str
    balancing: str
    seen: Values
    values: Values
    confirm: tuple[Spread | None, ...]
    test: tuple[Spread | None, ...]
    params: tuple[tuple[str, Scalar], ...]
    on_front: bool
    compared: bool
    baseline: bool
    p_nondominated: float | None = None
    samples: int | None = None
    until: int | None = None
    diagnosis: tuple[str, ...] = ()
    region: tuple[tuple[float, ...], ...] | None = None
    detail: Detail = NOTHING

    @property
    def id(self) -> Id:
        """What tells it from other points."""
        return identified(self.number, self.until)

    @property
    def confirmed(self) -> bool:
        """Whether it has replicates."""
        return any(self.confirm)


@dataclass(frozen=True)
class PageView:
    """One section of the page: a run on one dataset.

    Attributes:
        title, dataset: the dataset's title and id.
        trials: the points, by number and length.
        front: ids of the points on the front, best in the first objective first.
        step: corners of the line that the front draws, for two objectives; empty otherwise.
        confirmed: whether the front compares replicate means.
        history: (samples trained on, trial, hypervolume) after each finished trial, by what the search saw, in a search
            by rungs after each result; trials finished in place of samples where those are not known.
        no_pick: why nothing was picked, where that is known.
        made: how it was made, label and value.
        stopped: how many trials the search stopped below full length.
        full: training samples of full length, in a search by rungs where a trial got there.
        by_samples: whether `history` counts training samples.
        order: ids of all points, those on the front first, then confirmed ones, each best first by the hypervolume
            that it would have alone.
        influences: of parameters on that hypervolume, the largest first.
        spent: training samples by sharing kind.
        surfaces, standards, shrinkage: what is known of the front's uncertainty; empty where nothing is.
        hypervolume_interval: at 90%, of the confirmed points' true values.
        train: the command that trains any configuration of this run, without the configuration.
        deploy: the command that deploys the pick; empty where there is none.
        mlflow: what finds a trial's run in MLflow, `{trial}` in place of its number; empty where there is none.
        stability: how the pick changes with weights and seeds.
        cut_short: a sentence where the time limit ended the search early; else empty.
        answer: about gradient methods, in one sentence; empty where nobody has asked.
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
    by_samples: bool = False
    order: tuple[Id, ...] = ()
    influences: tuple[Influence, ...] = ()
    spent: tuple[Spent, ...] = ()
    surfaces: tuple[Surface, ...] = ()
    standards: tuple[Standard, ...] = ()
    shrinkage: tuple[Shrinkage, ...] = ()
    hypervolume_interval: tuple[float, float] | None = None
    train: str = ""
    deploy: str = ""
    mlflow: str = ""
    stability: Stability | None = None
    cut_short: str = ""
    answer: str = ""

    @property
    def split(self) -> str:
        """Whose rows the front is on."""
        return CONFIRM if self.confirmed else SEARCH

    @property
    def by_rungs(self) -> bool:
        """Whether trials were judged before full length."""
        return any(trial.samples is not None for trial in self.trials)

    @property
    def regions_known(self) -> bool:
        """Whether confirmed trials have regions."""
        return any(trial.region is not None for trial in self.trials)

    def trial(self, id: Id) -> Trial:
        """The point of that id."""
        return self._by_id[id]

    @cached_property
    def _by_id(self) -> dict[Id, Trial]:
        return {trial.id: trial for trial in self.trials}
