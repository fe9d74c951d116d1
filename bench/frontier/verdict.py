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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from bench.core.rows import TEST
from bench.frontier.aims import PolicyAim
from bench.frontier.contest import Contest
from bench.frontier.judging import Judge
from bench.frontier.words import verdict as words
from bench.frontier.words.verdict import Changes
from bench.results.effect import LEVEL, MARGIN, Effect
from bench.results.ledger import band
from bench.results.served.joint import Moves
from bench.results.served.served import Served
from bench.results.served.slices import AS_LOGGED

VerdictKind = Literal["model", "weights", "keep", "unknown"]
DETECTED = -1.35 * float(ndtri((1 - LEVEL) / 2) + ndtri(0.2))
"""Standard errors of a gain that is shown four times in five. The factor is what drawing back the best costs, by
simulation."""
TREES = "trees"


@dataclass(frozen=True)
class Verdict:
    """The verdict on switching.

    Attributes:
        kind: `model`: switch to another model. `weights`: keep the model, and change its weights. `keep`: nothing is
            gained that matters. `unknown`: cannot tell.
        answer: one or two sentences.
        notes: sentences on how sure that is, and on what else there is.
        row: of the served front, what the answer says to serve, or of `unknown` cannot tell about; None to keep what
            there is.
        both, weights, model: effects of that row: of all, of the weights alone, of the model alone; None where there is
            no such part, or no served front.
        anchors: where nobody said what is served, the model's U on average and by anchor.
        slices: by slice of the rows (`scenario=2`) the changes there; see `slice_changes`.
        ahead: names of points that are surely ahead of that row, and not advised.
        least: the gain in U that this test shows four times in five.
        who: whose effects these are, in words.
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
    who: str = ""

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
    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headers and rows: of U and of each outcome what weights, model and both gain, and where most is surely lost.

        Without columns that would be empty, or say the same again.
        """
        moves = {words.WEIGHTS: self.weights, words.MODEL: self.model, words.BOTH: self.both}
        parts = {name: each for name, each in moves.items() if each is not None}
        if len(parts) == 2 and words.BOTH in parts:  # then the other one is all of it
            del parts[words.BOTH]
        rows = [[words.RULE, *(str(each.utility) for each in parts.values())]]
        if self.anchors:
            (name, mean), *every = self.anchors.items()
            worst, least = min(every, key=lambda each: each[1].value)
            rows = [[name, str(mean)], *([[f"at worst, {worst}", str(least)]] if len(every) > 1 else [])]
        above = len(rows)
        rows += [[name, *(str(each.outcomes[name]) for each in parts.values())] for name in self.changes]
        lost = {name: f"{slice} {each}" for slice, name, each in reversed(losses(self.slices))}  # the largest is last
        if lost:
            rows = [[*row, lost.get(row[0], "") if at >= above else ""] for at, row in enumerate(rows)]
        headers = [self.who, *parts, *([words.WORST] if lost else [])]
        return (headers, rows) if parts else ([], [])

    @property
    def changes(self) -> Changes:
        """By outcome, of all; empty without a served front."""
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
    """
    first, served = contest(aims[0]), contest(aims[0]).served
    more = aims[1:] if aims[0].rule == "knee" and not served.today else ()
    own = [first, *map(contest, more)]

    def call(at: int) -> str:
        return words.named(served.table.iloc[at], titles)

    said = _today(first, row, against, unlimited, call) if served.today else _models(own, aims, row, call)
    of = row if said.row is None else said.row
    said = replace(said, who=call(of))
    said = _with_rivals(own, judge, said, served.current if said.keep else of, heads, titles or {})
    notes = list(said.notes)
    if said.both is not None and of != served.current:
        slices = slice_changes(served, of)
        said = replace(said, slices=slices)
        who = "The pick loses" if said.keep else "They lose" if words.several(said.who) else "It loses"
        worst = [words.LOSES_MOST.format(who=who, slice=at, outcome=of, change=by) for at, of, by in losses(slices)[:1]]
        notes = [*worst, *notes, words.SURE_IN_SLICES if slices.keys() - {AS_LOGGED} and served.known else ""]
        alike = ", ".join(f"{each} of {name}" for name, each in slices.get(AS_LOGGED, {}).items())
        notes += [f"If all rows counted alike: {alike}."] if alike else []
    if holds is not None and not said.keep and of == row:
        notes.append(words.holding(holds, others))
    if served.today and (noise := int(judge.noise.sum())) and said.kind in ("keep", "unknown"):
        notes.insert(0, words.guarded(noise))
    notes += [words.left_out(aims[0].left_out), words.BOTH_WAYS if first.both_ways and said.both else "", suspicion]
    notes = list(filter(None, notes))
    if len(said.answer) == 1 and notes and notes[0] not in (words.SURE, words.UNTESTED):  # room for the first of them
        said, notes = replace(said, answer=(*said.answer, notes[0])), notes[1:]
    return replace(said, notes=tuple(notes))


def _today(
    contest: Contest, row: int, against: str, unlimited: int | None, call: Callable[[int], str]
) -> Verdict:  # fmt: skip
    """Kind, sentences and effects where there is a current point."""
    served, now, start = contest.served, contest.served.current, contest.start
    points, both, what = served.table["point"], contest.moves(row, now), call(row)
    weights = contest.moves(start, now) if start != now else None
    model = contest.moves(row) if points.iloc[row] != points.iloc[start] else None
    if not served.known:
        if row == now:
            told = words.KEEP.format(against=against, why="the policy picks no other point")
            return Verdict("unknown", (told,), (words.UNTESTED,))
        return Verdict("unknown", (words.UNTRAINED.format(what=what),), (), row, both, weights, model)
    of_weights = weights.utility if weights else Effect(0.0, 0.0, 0.0)
    least = DETECTED * float(contest.apart(row, now, measured=True).std())
    verdict = Verdict("keep", (), (words.SURE,), None, None if row == now else both, weights, model, least=least)

    def said(answer: str, *more: str, **of: Any) -> Verdict:
        return replace(verdict, answer=(answer,), notes=(*filter(None, more), words.SURE), **of)

    if model and (model.utility.gained or (both.utility.gained and not of_weights.gained)):
        return said(words.model(what, both.utility), kind="model", row=row)
    rest = [at for at in contest.best.values() if at not in (start, now)]
    if weights and of_weights.gained:
        added = [contest.moves(at).utility for at in rest]
        scored = points.iloc[start] != points.iloc[now]
        answer = words.weights(of_weights, against if scored else "")
        most = words.added(max(added, key=lambda each: each.value, default=None))
        return said(answer, most, kind="weights", row=start, both=weights, model=None)
    if unlimited is not None:
        would = words.LIMITED.format(would=call(unlimited), both=contest.moves(unlimited, now).utility)
        return said(words.KEEP.format(against=against, why="no point that the policy allows is better"), would)
    moved = [contest.moves(at, now).utility for at in (*rest, start)]
    top = max(moved, key=lambda each: each.high)
    if top.high <= MARGIN or row == now:
        why = words.nothing(top) if top.high <= MARGIN else "the policy picks no other point"
        return said(
            words.KEEP.format(against=against, why=why),
            words.SAME.format(what=what) if row != now and _equal(both) else "",
        )
    if both.utility.high < 0:
        return said(words.KEEP.format(against=against, why=words.costs(what, both.utility)))
    return said(words.unsure(what, both.utility), words.shows(least), kind="unknown", row=row)


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
    reference = words.reference(served)
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
        return replace(verdict, kind="model", answer=(words.alone(what, reference, mean),), notes=after)
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
    verdict = replace(verdict, least=DETECTED * float(np.mean(plain, axis=0).std()))
    notes = *filter(None, [words.shows(verdict.least), alike]), *after
    return replace(verdict, answer=(words.UNDECIDED.format(what=what, reference=reference, mean=mean),), notes=notes)


def _over(contests: Sequence[Contest], point: str, other: str) -> Effect:
    """The gain in U of a candidate over another one, each at its best weights, on average over contests."""
    both = [each for each in contests if {point, other} <= each.best.keys()]

    def told(measured: bool) -> Effect:
        mean = np.mean([each.apart(each.best[point], each.best[other], measured) for each in both], axis=0)
        return Effect(float(mean.mean()), *(float(end[0]) for end in band(mean[:, None])))

    return told(measured=False).spanning(told(measured=True))


def _with_rivals(
    contests: Sequence[Contest],
    judge: Judge,
    verdict: Verdict,
    row: int,
    heads: Callable[[str], Sequence[str]],
    titles: Mapping[str, str],
) -> Verdict:
    """With what is surely ahead of a row in the answer: by U where the policy admits it, or in every head."""
    contest, served, table = contests[0], contests[0].served, contests[0].served.table
    point, alone = str(table["point"].iloc[row]), len(contests) == 1
    gains: dict[str, tuple[Effect | None, str]] = {}
    for other, at in contest.best.items() if served.known else ():
        gain = contest.moves(at, row).utility if alone else _over(contests, other, point)
        if other != point and gain.gained:
            but = "" if judge.passing[at] else words.NOT_SHOWN
            gains[str(table["name"].iloc[at])] = gain, but
    for name in heads(point):
        gains.setdefault(name, (None, ""))
    if not gains:
        return verdict
    networks = [at for at in contest.best.values() if table["role"].iloc[at] == "trial"]
    trees = table["name"][table["point"] == TREES].tolist()[:1]
    every = (
        bool(trees)
        and [*gains] == trees
        and all(contest.moves(contest.best[TREES], at).utility.gained for at in networks if TREES in contest.best)
    )
    kept = "what you keep" if served.today else words.reference(served)
    of = "every network" if every else kept if verdict.keep else "the pick"
    first = words.ahead({titles.get(name, name): each for name, each in gains.items()}, of)
    better = any(gain or but for gain, but in gains.values())  # else it may be served, and was found to serve no better
    own = verdict.answer[0]
    answer = (first, f"Among the others: {own[0].lower()}{own[1:]}") if better else (own, first)
    return replace(verdict, answer=answer, ahead=tuple(gains))


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
