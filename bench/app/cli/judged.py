"""Prints how a model is judged against another: outcomes, predictions, and rules that fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from bench.app.cli.output import TerminalProgress, number, print_table, say

if TYPE_CHECKING:
    from bench.ledger.effect import Effect
    from bench.serve.fail_if import RuleResult
    from bench.serve.judgements import Judgement
    from bench.serve.log_judging import LogJudgement


COMPARED = "compared with"


def judged_document(judged: LogJudgement, results: Sequence[RuleResult]) -> dict[str, Any]:
    """A model of a log against today's, with what rules say, as plain values."""
    return {
        "model": judged.model,
        "against": judged.against,
        "rows": judged.rows,
        "sentence": judged.sentence,
        "outcomes": list(map(judgement_document, judged.outcomes)),
        "predictions": list(map(judgement_document, judged.predictions)),
        "rules": list(map(asdict, results)),
    }


def show_judged(judged: LogJudgement, results: Sequence[RuleResult]) -> None:
    """The same in words and tables."""
    say(judged.sentence)
    title = f"on the {judged.rows:,} rows that judge, as measured (90% intervals)"
    headers = ["outcome", judged.model, "interval", COMPARED, "gain", "verdict"]
    print_table(headers, map(outcome_row, judged.outcomes), f"outcomes of the ranking {title}")
    headers = ["metric", judged.model, "interval"]
    if any(judgement.other is not None for judgement in judged.predictions):
        headers += [COMPARED, "difference", "interval", "verdict"]
    print_table(headers, map(_metric_row, judged.predictions), f"each prediction {title}")
    for result in results:
        say(result.sentence)


def fail_by_rules(results: Sequence[RuleResult]) -> None:
    """Ends the command with 1 if a rule failed."""
    failed = [result.rule for result in results if result.failed]
    if failed:
        TerminalProgress().note(f"seesaw: failed by --fail-if: {', '.join(failed)}")
        raise typer.Exit(1)


def judgement_document(judgement: Judgement) -> dict[str, Any]:
    """A judgement as plain values, with its gain and its verdict."""
    gain = judgement.gain and asdict(judgement.gain)
    return asdict(judgement) | {"gain": gain, "verdict": judgement.verdict}


def outcome_row(judgement: Judgement) -> list[object]:
    """An outcome with its interval; beside another model that one's, the gain and the verdict."""
    row = [judgement.metric, judgement.estimate.value, _interval(judgement.estimate)]
    if judgement.other is not None and judgement.difference is not None:
        row += [judgement.other.value, str(judgement.gain or "-"), judgement.verdict or "-"]
    return row


def _metric_row(judgement: Judgement) -> list[object]:
    row = [judgement.metric, judgement.estimate.value, _interval(judgement.estimate)]
    if judgement.other is not None and judgement.difference is not None:
        difference = judgement.difference
        row += [judgement.other.value, difference.value, _interval(difference)]
        row.append(judgement.verdict or "-")
    return row


def _interval(effect: Effect) -> str:
    return f"{number(effect.low)} to {number(effect.high)}"
