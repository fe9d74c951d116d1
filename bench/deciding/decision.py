"""What a policy decides on a served front, or on the front of heads where there is no other: one
value for every page.

A run comes here with what it trained, `seesaw decide` with the predictions of a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pandas as pd

from bench.core.errors import UserError
from bench.core.formula import quoted, read
from bench.core.formula_languages import LANGUAGES, FormulaLanguage
from bench.core.objectives import of_items
from bench.core.records import Point
from bench.core.rows import TEST
from bench.core.seeds import derive
from bench.deciding.answering import verdict_of
from bench.deciding.attribution import attributed
from bench.deciding.case import Case
from bench.deciding.choices import Choices, head_choices, served_choices
from bench.deciding.contest import Contest, Contests, Leads, leads
from bench.deciding.judging import Judge
from bench.deciding.limits import Noise
from bench.deciding.pick import NothingPasses, Pick, pick
from bench.deciding.policy import Policy
from bench.deciding.serving import Serving
from bench.deciding.verdict import Verdict, unserved
from bench.deciding.words import verdict as words
from bench.deciding.words.verdict import titles_of
from bench.ledger.fusion import FusionKind, in_formula
from bench.ledger.heads import Frontier
from bench.ledger.ledger import Ledger, long_of
from bench.ledger.points import untested
from bench.ledger.served.exchange import exchange
from bench.ledger.served.front_files import to_json
from bench.ledger.served.served import Served
from bench.measure.predictions import KeptRows


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is decided, and by what.

    Attributes:
        frontier: of the heads.
        serving: the front that is served.
        choices: what the policy chooses among.
        verdict: whether to switch, the first thing that every surface says.
        pick: None where there is none, and then `no_pick` says why.
        nothing_passes: what would be picked if the guard were another, where it let nothing
            through.
        contests: one for each aim, as the verdict has them; they take a while, so they are made
            when asked for.
        terms: by point the names of its predictions in a formula, by task, where they are not
            `p_TASK`.
        todays_formula: what ranks today, as somebody wrote it; empty where nobody did.
        test: gives the rows of test, None where none are kept, and `units` and `group` are their
            columns.
    """

    frontier: Frontier
    serving: Serving
    choices: Choices
    policy: Policy
    verdict: Verdict
    pick: Pick | None
    no_pick: str = ""
    nothing_passes: NothingPasses | None = None
    contests: Callable[[], Sequence[Contest]] = tuple
    terms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    todays_formula: str = ""
    test: Callable[[], KeptRows | None] = lambda: None
    units: str | None = None
    group: str | None = None

    @property
    def leads(self) -> Leads:
        """How far each model is ahead along the trade; empty without a served front, a pick or
        intervals.
        """
        served = self.serving.served
        if served is None or not served.known or self.pick is None:
            return {}
        return leads(self.contests())

    @property
    def advised(self) -> int | None:
        """The row that the answer says to serve: today's, or the reference's, where it says to keep
        that; of an answer that cannot tell the row that it is about. None without a served front or
        a pick."""
        served = self.serving.served
        if served is None or self.pick is None:
            return None
        if self.verdict.row is not None:
            return self.verdict.row
        if served.today:
            return served.current
        return self.pick.row

    @property
    def holds(self) -> float | None:
        """In which share of retrainings the advised model is picked again; None where that is not
        known, or where the answer is to keep what there is, which nobody retrains."""
        pick = self.pick
        if pick is None or self.verdict.keep or self.advised != pick.row or pick.role == "current":
            return None
        return pick.stability.holds

    @property
    def allowed_losses(self) -> dict[str, float]:
        """By outcome which share of today's value the limits in force allow to be lost; only what
        is limited.
        """
        losses: dict[str, float] = {}
        for limit in Judge(self.policy, self.choices).limits:
            is_share = limit.relative and not isinstance(limit, Noise)
            if is_share and limit.sign > 0:
                before = losses.get(limit.name, 1.0)
                losses[limit.name] = min(1 - limit.bound, before)
        return losses

    @property
    def formula(self) -> str:
        """The score that the answer says to rank by, ready to paste. Empty where it says nothing,
        and of a logged score."""
        if self.advised is None:
            return ""
        return self.formulas[self.advised]

    def expression(self, language: FormulaLanguage) -> str:
        """The same in another language; empty where it is."""
        if not self.formula:
            return ""
        return LANGUAGES[language](read(self.formula, "the answer"))

    @property
    def formulas(self) -> list[str]:
        """By serving point its score, of joint predictions in raw units: `2.1 p_click + 1 p_buy`;
        empty of one that is not fused. Today's score, where it is a formula, is written as it was
        given."""
        served = self.serving.served
        if served is None:
            return []
        table, formulas = served.table, []
        for point, kind, weights in zip(
            table["point"], table["kind"], table["weights"], strict=True
        ):
            formulas.append(self._formula(str(point), kind, weights))
        if self.todays_formula:
            formulas[served.current] = self.todays_formula
        return formulas

    def _formula(self, point: str, kind: FusionKind, weights: Mapping[str, float]) -> str:
        if not weights:
            return ""
        rates = self.serving.rates
        terms = self.terms.get(point) or [quoted(f"p_{task}") for task in rates]
        weight_of = dict(zip(terms, weights.values(), strict=True))
        return in_formula(kind, weight_of, list(rates.values()))

    @property
    def against(self) -> str:
        """The point that all are compared with, in words; one that nobody serves with the score
        that it ranks by.
        """
        served = self.serving.served
        if served is None or served.today or not self.formulas[served.current]:
            return self.serving.against
        return f"{self.serving.against}, {self.formulas[served.current]}"

    @property
    def readings(self) -> list[str]:
        """What the served front says beside the verdict: exchange rates at the pick, and what it
        shows.
        """
        served = self.serving.served
        if served is None or self.pick is None:
            return []
        return [*prices(served, self.pick.row), *shown_items(served, self.pick.row)]

    @property
    def cells(self) -> pd.DataFrame:
        """All cells as one long table, see `Ledger.long`: of the front of heads, and of the
        served.
        """
        fronts: dict[str, Ledger] = {"heads": self.frontier}
        if self.serving.served:
            fronts["served"] = self.serving.served
        return long_of(fronts)

    @property
    def picked(self) -> dict[str, Any]:
        """The pick, and the policy as TOML.

        Without a pick `point` and `trial` are null, and `sentence` and `reason` say why. `if_guard`
        then has the guard that would let a choice pass, as TOML, and the pick under it.
        """
        context: dict[str, Any] = {"verdict": self.verdict.to_json(), "policy": self.policy.toml}
        if self.frontier.answer:
            context["answer"] = self.frontier.answer.to_json()
        if self.pick is not None:
            return self.pick.to_json() | context
        document: dict[str, Any] = {
            "point": None,
            "trial": None,
            "sentence": self.no_pick,
            "reason": self.no_pick,
        }
        document |= context
        if self.nothing_passes is not None:
            settings = [remedy.toml for remedy in self.nothing_passes.remedies]
            document["if_guard"] = {"set": settings, "pick": self.nothing_passes.pick.to_json()}
        return document

    @property
    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        document: dict[str, Any] = {"verdict": self.verdict.to_json(), "formula": self.formula}
        if self.serving.served:
            document["served"] = to_json(self.serving.served) | {"readings": self.readings}
        document |= self.frontier.to_json()
        document["pick"] = self.picked
        return document


