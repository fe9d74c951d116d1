"""A suite: which data, which space, which objectives, and how much of everything. Content of
`reports/`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bench.core.errors import check_known, repeated
from bench.core.plain import parse_value
from bench.core.registry import Config
from bench.core.schema import Task
from bench.core.system import content
from bench.core.validation import validate

if TYPE_CHECKING:
    pass

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: object) -> float:
    """A duration such as "90s", "10m", "1.5h" or a plain number, in seconds; raises ValueError for
    anything else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(text))
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"expected a duration such as 90s, 10m or 1.5h, found {text!r}")
    return float(match[1]) * _UNITS[match[2] or "s"]


def rung(value: object) -> int | float | None:
    """Read `lowest`: samples, a fraction of full length below 1, 0 for a search without rungs; None
    is the default.

    `false` means 0. The command line gives text.

    Raises:
        ValueError: anything else.
    """
    if value is None:
        return None
    number = parse_value(value) if isinstance(value, str) else value
    if isinstance(number, int) and number is not True and number >= 0:
        return int(number)
    if isinstance(number, float) and 0 < number < 1:
        return number
    raise ValueError(
        "expected a whole number of samples, a fraction of full length below 1, or 0 for no "
        f"rungs, found {value!r}"
    )


def lowest_rung(asked: int | float | None, full: int) -> int:
    """The lowest rung in training samples; full length itself where there are to be no rungs below
    it.

    Args:
        asked: as the suite's `lowest`.
        full: training samples of full length.
    """
    if asked is None:
        return max(round(LOWEST * full), LEAST_SAMPLES)
    if asked == 0:
        return full
    return max(1, round(asked * full)) if asked < 1 else int(asked)


def reduction(value: object) -> tuple[float, ...] | None:
    """Reduction factors by rung: a number above 1, or a list of numbers from 1, not all of them 1;
    or none.

    Raises:
        ValueError: anything else.
    """
    if value is None:
        return None
    factors = value if isinstance(value, list | tuple) else [value]
    numbers = []
    for factor in factors:
        if isinstance(factor, int | float) and not isinstance(factor, bool):
            numbers.append(float(factor))
    if len(numbers) == len(factors) and factors and min(numbers) >= 1 and 1 < max(numbers) <= 100:
        return tuple(numbers)
    raise ValueError(
        "expected a number greater than 1 and up to 100, or a list of such and of 1, found "
        f"{value!r}"
    )


TRIALS = 40
"""Of a search without rungs whose budget says nothing."""
LENGTHS = 20.0
"""Trainings of full length that a search by rungs may use where its budget says nothing. With the
default reduction factors these are about 250 trials, of which 6 to 10 reach full length."""
LOWEST = 1 / 32
LEAST_SAMPLES = 16_384
"""The default lowest rung: this part of full length, and at least this number of samples. Fewer are
under ten steps: models then differ by their learning rate only, and building and measuring a model
takes longer than training it."""
EPOCHS = "optim.epochs"
MOST_PASSES = 10
"""Over train at full length, where a suite says how many samples that is."""
STEP = 4.0


class SuiteDataset(Config):
    """One data set of a suite."""

    id: str
    """Name of a card, with its variant: `kuairand-pure@late-window`; or a card's path."""
    tasks: tuple[str, ...] = ()
    """Tasks to train; empty means the card's."""
    objectives: tuple[str, ...] = ()
    """Metrics without split; empty means every task's primary metric: by what is served, see
    `primary`.
    """
    outcomes: tuple[str, ...] = ()
    """Outcomes of the ranking that is served, as in `like.recall@10%`, one a task; empty means
    ndcg@5 of every task where the card has a group with two rows or more on average, else
    recall@10%, and value@10% of a regression."""
    reference: dict[str, float] = Field(default_factory=dict)
    """Hypervolume's reference point; an objective that is not named gets the room's default."""
    margin: float | None = Field(None, gt=0)
    """The least lead that counts in a design's answers, in the unit of `seesaw compare`; None for
    its own margin.
    """
    served_margin: float = Field(1.0, gt=0)
    """The same of what is served, in per cent of the largest outcome that static weights reach."""
    current: str | None = None
    """The current production point on this data set instead of the suite's, see
    `bench.app.runs.current`.
    """

    def tasks_of(self, of_card: Iterable[Task], default: tuple[str, ...]) -> tuple[Task, ...]:
        """The tasks to train among those of a card, in order; raises UserError for an unknown
        one.
        """
        by_name = {task.name: task for task in of_card}
        names = self.tasks or default
        for name in names:
            check_known("task", name, by_name, self.id)
        return tuple(by_name[name] for name in names)


def with_limits(budget: Budget, limits: Mapping[str, Any]) -> dict[str, object]:
    """A budget's values with some limits changed, None left out; samples take the place of lengths
    and the reverse.
    """
    changed = {key: limit for key, limit in limits.items() if limit is not None}
    values = budget.model_dump()
    if "samples" in changed and "lengths" not in changed:
        del values["lengths"]
    if "lengths" in changed and "samples" not in changed:
        del values["samples"]
    return values | changed


