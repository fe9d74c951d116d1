"""Rules by which `seesaw decide` fails a job: `buy.recall@10% < -1%`.

Asked once, the estimate decides, and the sentence says whether the whole interval agrees: by the
interval, a job with few rows would never fail. Asked every night (`--watch`), all nights so far
decide, by an interval that holds at all times: estimates alone would fail a job that is as good as
ever, sooner or later.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.core.errors import UserError, count, shortened
from bench.core.objectives import outcome
from bench.core.schema import Task
from bench.deciding.score import prediction_names
from bench.ledger.confidence_sequence import ALPHA
from bench.ledger.effect import Effect
from bench.serve.judgements import REPORTED, Judgement
from bench.serve.watch import Watch


@dataclass(frozen=True)
class RuleResult:
    """The result of a rule, by its metric's gain (a fraction) or value; NaN, where the rows do not
    define it, fails.
    """

    rule: str
    measured: Effect
    failed: bool
    sure: bool
    """Whether the whole interval is on one side of the bound."""
    sentence: str
    nights: int = 1
    """On how many it was asked; `measured` is the mean over them."""


@dataclass(frozen=True)
class Rule:
    """A bound of a metric's value or, if `relative`, of its gain over the other model, as a
    fraction.

    It is an outcome of the ranking or a metric of a prediction. Values below fail if `below`, else
    those above.
    """

    text: str
    metric: str
    below: bool
    bound: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Parses `buy.recall@10% < -1%` or `click.logloss > 0.4`; UserError for other forms or
        negative values.
        """
        match = re.fullmatch(r"\s*([^\s<>]+)\s*([<>])\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*(%?)\s*", text)
        if match is None or (not match[4] and float(match[3]) < 0):
            expected = (
                "expected a gain as in 'buy.recall@10% < -1%' or a value from 0 on as in "
                "'buy.recall@10% < 0.3'"
            )
            raise UserError(f"--fail-if: {expected}, found '{shortened(text)}'")
        metric, sign, number, percent = match.groups()
        bound = float(number) / (100 if percent else 1)
        return cls(text.strip(), metric, sign == "<", bound, bool(percent))

    def result(self, judgements: Iterable[Judgement], watch: Watch | None = None) -> RuleResult:
        """Applies the rule to the first judgement of its metric.

        Args:
            watch: of the nights before, which the rule is asked over, too; it then has tonight's.
        """
        judgement = next(known for known in judgements if known.metric == self.metric)
        measured = judgement.gain if self.relative else judgement.estimate
        if measured is None:
            measured = Effect(math.nan)
        if watch is not None and math.isfinite(measured.value):
            if not math.isfinite(measured.high - measured.low):
                return self._not_counted(measured)
            return self._over_nights(measured, *watch.mean_with(self._measure, measured))
        failed = self._fails(measured.value)
        sure = (
            math.isfinite(measured.low)
            and self._fails(measured.low) == self._fails(measured.high) == failed
        )
        word = "failed" if failed else "kept"
        sentence = f"{word}: {self.text}: {self._reason(measured, failed, sure)}"
        return RuleResult(self.text, measured, failed, sure, sentence)

    def _not_counted(self, tonight: Effect) -> RuleResult:
        """Keeps the rule: by an estimate alone a watch would fail without a reason."""
        sentence = (
            f"kept: {self.text}: the {self._noun} is {self._in_words(tonight.value)}{self._unit}, "
            "but too few rows say how sure that is; this night does not count"
        )
        return RuleResult(self.text, tonight, False, False, sentence, 0)

    def _over_nights(self, tonight: Effect, mean: Effect, nights: int) -> RuleResult:
        """Fails only where the interval of the mean over nights is beyond the bound."""
        sure_end = mean.high if self.below else mean.low
        failed = math.isfinite(sure_end) and self._fails(sure_end)
        word = "failed" if failed else "kept"
        average = f"on average over {count(nights, 'night')}"
        last = f"{self._in_words(tonight.value)}{self._unit} tonight"
        sentence = (
            f"{word}: {self.text}: the {self._noun} is {self._range(mean)} {average}, {last}; "
            f"asked each night, {ALPHA:.0%} of all watches fail without a reason"
        )
        return RuleResult(self.text, mean, failed, failed, sentence, nights)

    def _range(self, effect: Effect) -> str:
        value, low, high = map(self._in_words, effect.to_json().values())
        return f"{value}{self._unit} ({low} to {high})"

    @property
    def _noun(self) -> str:
        return "gain" if self.relative else "value"

    @property
    def _measure(self) -> str:
        """What a watch keeps of it, whatever the bound."""
        return f"{self.metric} {self._noun}"

    @property
    def _unit(self) -> str:
        return "%" if self.relative else ""

    def _fails(self, number: float) -> bool:
        return not (number >= self.bound if self.below else number <= self.bound)

    def _reason(self, measured: Effect, failed: bool, sure: bool) -> str:
        if math.isnan(measured.value):
            return f"these rows do not define the {self._noun}"
        side = "below" if self.below else "above"
        if not failed:
            side = f"not {side}"
        certainty = f"surely {side}" if sure else f"{side}, but not surely"
        return f"the {self._noun} is {self._range(measured)}, {certainty}; asked once"

    def _in_words(self, number: float) -> str:
        return f"{100 * number:+.2f}" if self.relative else f"{number:.5g}"


def outcomes_asked(
    rules: Sequence[Rule],
    tasks: Sequence[Task],
    outcomes: Sequence[str],
    predictions: Sequence[Judgement],
) -> list[str]:
    """Outcomes of the ranking in rules that are not measured anyway.

    Args:
        predictions: metrics of the model's predictions, which are measured.

    Raises:
        UserError: a rule names no outcome and no metric; a metric of predictions that are no
            chances; or a gain of a prediction that nothing is compared with.
    """
    metrics = set()
    for task in tasks:
        for name in prediction_names(task):
            metrics |= {f"{name}.{metric}" for metric in REPORTED[task.kind]}
    measured = {judgement.metric: judgement for judgement in predictions}
    asked = []
    for rule in rules:
        if rule.metric in measured:
            if rule.relative and measured[rule.metric].other is None:
                raise UserError(
                    f"--fail-if: expected a value in '{rule.text}', found a gain: today's score "
                    "has no predictions"
                )
        elif rule.metric in metrics:
            raise UserError(
                f"--fail-if: expected an outcome of the ranking in '{rule.text}', found a metric "
                "of predictions; the model's are no chances"
            )
        elif rule.metric not in outcomes:
            asked.append(outcome(rule.metric, tuple(tasks), "--fail-if").name)
    return asked