def decided(
    front: Frontier,
    serving: Serving,
    policy: Policy,
    seed: int,
    suspicion: Callable[[str], str] = lambda point: "",
) -> Decision:
    """Picks by a policy, and says whether to switch.

    Args:
        suspicion: sentences on a picked point, by its id.
    """
    points = untested(front.points)
    choices = _choices(front, serving, points, seed)
    picked = _picked(choices, points, policy, serving)
    contests = _contests(serving, choices, policy, picked, points, seed)
    if picked.pick is None or contests is None:
        verdict = unserved(serving.reason or picked.reason or "nothing was picked")
    else:
        case = _case(front, serving, picked.pick, contests, suspicion(picked.pick.point))
        verdict = _with_exposure(verdict_of(case), serving)
    return Decision(
        frontier=front,
        serving=serving,
        choices=choices,
        policy=policy,
        verdict=verdict,
        pick=picked.pick,
        no_pick=picked.reason,
        nothing_passes=picked.refused,
        contests=tuple if contests is None else contests.by_trade,
    )


def _choices(front: Frontier, serving: Serving, points: Sequence[Point], seed: int) -> Choices:
    if serving.served is None:
        return head_choices(front, points, seed)
    return served_choices(serving.served, points, serving.aims[0], seed)


@dataclass(frozen=True)
class _Picked:
    """A pick, or the reason why there is none, and what would be picked if the guard let it
    through.
    """

    pick: Pick | None
    reason: str = ""
    refused: NothingPasses | None = None