class Budget(Config):
    """How long to search, for each data set."""

    trials: int | None = Field(None, ge=1)
    """Trials in total, baselines included; a resumed run continues to this number. By itself 40 in
    a search without rungs, where each is a training of full length."""
    samples: int | None = Field(None, ge=1)
    """Training samples of all trials together, in total as trials; what confirmation trains comes
    on top.
    """
    lengths: float | None = Field(None, ge=1)
    """Training samples in trainings of full length, which fits data sets of any size. The default
    in a search by rungs is 20: one trial may cost a 32nd of another there, so the number of trials
    says little about the cost."""
    time: Annotated[float, BeforeValidator(seconds)] | None = None
    """Nothing starts after this time, as in 10m, except jobs that bring the single-task baseline to
    full length. In total, too."""
    job_time: Annotated[float, BeforeValidator(seconds)] | None = None
    """A job that takes longer, as in 10m, is ended and tried again; the third time, that is its
    failure. A job is a trial's way from one rung to the next, or to full length where there are no
    rungs. By itself there is no limit."""

    @model_validator(mode="after")
    def _one_budget(self) -> Budget:
        if self.samples is not None and self.lengths is not None:
            raise ValueError("expected samples or lengths, which limit the same, found both")
        return self

    def samples_of(self, full: int) -> int | None:
        """The limit of training samples, given full length in samples; None for none."""
        return self.samples if self.lengths is None else round(self.lengths * full)


class SearchOptions(Config):
    """How to search.

    By rungs: trials are judged after a part of their training and the better ones trained on. With
    `lowest = false`, or a sampler that learns only from full length, all trials go to full length.
    """

    sampler: str = "gp"
    """Who proposes configurations."""
    lowest: Annotated[int | float | None, BeforeValidator(rung)] = None
    """Training samples at which a trial is first judged, or, below 1, a fraction of full length;
    false or 0 for no rungs. By itself 1/32, and at least 16,384 samples, with gp; no rungs with the
    other samplers."""
    full_length: int | None = Field(None, ge=1)
    """Training samples of full length, about: train is passed as many whole times as come nearest,
    at least once and at most `MOST_PASSES` times. So small data are trained on as long as large
    ones. By itself, or with --set optim.epochs, `optim.epochs` says how often train is passed."""
    step: float = Field(STEP, gt=1, le=100)
    """The factor, about, from one rung to the next."""
    eta: Annotated[tuple[float, ...] | None, BeforeValidator(reduction)] = None
    """Reduction factor: at each rung one trial in `eta` is promoted. A list has a factor for each
    rung, from the lowest up; its last is for all rungs above. By default one in six is promoted
    from the lowest rung (one in four with three objectives or more), and then trained to full
    length."""
    share: float = Field(0.1, ge=0, le=1)
    """Of all training samples, what may go into taking the best of each sharing kind's first trials
    to the top.
    """
    checkpoint_gb: float = Field(20.0, gt=0)
    """What the checkpoints of waiting trials may take on disk. Beyond, those of the worst are
    removed; such a trial is trained again from its beginning, should it go on after all."""
    tries: int = Field(2, ge=0)
    """Trials of each kind of sharing, besides its defaults, before the sampler may choose among
    kinds.
    """

    @property
    def by_rungs(self) -> bool:
        """Whether trials are judged below full length, where the data is large enough for that."""
        return self.sampler == "gp" if self.lowest is None else self.lowest != 0


class Confirm(Config):
    """Retraining of what looks best, on fresh seeds."""

    replicates: int = Field(2, ge=0)
    """Fresh seeds that each configuration has at the least; 0 leaves test unopened."""
    limit: int = Field(10, ge=1)
    """The most configurations, by rank and then by hypervolume contribution; single-task ones come
    on top.
    """
    budget: int | None = Field(None, ge=1)
    """Replicates of all these together. What the least leaves of it goes to configurations of which
    it is uncertain whether they are on the front, and ends where none is. By itself `replicates` x
    `limit` x 1.5, rounded up."""
    baselines: tuple[
        Literal["single_task", "equal_weights", "random_weights", "trees", "ensemble", "blend"], ...
    ] = (
        "single_task",
        "equal_weights",
        "random_weights",
        "trees",
        "ensemble",
        "blend",
    )
    """Baselines, each trained on `replicates` seeds. They come on top of the budget, except
    `single_task`.
    `single_task`: the best single-task model of each task, tuned on settings of the best models
    that share, too; see `bench.search.confirm.twins`. These trainings come on top. `equal_weights`,
    `random_weights`: the best sharing configuration with these weights. `trees`: boosted trees,
    tuned by as many tries as a kind of sharing had full lengths, three at the least. `ensemble`:
    two single-task models of half the size. `blend`: the best network and the trees, averaged by
    weights that validation chose; it needs `trees` and trains nothing."""
    static: int = Field(0, ge=0)
    """How many static weights to train as a baseline, evenly over the simplex, each with all else
    tuned again. They come on top of the budget. 0, or at least 2: `seesaw compare` needs 7 to say
    whether a gradient method beats static weights."""
    kinds: bool = False
    """Whether the best point of each kind of sharing is confirmed, too, where no other point of its
    kind is: so that a run shows them all side by side. Each adds `replicates` to the budget."""
    members: int = Field(0, ge=0)
    """Points of each balancing kind, and of single-task models, that are confirmed besides the
    others: the best by hypervolume alone, of different trials. Each adds `replicates` to the
    budget."""

    @model_validator(mode="after")
    def _fits(self) -> Confirm:
        if self.static == 1:
            raise ValueError("expected static = 0, or at least 2 weights, found 1")
        if "blend" in self.baselines and "trees" not in self.baselines:
            raise ValueError(
                "baselines: expected trees beside blend, which averages them with a network, "
                "found none"
            )
        return self

    @property
    def replicates_in_all(self) -> int:
        """The budget, given or by itself."""
        return self.budget or math.ceil(1.5 * self.replicates * self.limit)


