"""From a log to a decision: its rows in parts, its models as candidates, and then what a run does with its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.deciding.asked import Asked
from bench.deciding.log import Log, seconds, times
from bench.deciding.models import Calibration, calibrations, models_of, recalibrated, score_of, suspicion, today
from bench.errors import UserError, listed
from bench.frontier.aims import PolicyAim, aims_of
from bench.frontier.decision import Decision, decided
from bench.frontier.policy import Policy
from bench.frontier.serving import serving
from bench.measure.outcomes import default_outcomes
from bench.measure.resamples import drawn_of, units_of
from bench.objectives import Objective, outcome
from bench.predictions import MOST_ROWS, Rows, sampled
from bench.records import Point, Replicate
from bench.results.effect import MARGIN
from bench.results.frontier import Frontier, frontier
from bench.results.fusion import Fusion, in_formula
from bench.results.served.climb import Goal, sample_of
from bench.results.served.measuring import Candidate, Current, Meter, measure_of
from bench.results.served.sweep import Sweep
from bench.rows import CONFIRM, SEARCH, TEST
from bench.schema import Task, TaskKind
from bench.seeds import derive, mixed

Floats = NDArray[np.float32]
PARTS = {"choose": CONFIRM, "judge": TEST, SEARCH: SEARCH, CONFIRM: CONFIRM, TEST: TEST}
"""Values of a column that parts a log, and the splits that they are."""
SCORE = "score"
"""The id of today's score."""
RESAMPLES = 100
"""Of rows, for heads."""
ROWS_TO_CHOOSE, ENOUGH = 200_000, 5_000
"""Rows, and positives of the rarest task, with which weights are chosen well enough; more rows only judge better."""
MOST_VALUES = 30
"""Values of a segment, the most frequent ones."""
SHOWN = "All of it holds among the rows that today's ranking showed."
UNTOLD = (
    "Nobody said that the models were not trained on these rows, which would flatter them: --trained-until TIME leaves "
    "such rows out, --unseen says that there are none."
)
ONE_TRAINING = "Each model is one training: intervals are of rows alone, and do not say what a retraining would change."


@dataclass(frozen=True, kw_only=True)
class LogDecision(Decision):
    """A decision on a log.

    Attributes:
        asked: what was asked.
        rows: by split.
        terms: by model what its prediction of each task is, in the log's columns.
        calibration: of the log's own predictions, on the rows that judge.
        notes: sentences on how the log was read, and on what nobody can know from it.
    """

    asked: Asked
    terms: Mapping[str, tuple[str, ...]]
    calibration: Sequence[Calibration]
    rows: Mapping[str, Rows]
    notes: tuple[str, ...]

    @property
    def formula(self) -> str:
        """What the answer says to rank by, in the log's own columns, ready to paste; empty where it says nothing."""
        served, row = self.serving.served, self.verdict.row
        row = self.pick.row if row is None and self.pick is not None else row
        if served is None or row is None or not served.table["weights"].iloc[row]:
            return ""
        facts, terms = served.table.iloc[row], self.terms[str(served.table["point"].iloc[row])]
        weights = dict(zip(terms, facts["weights"].values(), strict=True))
        return in_formula(facts["kind"], weights, self.rows[CONFIRM].rates)

    @property
    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        more = {"formula": self.formula, "calibration": [each._asdict() for each in self.calibration]}
        return super().document | more | {"notes": list(self.notes)}


