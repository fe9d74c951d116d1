"""The verdict: which model and which weights, what each gains, and how sure that is.

A served ranking is a model and weights. To change the weights of what one has is free, to change the model costs a
launch, so effects are told apart. U is what the policy maximises, w* the weights of a model that have most of it on the
rows that choose, within the policy's limits.

* weights alone = U(today's model, w*) - U(today);
* model alone = U(candidate, its w*) - U(today's model, w*);
* both = their sum.

All is judged on test, which chose nothing, by draws of one posterior over all candidates: see
`bench.results.served.joint`. Where nobody said what is served, the best single-task models at their own w* stand for
it, and the verdict is about models alone, at the anchors of `bench.frontier.aims`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from bench.core.arrays import Floats
from bench.core.rows import TEST
from bench.frontier.aims import PolicyAim
from bench.frontier.attribution import Gain
from bench.frontier.contest import Contest
from bench.frontier.judging import Judge
from bench.frontier.remedies import remedies
from bench.frontier.stability import SELDOM
from bench.frontier.words import verdict as words
from bench.frontier.words.verdict import Changes
from bench.results.effect import LEVEL, MARGIN, Effect
from bench.results.served.joint import Moves, effect_of
from bench.results.served.served import Served
from bench.results.served.slices import AS_LOGGED

VerdictKind = Literal["model", "weights", "keep", "unknown"]
DETECTED = -1.35 * float(ndtri((1 - LEVEL) / 2) + ndtri(0.2))
"""Standard errors of a gain that is shown four times in five. The factor is what drawing back the best costs, by
simulation."""
TREES = "trees"

Attributed = Callable[[str, Gain, PolicyAim], Sequence[str]]
"""Of a point that gains, sentences on what makes that gain; see `bench.frontier.attribution`."""


@dataclass(frozen=True)
class ModelGain:
    """What a model at its best weights gains over what is served, or over what stands for it.

    Attributes:
        point: its id; name: in words.
        row: of the served front, its best weights.
        gain: on test.
        refused: which limit refuses it, in words; empty where none does.
    """

    point: str
    name: str
    row: int
    gain: Moves
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """Itself as every document has it."""
        facts = {"point": self.point, "name": self.name, "row": self.row}
        return facts | ({"refused": self.refused} if self.refused else {}) | self.gain.to_json()


@dataclass(frozen=True)
class Verdict:
    """The verdict on switching.

    Attributes:
        kind: `model`: switch to another model. `weights`: keep the model, and change its weights. `keep`: nothing is
            gained that matters. `unknown`: cannot tell.
        answer: one to four sentences.
        notes: sentences on how sure that is, and on what else there is.
        row: of the served front, what the answer says to serve, or of `unknown` cannot tell about; None to keep what
            there is.
        both, weights, model: expected effects of that row, see `bench.results.served.joint`: of all, of the weights
            alone, of the model alone; None where there is no such part, or no served front. Cells have measured ones.
        anchors: where nobody said what is served, the model's U on average and by anchor.
        slices: by slice of the rows (`scenario=2`) the changes there; see `slice_changes`.
        ahead: names of points that are surely ahead of that row, and not advised.
        least: the gain in U that this test shows four times in five.
        about: the row that these effects are of; who: the same in words.
        overall: what a gain of U is of, as a table has it; both_ways: whether it is a mean of two tests.
        models: each model at its best weights, the largest gain of U first.
        limits: that the answer keeps, in words.
    """

    kind: VerdictKind
    answer: tuple[str, ...]
    notes: tuple[str, ...] = ()
    row: int | None = None
    both: Moves | None = None
    weights: Moves | None = None
    model: Moves | None = None
    anchors: Mapping[str, Effect] = field(default_factory=dict)
    slices: Mapping[str, Changes] = field(default_factory=dict)
    ahead: tuple[str, ...] = ()
    least: float | None = None
    about: int | None = None
    who: str = ""
    overall: str = ""
    both_ways: bool = False
    models: tuple[ModelGain, ...] = ()
    limits: tuple[str, ...] = ()

    def by_days(self, sentence: str, average: Effect) -> Verdict:
        """Itself with what a back-test says of its row; nobody can tell where that is surely behind on an average day.

        Args:
            sentence: on how many days it is ahead.
            average: the gain of U on the average day.
        """
        if self.kind in ("model", "weights") and average.high < 0:
            answer = "Cannot tell whether to switch: test and the back-test disagree."
            notes = (f"Test alone says: {self.sentence}", *self.notes)
            return replace(self, kind="unknown", answer=(answer, sentence), notes=notes)
        return replace(self, answer=(*self.answer, sentence))

    @property
    def keep(self) -> bool:
        """Whether the answer is to keep what there is."""
        return self.kind == "keep"

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return " ".join(self.answer)

    @property
    def weightings(self) -> int:
        """Over how many ways to weigh the outcomes its gain of U is a mean."""
        return max(len(self.anchors) - 1, 1)

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows: of U and of each outcome what weights, model and both gain, and where most is surely lost.

        Without columns that would be empty, or say the same again.
        """
        moves = {words.WEIGHTS: self.weights, words.MODEL: self.model, words.BOTH: self.both}
        parts = {name: part for name, part in moves.items() if part is not None and not _equal(part)}
        if len(parts) == 2 and words.BOTH in parts:  # then the other one is all of it
            del parts[words.BOTH]
        overall = words.as_mean(self.overall, self.weightings, self.both_ways)
        rows = [[overall, *(str(part.utility) for part in parts.values())]]
        if self.anchors:
            (_, mean), *every = self.anchors.items()
            weighing, least = min(every, key=lambda anchor: anchor[1].value)
            rows = [[overall, str(mean)]]
            rows += [[f"the same where {weighing}: the least", str(least)]] if len(every) > 1 else []
        above = len(rows)
        rows += [[name, *(str(each.outcomes[name]) for each in parts.values())] for name in self.changes]
        lost = {name: f"{slice} {each}" for slice, name, each in reversed(losses(self.slices))}  # the largest is last
        if lost:
            rows = [[*row, lost.get(row[0], "") if at >= above else ""] for at, row in enumerate(rows)]
        headers = [self.who, *parts, *([words.WORST] if lost else [])]
        return (headers, rows) if parts else ([], [])

    @property
    def by_model(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows: what each model gains at its best weights, in all and by outcome; nothing of one model."""
        if len(self.models) < 2:
            return [], []
        outcomes = list(self.models[0].gain.outcomes)
        rows = []
        for model in self.models:
            gains = [str(model.gain.utility), *(str(model.gain.outcomes[name]) for name in outcomes)]
            rows.append([model.name, *gains])
        overall = words.as_mean(self.overall, self.weightings, self.both_ways)
        headers = ["each model at its best weights", overall, *outcomes]
        if any(model.refused for model in self.models):
            headers.append("refused by")
            rows = [[*row, model.refused] for row, model in zip(rows, self.models, strict=True)]
        return headers, rows

    @property
    def changes(self) -> Changes:
        """By outcome what is expected, of all; empty without a served front."""
        return self.both.outcomes if self.both else {}

    def to_json(self) -> dict[str, Any]:
        """Itself as every document has it."""
        parts = {"both": self.both, "weights_alone": self.weights, "model_alone": self.model}
        more: dict[str, Any] = {
            **{name: each and each.to_json() for name, each in parts.items()},
            "anchors": {name: each.to_json() for name, each in self.anchors.items()},
            "segments": {
                name: {of: each.to_json() if np.isfinite(each.value) else None for of, each in changes.items()}
                for name, changes in self.slices.items()
            },
            "ahead": list(self.ahead),
            "shows": self.least,
            "models": [model.to_json() for model in self.models],
            "limits": list(self.limits),
        }
        known = {name: value for name, value in more.items() if value}
        said = {"kind": self.kind, "sentence": self.sentence, "notes": list(self.notes), "keep": self.keep}
        return said | known


def unserved(reason: str) -> Verdict:
    """The verdict of a run without a served front."""
    return Verdict("unknown", (f"Cannot tell whether to switch: {reason}.",))


def verdict(
    contest: Callable[[PolicyAim], Contest],
    judge: Judge,
    row: int,
    against: str,
    aims: Sequence[PolicyAim],
    holds: float | None = None,
    others: tuple[str, ...] = (),
    unlimited: int | None = None,
    heads: Callable[[str], Sequence[str]] = lambda point: (),
    titles: Mapping[str, str] | None = None,
    suspicion: str = "",
    attributed: Attributed = lambda point, gain, aim: (),
) -> Verdict:
    """The verdict about a picked serving point.

    Args:
        contest: of each aim, the first one settled by the pick.
        judge: of the choices, which are the front's rows.
        row: of the pick in the table.
        against: what the current point is, in words: "the current model (todays.toml)".
        aims: of the policy, see `aims_of`.
        holds: in which share of retrainings the pick holds, see `bench.frontier.stability`.
        others: points that come first in the other retrainings, in words.
        unlimited: the row that the policy would pick without its limits, where these make it keep the current point.
        heads: of a point the names of those that are surely ahead of it in every head.
        titles: how points are called, by their names; see `words.titles_of`.
        suspicion: sentences on the data and the pick, see `Frontier.suspicion` and `bench.results.within`.
        attributed: see `Attributed`.
    """
    first, served = contest(aims[0]), contest(aims[0]).served
    more = aims[1:] if aims[0].rule == "knee" and not served.today else ()
    contests = [first, *map(contest, more)]

    def call(at: int) -> str:
        return words.named(served.table.iloc[at], titles)

    said = _today(first, row, against, unlimited, call) if served.today else _models(contests, aims, row, call)
    advised = row if said.row is None else said.row
    serves = served.current if said.keep else advised
    limits = tuple(map(str, (*judge.limits, *judge.segments)))
    said = replace(
        said,
        about=advised,
        who=call(advised),
        overall=words.overall_row(aims[0]),
        both_ways=first.both_ways,
        limits=limits,
    )
    said = replace(said, models=_model_gains(contests, judge, call))
    said = _with_rivals(contests, judge, said, serves, row, heads, call)
    notes = list(said.notes)
    if said.both is not None and advised != served.current:
        slices = slice_changes(served, advised)
        said = replace(said, slices=slices)
        who = "The pick loses" if said.keep else "They lose" if words.several(said.who) else "It loses"
        worst = [
            words.LOSES_MOST.format(who=who, slice=name, outcome=outcome, change=change)
            for name, outcome, change in losses(slices)[:1]
        ]
        notes = [*worst, *notes, words.SURE_IN_SLICES if slices.keys() - {AS_LOGGED} and served.known else ""]
        alike = ", ".join(f"{change} of {name}" for name, change in slices.get(AS_LOGGED, {}).items())
        notes += [f"If all rows counted alike: {alike}."] if alike else []
        if said.both is not None and not judge.policy.losses(served.names) and not said.keep:
            notes = [*_costs_most(said.both, who), *notes]  # nothing else says what is given up
    if holds is not None and not said.keep and advised == row and row != served.current:
        held = words.holding(holds, others)
        notes = [held, *notes] if holds < SELDOM else [*notes, held]
    if served.today and said.kind in ("keep", "unknown"):
        told = said.both.utility.value if said.both and said.kind == "unknown" else 0.0
        notes = [*_guarded(first, judge, max(told, 0.0), call), *notes]
    if said.kind in ("keep", "weights") and row != serves and (said.both is None or not _equal(said.both)):
        notes.append(words.CHOSEN_FIRST.format(what=call(row)))
    notes += [words.left_out(aims[0].left_out), words.BOTH_WAYS if first.both_ways and said.both else "", suspicion]
    notes = list(filter(None, notes))
    if len(said.answer) == 1 and notes and notes[0] not in (words.SURE, words.UNTESTED):  # room for the first of them
        said, notes = replace(said, answer=(*said.answer, notes[0])), notes[1:]
    if said.kind == "model" and served.over_single_task:
        said = replace(said, answer=(*said.answer, *_attributed(contests, advised, attributed)))
    if served.today:
        notes.append(words.limits_in_force(limits, bool(judge.policy.values)))
    return replace(said, notes=tuple(notes))


def _attributed(contests: Sequence[Contest], row: int, attributed: Attributed) -> Sequence[str]:
    """Sentences on what makes the gain of a row over single-task models."""
    first = contests[0]

    def gain(point: str, other: str) -> Effect | None:
        known = {point, other} <= first.best.keys()
        return _over(contests, point, other) if known else None

    return attributed(str(first.served.table["point"].iloc[row]), gain, first.aim)


def _costs_most(both: Moves, who: str) -> list[str]:
    """The outcome that loses most, in words, where one surely loses."""
    name, change = min(both.outcomes.items(), key=lambda outcome: np.nan_to_num(outcome[1].value))
    return [words.COSTS_MOST.format(who=who, outcome=name, change=change)] if change.lost else []


def _guarded(contest: Contest, judge: Judge, least: float, call: Callable[[int], str]) -> list[str]:
    """A sentence on models that look better, on test as on the rows that chose, and fail the guard by noise alone.

    Args:
        least: what they must gain on test to look better.
    """
    now = contest.served.current
    scores = judge.scores(judge.choices.values(judge.scored))
    refused = [row for row in contest.best.values() if judge.noise[row] and scores[row] > scores[now]]
    better = [row for row in refused if contest.moves(row, now).utility.value > least]
    return [words.guarded([call(row) for row in better])] if better else []


def _model_gains(contests: Sequence[Contest], judge: Judge, call: Callable[[int], str]) -> tuple[ModelGain, ...]:
    """Each model at its best weights against what is served; one that limits refuse with all weights at its best.

    Over several contests its gain of U is the mean, as in the answer.
    """
    contest = contests[0]
    now = contest.served.current
    current = str(contest.served.table["point"].iloc[now])
    models = []
    for point, unlimited in contest.unlimited.items():
        row = contest.best.get(point, unlimited)
        if row != now:
            refused = "" if judge.passing[row] else _refusal(judge, row)
            gain = contest.moves(row, now)
            if len(contests) > 1 and contest.served.known and point in contest.best:
                gain = replace(gain, utility=_over(contests, point, current))
            models.append(ModelGain(point, call(row), row, gain, refused))
    return tuple(sorted(models, key=lambda model: -model.gain.utility.value))


def _refusal(judge: Judge, row: int) -> str:
    """What refuses a row: the limit that its mean breaks, else noise."""
    broken = [limit for limit in judge.limits if not limit.kept(limit.means)[row]]
    broken_in_segments = [str(limit) for limit in judge.segments if not limit.passing[row]]
    reasons = [*map(str, broken), *broken_in_segments]
    return reasons[0].partition(" with ")[0] if reasons else words.NOT_SHOWN


def _today(
    contest: Contest, row: int, against: str, unlimited: int | None, call: Callable[[int], str]
) -> Verdict:  # fmt: skip
    """Kind, sentences and effects where there is a current point."""
    served, now, start = contest.served, contest.served.current, contest.start
    points, both, what = served.table["point"], contest.moves(row, now), call(row)
    overall, limited = words.overall(contest.aim), bool(contest.judge.limits or contest.judge.segments)
    weights = contest.moves(start, now) if start != now else None
    model = contest.moves(row) if points.iloc[row] != points.iloc[start] else None
    if not served.known:
        if row == now:
            told = words.KEEP.format(against=against, why="the policy picks no other point")
            return Verdict("unknown", (told,), (words.UNTESTED,))
        return Verdict("unknown", (words.UNTRAINED.format(what=what),), (), row, both, weights, model)
    of_weights = weights.utility if weights else Effect(0.0, 0.0, 0.0)
    least = _shown([contest.apart(row, now, measured=True)], contest.aim)
    verdict = Verdict("keep", (), (words.SURE,), None, None if row == now else both, weights, model, least=least)

    def said(answer: str, *more: str, **of: Any) -> Verdict:
        return replace(verdict, answer=(answer,), notes=(*filter(None, more), words.SURE), **of)

    if model and (model.utility.gained or (both.utility.gained and not of_weights.gained)):
        return said(words.model(what, both.utility, overall), kind="model", row=row)
    rest = [at for at in contest.best.values() if at not in (start, now)]
    if weights and of_weights.gained:
        added = [contest.moves(at).utility for at in rest]
        scored = points.iloc[start] != points.iloc[now]
        answer = words.weights(of_weights, overall, against if scored else "")
        most = words.added(max(added, key=lambda each: each.value, default=None))
        return said(answer, most, kind="weights", row=start, both=weights, model=None)
    if unlimited is not None:
        gained = contest.moves(unlimited, now).utility
        would = words.LIMITED.format(would=call(unlimited), both=gained, overall=overall)
        return said(words.KEEP.format(against=against, why="no point that the policy allows is better"), would)
    moved = [contest.moves(at, now).utility for at in (*rest, start)]
    top = max(moved, key=lambda each: each.high)
    if top.high <= MARGIN or row == now:
        why = words.nothing(top, overall, limited) if top.high <= MARGIN else "the policy picks no other point"
        return said(
            words.KEEP.format(against=against, why=why),
            words.SAME.format(what=what) if row != now and _equal(both) else "",
        )
    if both.utility.high < 0:
        return said(words.KEEP.format(against=against, why=words.costs(what, both.utility, overall)))
    return said(words.unsure(what, both.utility, overall), words.shows(least), kind="unknown", row=row)


def _equal(both: Moves) -> bool:
    return all(each.value == each.low == each.high == 0 for each in both.outcomes.values())


def _models(
    contests: Sequence[Contest], aims: Sequence[PolicyAim], row: int, call: Callable[[int], str]
) -> Verdict:  # fmt: skip
    """Kind, sentences and effects where nobody said what is served: of models alone."""
    first, served = contests[0], contests[0].served
    point, now = str(served.table["point"].iloc[row]), str(served.table["point"].iloc[served.current])
    what, alone = call(row), first.moves(row)
    verdict = Verdict("unknown", (), (), row, alone, None, alone)
    reference, overall = words.reference(served), words.overall(aims[0])
    if len(first.best) == 1:
        return replace(verdict, both=None, model=None, answer=(words.SINGLE.format(what=what),))
    if not served.known:
        return replace(verdict, answer=(words.UNTRAINED.format(what=what),))
    own = zip(aims, contests, strict=False)
    anchors = {aim.title: each.moves(each.best[point]).utility for aim, each in own if point in each.best}

    mean = _over(contests, point, now)
    verdict = replace(verdict, anchors={"on average": mean, **anchors})
    others = {each: _over(contests, each, now) for each in first.best if each not in (now, point)}
    others = {each: gain for each, gain in others.items() if not gain.gained}  # what is ahead is told first
    weights = served.table["weights"].iloc[row]
    after = words.SURE, words.averaged(len(anchors)), words.start(weights, len(contests) > 1)
    if mean.gained:
        return replace(verdict, kind="model", answer=(words.alone(what, reference, mean, overall),), notes=after)
    same = row == served.current or _equal(alone)
    alike = words.SAME.format(what=what) if same and row != served.current else ""
    top = max([mean, *others.values()], key=lambda each: each.high)
    if top.high <= MARGIN:
        level = words.level(reference, top)
        return replace(verdict, kind="keep", row=None, answer=(level,), notes=(*filter(None, [alike]), *after))
    if same and others:  # the pick says nothing of the models that differ
        point = max(others, key=lambda each: others[each].value)
        what, mean = call(first.best[point]), others[point]
    plain = [each.apart(each.best[point], measured=True) for each in contests if point in each.best]
    verdict = replace(verdict, least=_shown(plain, aims[0]))
    notes = *filter(None, [words.shows(verdict.least), alike]), *after
    answer = words.UNDECIDED.format(what=what, reference=reference, mean=mean, overall=overall)
    return replace(verdict, answer=(answer,), notes=notes)


def _shown(apart: Sequence[Floats], aim: PolicyAim) -> float:
    """The gain of U that a test shows four times in five, by draws (D,) of differences, one of each aim."""
    return float(aim.fraction(np.array(DETECTED * np.mean(apart, axis=0).std())))


def _over(contests: Sequence[Contest], point: str, other: str) -> Effect:
    """The gain in U of a candidate over another one, each at its best weights, on average over contests."""
    both = [each for each in contests if {point, other} <= each.best.keys()]

    def told(measured: bool) -> Effect:
        mean = np.mean([each.apart(each.best[point], each.best[other], measured) for each in both], axis=0)
        return effect_of(mean.mean(), mean, both[0].aim.fraction)

    return told(measured=False).spanning(told(measured=True))


def _with_rivals(
    contests: Sequence[Contest],
    judge: Judge,
    verdict: Verdict,
    row: int,
    pick: int,
    heads: Callable[[str], Sequence[str]],
    call: Callable[[int], str],
) -> Verdict:
    """With what is surely ahead of a row in the answer, by U or in every head, and why it is not advised.

    Args:
        row: what the answer says to serve.
        pick: the row that the policy picks, which may be another one.
        heads, call: see `verdict`.
    """
    contest, served, table = contests[0], contests[0].served, contests[0].served.table
    point = str(table["point"].iloc[row])
    if not served.known:
        return verdict
    rows = {other: contest.best.get(other, free) for other, free in contest.unlimited.items() if other != point}
    leads = {at: lead for other, at in rows.items() if (lead := _lead(contests, other, at, row)).gained}
    for other, free in contest.unlimited.items():  # a limit may refuse just the weights with which it is ahead
        if other != point and rows[other] not in leads and not judge.passing[free]:
            lead = contest.moves(free, row).utility
            leads |= {free: lead} if lead.gained else {}
    rivals = {call(at): (f"by {lead}", _reason(contest, judge, at, pick, call)) for at, lead in leads.items()}
    names = [str(table["name"].iloc[at]) for at in leads]
    for name in heads(point):
        if name not in names:
            rivals.setdefault(call(int(np.flatnonzero(table["name"] == name)[0])), (words.BY_HEADS, ""))
            names.append(name)
    if not rivals:
        return verdict
    kept = "what you keep" if served.today else words.reference(served)
    of = kept if verdict.keep else "the pick"
    if len(rivals) == 1 and [*leads] == [contest.best.get(TREES)] and _trees_lead_all_networks(contest):
        of = "every network"
    notes = [*_allowances(judge, leads, call), *verdict.notes]
    answer = (verdict.answer[0], words.ahead(rivals, of))
    return replace(verdict, answer=answer, ahead=tuple(names), notes=tuple(notes))


def _trees_lead_all_networks(contest: Contest) -> bool:
    """Whether boosted trees are surely ahead of every network, each at its best weights."""
    table, trees = contest.served.table, contest.best[TREES]
    networks = [row for row in contest.best.values() if table["role"].iloc[row] == "trial"]
    return all(contest.moves(trees, network).utility.gained for network in networks)


def _lead(contests: Sequence[Contest], point: str, row: int, other: int) -> Effect:
    """How far a candidate is ahead of a row in U: at the row, or over several contests each time at its best."""
    whose = str(contests[0].served.table["point"].iloc[other])
    several = len(contests) > 1 and point in contests[0].best
    return _over(contests, point, whose) if several else contests[0].moves(row, other).utility


def _reason(contest: Contest, judge: Judge, row: int, pick: int, call: Callable[[int], str]) -> str:
    """Why a row that is ahead is not advised: a limit refuses it, else the rows that chose; empty of the pick."""
    points = contest.served.table["point"]
    if judge.passing[row]:
        return "" if points.iloc[row] == points.iloc[pick] else words.CHOSE_ANOTHER.format(what=call(pick))
    changes = contest.moves(row, contest.served.current).outcomes
    for limit in judge.limits:
        if limit.name in changes and not limit.kept(limit.means)[row]:
            asked = str(limit).removeprefix(f"{limit.name} ").partition(" with ")[0]
            return words.refused(limit.name, changes[limit.name], asked)
    refusal = _refusal(judge, row)
    return refusal if refusal == words.NOT_SHOWN else f"a limit refuses it ({refusal})"


def _allowances(judge: Judge, rows: Iterable[int], call: Callable[[int], str]) -> list[str]:
    """By refused row a sentence with the options, or lines of a policy, that would admit it."""
    refused = [row for row in rows if not judge.passing[row]]
    needed = {row: remedies(judge.broken(row)) for row in refused}
    return [words.allowed_by(call(row), [remedy.option for remedy in needed[row]]) for row in refused if needed[row]]


def slice_changes(served: Served, row: int) -> dict[str, Changes]:
    """The effect of switching in each slice, on test; NaN where too few rows are positive.

    Intervals hold in all slices of one kind and outcomes together (Bonferroni).
    """
    plain = {name: served.gains(row, TEST, name) for name in served.slices(TEST)}
    by_slice: dict[str, Changes] = {}
    for kind in dict.fromkeys(name.partition("=")[0] for name in plain):
        own = {name: changes for name, changes in plain.items() if name.partition("=")[0] == kind}
        count = sum(np.isfinite(each.value) for changes in own.values() for each in changes.values())
        tail = (1 - LEVEL) / 2
        wider = float(ndtri(tail / max(1, count)) / ndtri(tail))
        for name, changes in own.items():
            by_slice[name] = {of: _wider(each, wider) for of, each in changes.items()}
    return by_slice


def _wider(each: Effect, factor: float) -> Effect:
    half = factor * (each.high - each.low) / 2
    return Effect(each.value, float(np.maximum(each.value - half, -1.0)), each.value + half)


def losses(slices: Mapping[str, Changes]) -> list[tuple[str, str, Effect]]:
    """Slice, outcome and effect of what is surely lost, the largest loss first."""
    parts = ((slice, own) for slice, own in slices.items() if slice != AS_LOGGED)
    lost = [(slice, name, each) for slice, own in parts for name, each in own.items() if each.lost]
    return sorted(lost, key=lambda one: one[2].value)
