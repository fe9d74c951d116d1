"""What a page shows of a run on one data set: `build_view` makes it, `sections` and the scripts draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.frontier.choices import Choices
from bench.frontier.frontier import Frontier
from bench.frontier.importance import Importance
from bench.records import TrialRecord
from bench.report.decision import Decision, Picked, decision_of
from bench.report.effort import Spent, course, influences, seed_effects, spent
from bench.report.failures import Failed, failures
from bench.report.plane import Plane, heads_plane, served_plane

if TYPE_CHECKING:
    from bench.frontier.served.served import Served

Kind = Literal["win", "trade", "tie", "baseline", "unknown"]
NOTHING = "Nothing was confirmed on fresh seeds: these are the search's own values, which are too good on average."


@dataclass(frozen=True)
class View:
    """One section of a page.

    Attributes:
        run: name of the run, for commands; dataset: the data set's id.
        verdict: kind and sentence.
        current: what the current point is, in one sentence.
        planes: served outcomes where there are any, then heads.
        why: sentences: the pick's, the comparison's, and what seeds do.
        holds: in what share of retrainings the run's pick holds; picked: its point.
        policy: the run's policy, as TOML.
        commands: by what they do.
        trials: how many points have a result.
        history: (training samples, or trials) and the hypervolume after each result; `by_samples` says which.
    """

    title: str
    dataset: str
    run: str
    verdict: tuple[Kind, str]
    current: str
    planes: tuple[Plane, ...]
    decision: Decision | None
    holds: float | None
    picked: str | None
    why: tuple[str, ...]
    no_pick: str
    policy: str
    commands: tuple[tuple[str, str], ...]
    made: tuple[tuple[str, str], ...]
    cut_short: str
    failures: tuple[Failed, ...]
    trials: int
    hypervolume: float
    history: tuple[tuple[int, float], ...]
    by_samples: bool
    influences: tuple[Importance, ...]
    spent: tuple[Spent, ...]

    @property
    def heads(self) -> Plane:
        """The plane of heads."""
        return self.planes[-1]


def build_view(
    records: Sequence[TrialRecord],
    front: Frontier,
    *,
    title: str,
    dataset: str,
    run: str = "",
    verdict: Mapping[str, Any] | None = None,
    current: str = "",
    served: Served | None = None,
    choices: Choices | None = None,
    pick: Picked | None = None,
    no_pick: str = "",
    policy: str = "",
    also: Sequence[str] = (),
    commands: Mapping[str, str] | None = None,
    made: Mapping[str, str] | None = None,
    cut_short: str = "",
) -> View:
    """The section of a page for one run on one data set.

    Args:
        records: all trials of the run, in any state: for what the search did.
        front: the front of heads.
        title: of the data set, for people; `dataset` is its id.
        run: its name, as `seesaw pick` takes it.
        verdict: `kind` and `sentence`; None where nothing was confirmed, which is said then.
        current: one sentence that says what the current point is.
        served: the served front; None where predictions were not kept.
        choices: what can be picked; with a `current` row the page has sliders.
        pick: the pick among the choices; None where there is none, and `no_pick` says why.
        policy: the run's policy, as TOML.
        also: sentences beside the pick's: exchange rates, what models alone gain, the answer about gradient methods.
        commands: what a command does, and the command: to train the pick again, to deploy it, to find it in MLflow.
        made: how it was made, in the order to show: fingerprint, seed, space, versions, command, ...
        cut_short: a sentence where the time limit ended the search early.
    """
    heads = heads_plane(front)
    told = verdict or {"kind": "unknown", "sentence": NOTHING if front.basis == "search" else ""}
    front_served = served_plane(served, pick.row if pick else None, told.get("changes")) if served is not None else None
    history, by_samples = course(front, records)
    sentences = ((pick.sentence if pick else ""), *also, *seed_effects(front))
    return View(
        title=title,
        dataset=dataset,
        run=run,
        verdict=(told["kind"], told["sentence"]),
        current=current,
        planes=((front_served, heads) if front_served is not None else (heads,)),
        decision=decision_of(choices, pick),
        holds=pick.holds if pick else None,
        picked=str(choices.table["point"].iloc[pick.row]) if pick and choices is not None else None,
        why=tuple(filter(None, sentences)),
        no_pick="" if pick else no_pick,
        policy=policy,
        commands=tuple((commands or {}).items()),
        made=tuple((made or {}).items()),
        cut_short=cut_short,
        failures=failures(records),
        trials=int((heads.table["role"] == "trial").sum()),
        hypervolume=front.hypervolume,
        history=history,
        by_samples=by_samples,
        influences=influences(records, front),
        spent=spent(records),
    )