def decide(asked: Asked, log: Log) -> LogDecision:
    """Decides on a log.

    Raises:
        UserError: rows, labels or predictions that nothing can be decided by; an outcome or a policy that does not fit.
    """
    log, labels, notes = _kept(asked, log)
    models, read = models_of(asked, log, labels)
    whole = _parts(asked, log)
    parts = {split: _sampled(asked, log, labels, split, places) for split, places in whole.items()}
    score = None if asked.score is None else log.numbers[asked.score].astype(np.float64)
    weights = None
    own = next(each for each in models if each.name == asked.served)
    if asked.formula is not None and (weights := today(asked.formula, own, asked.labels)) is None:
        score = score_of(asked.formula, log)
    rows = {split: _rows(asked, log, labels, places, len(whole[split])) for split, places in parts.items()}
    rates = tuple(asked.rates.get(task, rate) for task, rate in zip(asked.labels, rows[CONFIRM].rates, strict=True))
    rows = {split: replace(each, rates=rates) for split, each in rows.items()}
    for split, each in rows.items():
        _enough(each, split)
    tasks = [Task(name, "binary" if each == "binary" else "regression", parent=asked.parents.get(name))
             for name, each in zip(asked.labels, rows[CONFIRM].kinds, strict=True)]  # fmt: skip
    fits = calibrations(models, parts, rows)
    policy, wanted = _policy(asked), _outcomes(asked, tasks, rows[CONFIRM])
    aim = aims_of(policy, [each.name for each in wanted], dict(zip(asked.labels, rates, strict=True)), True)[0]
    for model in list(models):
        new = recalibrated(model, parts, rows, asked.labels)
        if new is not None and _gains(model.candidate(parts), new.candidate(parts), rows[CONFIRM], wanted, aim):
            models.append(new)
    if weights is not None:
        models = [replace(each, role="current") if each is own else each for each in models]
    candidates = [each.candidate(parts) for each in models]
    current, against = Current(own.name, today=False), f"{own.name} at its best weights"
    if score is not None:
        scored, called = score, f"today's score ({asked.weights or asked.score})"

        def read_score(split: str, run: int) -> NDArray[np.float64]:
            return scored[parts[split], None]

        candidates.append(Candidate(SCORE, called, "today's score", "current", (), read_score))
        made_of = own.name if asked.formula is not None or asked.today or own.name == "today" else ""
        current, against = Current(SCORE, model=made_of), called
    elif asked.formula is not None and weights is not None:
        scale = rates if asked.formula.kind == "sum" else [1.0] * len(rates)
        scaled = [weight * each for weight, each in zip(weights.values(), scale, strict=True)]
        current, against = Current(own.name, Fusion.of(asked.formula.kind, scaled)), f"{own.name}, {asked.formula.text}"
    found = serving(
        candidates, rows, current, against, policy, lambda: wanted, asked.seed,
        named=bool(asked.outcomes), forward=asked.time is not None,
    )  # fmt: skip
    front = _heads(candidates, rows, wanted, tasks, asked.seed)
    decision = decided(front, found, policy, asked.seed)
    sizes = " and judged on ".join(f"{len(parts[split]):,}" for split in (CONFIRM, TEST))
    beside = [f"Weights are chosen on {sizes} rows, called test.", *notes, *read, *suspicion(fits), found.note]
    beside += [ONE_TRAINING] * (not any(each.seeds for each in models))
    beside += [UNTOLD] * (not asked.unseen and asked.trained_until is None)
    beside += [SHOWN]
    return LogDecision(
        **vars(decision), asked=asked, rows=rows, terms={each.name: each.terms for each in models},
        calibration=fits, notes=tuple(filter(None, beside)),
    )  # fmt: skip


def _kept(asked: Asked, log: Log) -> tuple[Log, Floats, list[str]]:
    """The rows that all models predict and none was trained on, their joint labels, and what was left out."""
    notes, before = list(log.notes), len(log)
    if asked.trained_until is not None and asked.time is not None:
        log = log.where(times(log, asked.time) > seconds(asked.trained_until, "trained_until"))
        if not len(log):
            raise UserError(f"trained_until: expected rows of a later {asked.time}, found none")
        last = asked.trained_until if isinstance(asked.trained_until, str) else f"{asked.trained_until:g}"
        notes.append(f"{before - len(log):,} rows up to {last}, of training, are left out.")
        before = len(log)
    columns = {column for runs in asked.named.values() for _, own in runs for column in own} | {*asked.amounts.values()}
    log = log.where(np.logical_and.reduce([np.isfinite(log.numbers[name]) for name in columns]))
    if len(log) < before:
        notes.append(f"{before - len(log):,} of {before:,} rows are left out, as a prediction is missing there.")
    if not len(log):
        raise UserError("expected rows with a prediction of every model, found none")
    labels = np.stack([log.numbers[name] for name in asked.labels], axis=1).astype(np.float32)
    for at, name in enumerate(asked.labels):
        if np.nanmin(labels[:, at], initial=np.inf) < 0:
            raise UserError(f"expected labels of at least 0 in '{name}', found {np.nanmin(labels[:, at]):g}")
        above = asked.parents.get(name)
        while above is not None:
            labels[:, at] *= log.numbers[above]
            above = asked.parents.get(above)
        if name in asked.amounts:
            if (amounts := log.numbers[asked.amounts[name]]).min() < 0:
                raise UserError(f"expected amounts of at least 0 in '{asked.amounts[name]}', found {amounts.min():g}")
            labels[:, at] *= amounts
    return log, labels, notes