def _picked(choices: Choices, points: Sequence[Point], policy: Policy, serving: Serving) -> _Picked:
    """A decision without a pick is still one: its frontier is shown, with the reason."""
    try:
        return _Picked(pick(choices, points, policy))
    except NothingPasses as error:
        return _Picked(None, str(error), error)
    except UserError as error:
        if serving.served is None and policy.values and serving.reason:
            # why there are no outcomes that values could count
            return _Picked(None, serving.reason)
        return _Picked(None, str(error))


def _contests(
    serving: Serving,
    choices: Choices,
    policy: Policy,
    picked: _Picked,
    points: Sequence[Point],
    seed: int,
) -> Contests | None:
    """Between the pick and the others; without a served front or a pick None, but a point that a
    user names has best weights also where the guard refuses all.
    """
    served = serving.served
    if served is None:
        return None
    seed_of_draws = derive(seed, "verdict")
    if picked.pick is None:
        if picked.refused is None:
            return None
        return Contests(served, Judge(policy, choices), serving.aims[:1], seed_of_draws)
    turned = None
    if serving.turned is not None:
        choices_of_turned = served_choices(serving.turned, points, serving.aims[0], seed)
        turned = serving.turned, Judge(policy, choices_of_turned)
    judge = Judge(policy, choices)
    return Contests(served, judge, serving.aims, seed_of_draws, picked.pick.row, turned)


def _case(
    front: Frontier,
    serving: Serving,
    chosen: Pick,
    contests: Contests,
    suspicion: str,
) -> Case:
    """The case of the verdict on a pick."""
    judge, titles = contests.judge, titles_of(front.points)
    doubts = [front.suspicion, suspicion]
    if chosen.row != contests.served.current:
        doubts.append(words.last_by_area(judge.choices.last_by_area(chosen.row)))
    first_instead = []
    for point in chosen.stability.points:
        if point.point != chosen.point:
            first_instead.append(titles.get(point.name, point.name))
    return Case(
        contests=contests.of_verdict(),
        judge=judge,
        pick=chosen.row,
        against=serving.against,
        unlimited=chosen.unlimited,
        holds=chosen.stability.holds,
        first_instead=first_instead[:2],
        ahead_in_heads=front.ahead_of,
        titles=titles,
        suspicion=" ".join(filter(None, doubts)),
        attributed=partial(attributed, untested(front.points)),
    )


def _with_exposure(verdict: Verdict, serving: Serving) -> Verdict:
    """With what its rows were shown by, which may be too few to tell anything."""
    if serving.unsure:
        verdict = replace(verdict, kind="unknown", answer=(serving.unsure,))
    return replace(verdict, notes=(*verdict.notes, serving.shown))


def prices(served: Served, row: int) -> list[str]:
    """What one per cent of the first outcome buys of each other one, at the pick."""
    paid, *bought = served.names
    sentences = []
    for name in bought:
        rate = exchange(served, row, paid, name)
        if rate is not None and rate.value > 0:
            sentences.append(words.PRICE.format(paid=paid, bought=name, each=rate))
    return sentences


def shown_items(served: Served, row: int) -> list[str]:
    """What the pick shows, by its outcomes of items on test."""
    gains = served.effects(row)
    values = served.at(TEST)[row].tolist()
    today = "today's" if served.today else "the reference's"
    sentences = []
    for name, value in zip(served.names, values, strict=True):
        if of_items(name):
            sentences.append(words.of_items(name, value, gains[name], today))
    return sentences