class Design(Config):
    """Equal trials of methods, instead of a search: `[design]` of a suite, see
    `bench.app.reference`.

    A cell is a data set, a way of sharing and a balancer. Every cell is tuned by the same draws of
    the same parameters, and what validation finds best is trained on the same fresh seeds.
    """

    draws: int = Field(8, ge=1)
    """Trainings by which a cell is tuned, all on one seed; the first of more are those of fewer."""
    seeds: int = Field(10, ge=2)
    """Fresh seeds of each configuration that a cell chose."""
    weights: int = Field(7, ge=2)
    """Static weights, evenly over the simplex, each tuned by itself; together by as many trainings
    as all gradient methods of the design."""
    sharing: tuple[str, ...] = Field(min_length=1)
    balancing: tuple[str, ...] = ()
    """Balancers, beside static weights."""
    more_sharing: tuple[str, ...] = ()
    """Ways of sharing that are tried under equal weights alone."""
    more_balancing: tuple[str, ...] = ()
    """Balancers that are tried under the first way of sharing alone."""
    epochs: dict[str, float] = Field(default_factory=dict)
    """Passes over train, by data set."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Configuration names that are alike in all trainings; those of a way of sharing count for it
    alone.
    """
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Lowest and highest value of each name that is drawn, on a logarithmic scale; an option of a
    balancer is drawn for that balancer alone."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> Design:
        for name, (low, high) in self.ranges.items():
            if not 0 < low < high:
                raise ValueError(
                    f"ranges: {name}: expected two numbers above 0, rising, found {low:g} and "
                    f"{high:g}"
                )
        return self


class Suite(Config):
    """`reports/<name>/suite.toml`."""

    title: str
    space: str
    datasets: tuple[SuiteDataset, ...] = Field(min_length=1)
    budget: Budget = Budget()
    search: SearchOptions = SearchOptions()
    confirm: Confirm = Confirm()
    trainers: tuple[str, ...] = ()
    """Files of trainers from elsewhere, which are searched beside the space, see
    `bench.models.trainers`. The space `none` leaves models of the package out."""
    current: str | None = None
    """The current production point: a TOML file, a package's folder or `models:/NAME/VERSION`; see
    `seesaw run --current`. None: models alone are compared, with the best single-task models, each
    at its best weights."""
    policy: dict[str, Any] = Field(default_factory=dict)
    """As in a policy file: guards and a rule."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Configuration names held fixed throughout, as in { "optim.epochs" = 2 }."""
    design: Design | None = None
    """Methods to compare by equal trials, instead of a search."""

    @model_validator(mode="after")
    def _some_limit(self) -> Suite:
        budget = self.budget
        if budget.trials is None and budget.samples is None and budget.lengths is None:
            default = {"lengths": LENGTHS} if self.search.by_rungs else {"trials": TRIALS}
            object.__setattr__(self, "budget", budget.model_copy(update=default))
        return self

    @model_validator(mode="after")
    def _once_each(self) -> Suite:
        twice = repeated(dataset.id for dataset in self.datasets)
        if twice:
            raise ValueError(f"data set '{twice}' is listed twice")
        return self

    def passes(self, rows: int) -> dict[str, int]:
        """What fixes the passes over `rows` rows of train by `full_length`; nothing where `set` has
        them.
        """
        full = self.search.full_length
        if full is None or EPOCHS in self.set:
            return {}
        return {EPOCHS: min(MOST_PASSES, max(1, round(full / rows)))}

    def dataset(self, name: str) -> SuiteDataset:
        """The suite's settings for a data set, or the defaults for one that it does not list."""
        for dataset in self.datasets:
            if dataset.id == name:
                return dataset
        return SuiteDataset(id=name)


def load_suite(name_or_path: str) -> Suite:
    """Reads a suite; raises UserError, with file and key, if it is unknown or not valid."""
    path = content.find("reports", name_or_path)
    return validate(Suite, content.read_toml(path), str(path))