def _parts(asked: Asked, log: Log) -> dict[str, NDArray[np.int64]]:
    """By split the places of its rows: by a column, by time, or by units."""
    for name in filter(None, (asked.group, asked.units)):
        if (many := len(np.unique(log.names[name][0]))) < 2:
            raise UserError(f"expected more than one value of '{name}', found {many}")
    if asked.part is not None:
        codes, of = log.names[asked.part]
        names = [str(each) for each in of] if len(of) else [str(each) for each in np.unique(codes)]
        if unknown := [name for name in names if name not in PARTS]:
            raise UserError(f"part: expected {listed(list(PARTS))} in '{asked.part}', found '{unknown[0]}'")
        found = {PARTS[name]: np.flatnonzero(codes == at) for at, name in enumerate(names)}
    elif asked.time is not None:
        when = times(log, asked.time)
        middle = float(np.quantile(when, 0.5, method="lower"))
        middle = middle if (when > middle).any() else float(np.max(when[when < middle], initial=-np.inf))
        found = {CONFIRM: np.flatnonzero(when <= middle), TEST: np.flatnonzero(when > middle)}
    else:
        by = asked.units or asked.group
        units = np.arange(len(log)) if by is None else log.names[by][0]
        late = mixed(mixed(np.uint64(derive(asked.seed, "judge")) ^ units.astype(np.uint64))) >> np.uint64(63) == 1
        found = {CONFIRM: np.flatnonzero(~late), TEST: np.flatnonzero(late)}
    for split, name in ((CONFIRM, "choose"), (TEST, "judge")):
        if not len(found.get(split, ())):
            by = asked.part or asked.time or asked.units or asked.group or "rows"
            raise UserError(f"expected rows that {name} weights, found none: '{by}' parts the log")
    return {split: found[split] for split in (SEARCH, CONFIRM, TEST) if split in found}


def _sampled(
    asked: Asked, log: Log, labels: Floats, split: str, places: NDArray[np.int64]
) -> NDArray[np.int64]:  # fmt: skip
    """Those of a split's places that are kept: of very many whole units are sampled, or rows."""
    by, most = asked.units or asked.group, MOST_ROWS
    if split == CONFIRM and asked.part is None:
        least = float(np.nanmean(labels[places] > 0, axis=0).min())
        most = int(np.clip(ENOUGH / max(least, 1e-9), ROWS_TO_CHOOSE, MOST_ROWS))
    units = np.arange(len(places)) if by is None else log.names[by][0][places]
    return places[sampled(units.astype(np.uint64), split, len(places), most)]


def _rows(asked: Asked, log: Log, labels: Floats, places: NDArray[np.int64], many: int) -> Rows:
    """The rows of a split, in the order of the log; `many`: how many there were before sampling."""
    group = np.full(len(places), -1, np.int64) if asked.group is None else log.names[asked.group][0][places]
    by = asked.units or asked.group
    units = units_of(np.full(len(places), -1, np.int64) if by is None else log.names[by][0][places], 0)
    own = labels[places]
    weights = None
    if asked.sampling is not None:
        weights = np.where(np.nan_to_num(own).max(axis=1) > 0, 1.0, 1 / asked.sampling).astype(np.float32)
    segments, codes = {}, np.empty((len(places), len(asked.segments)), np.int16)
    for at, name in enumerate(asked.segments):
        every, of = log.names[name]
        values = of if len(of) else np.arange(every.max() + 1)
        most = np.argsort(-np.bincount(every[every >= 0], minlength=len(values)), kind="stable")[:MOST_VALUES]
        place = np.full(len(values) + 1, -1, np.int16)
        place[most] = np.arange(len(most))
        segments[name], codes[:, at] = tuple(str(values[each]) for each in most), place[every[places]]
    kinds: tuple[TaskKind, ...] = tuple(
        "binary" if _binary(labels[:, at]) else "regression" for at in range(len(asked.labels))
    )
    of_rows = np.isfinite(own) * (np.ones(len(own)) if weights is None else weights.astype(np.float64))[:, None]
    rates = (np.nan_to_num(own) * of_rows).sum(axis=0) / np.maximum(of_rows.sum(axis=0), 1e-9)
    return Rows(
        labels=own, group=group.astype(np.int32), weights=weights, units=units, tasks=tuple(asked.labels), kinds=kinds,
        rates=tuple(rates.tolist()), segments=segments, codes=codes, logged={}, of=many,
    )  # fmt: skip


def _binary(labels: Floats) -> bool:
    known = labels[np.isfinite(labels)]
    return bool(((known == 0) | (known == 1)).all())


def _enough(rows: Rows, split: str) -> None:
    what = {CONFIRM: "that choose weights", TEST: "that judge", SEARCH: "of validation"}[split]
    for name, own in zip(rows.tasks, rows.labels.T, strict=True):
        if not np.isfinite(own).any():
            raise UserError(f"expected labels of '{name}' on the rows {what}, found none")
        if np.nanmin(own) == np.nanmax(own):
            raise UserError(f"expected rows {what} with and without '{name}', found {np.nanmax(own):g} in all")


def _policy(asked: Asked) -> Policy:
    if not asked.values:
        return asked.policy
    if asked.policy.rule not in ("knee", "value"):
        raise UserError(f"values: expected the rule 'value', found '{asked.policy.rule}' in the policy")
    limits = {} if "guard" in asked.policy.model_fields_set else {"guard": {"max_loss_vs_current": float("inf")}}
    return Policy.model_validate(
        asked.policy.model_dump(exclude_unset=True) | {"rule": "value", "values": dict(asked.values)} | limits
    )


def _outcomes(asked: Asked, tasks: Sequence[Task], rows: Rows) -> tuple[Objective, ...]:
    """What is served: as asked, else recalls where events have values, else what groups are large enough for."""
    names: Sequence[str] = [*asked.outcomes, *_policy(asked).outcomes] or default_outcomes(tasks, rows.group)
    if asked.values and not asked.outcomes:
        names = [f"{task.name}.{'recall' if task.kind == 'binary' else 'value'}@10%" for task in tasks]
    return tuple(outcome(name, tuple(tasks), "outcomes") for name in dict.fromkeys(names))


def _gains(old: Candidate, new: Candidate, rows: Rows, outcomes: Sequence[Objective], aim: PolicyAim) -> bool:
    """Whether a recalibrated model reaches more than as good, on a sample of the rows that choose."""
    few, kept = sample_of(rows, CONFIRM)
    both = [replace(each, predictions=partial(_some, each, kept)) for each in (old, new)]
    settings = Sweep(len(rows.tasks)).settings
    meter = Meter(both, few, CONFIRM, [each.name for each in outcomes], 0)
    means = [each.mean(axis=0) for each in meter.sweep(settings)]
    goal = Goal(aim, means[0][0], meter.measure.random()[0])
    best = [means[0][int(goal.worth(means[0]).argmax())], means[1][int(goal.worth(means[1]).argmax())]]
    goal = Goal(aim, best[0], goal.chance)
    return bool(goal.utility(best[1]) > goal.utility(best[0]) + MARGIN)


def _some(of: Candidate, kept: NDArray[np.bool_], split: str, run: int) -> NDArray[Any]:
    return np.asarray(of.predictions(split, run)[kept])


def _heads(
    candidates: Sequence[Candidate], rows: Mapping[str, Rows], outcomes: Sequence[Objective], tasks: Sequence[Task],
    seed: int,
) -> Frontier:  # fmt: skip
    """The front of heads: each task's outcomes where its own prediction ranks."""
    names = [each.name for each in outcomes]
    seeded = any(each.seeds for each in candidates)  # else nobody can tell what is surely ahead
    drawn = {split: drawn_of(own, split, RESAMPLES if seeded else 0) for split, own in rows.items()}
    measures = {split: measure_of(own, names, drawn[split]) for split, own in rows.items()}
    points = []
    for each in candidates:
        if each.id == SCORE:
            continue
        runs = []
        for run in range(each.replicates):
            metrics: dict[str, float] = {}
            moved: dict[str, list[float]] = {}
            for split, measure in measures.items():
                said = each.predictions(split, run)
                for at, task in enumerate(tasks):
                    of = measure.resampled(said[:, at].astype(np.float64))[:, 0]
                    for place, one in enumerate(outcomes):
                        if one.name.partition(".")[0] == task.name:
                            metrics[one.key(split)] = float(of[0, place])
                            moved[one.key(split)] = (of[1:, place] - of[0, place]).tolist()
            runs.append(Replicate(run + 1, each.seeds[run] if each.seeds else run, metrics, resampled=moved))
        points.append(
            Point(
                "model", {}, each.architecture, label=each.id, baseline=each.role == "baseline", replicates=tuple(runs)
            )
        )
    return frontier([], outcomes, seed=seed, baselines=points)
