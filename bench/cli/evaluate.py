"""`seesaw evaluate`: a model on new data, and whether it beats the one that serves."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import Home, Json, Model, Raw, Tracking
from bench.cli.output import TerminalProgress, number, print_json, print_table, say

if TYPE_CHECKING:
    from bench.production.evaluation import Estimate, Judgement

CHALLENGER = "@challenger"


def evaluate(
    model: Model,
    data: Annotated[str, typer.Argument(help="A data set's name, or the path of a card.")],
    against: Annotated[
        str | None, typer.Option(help="A model to compare with; of a challenger it is the champion.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, valid, confirm or test of the card; else all its rows.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Draws of the bootstrap.", min=20)] = 500,
    confidence: Annotated[float, typer.Option(help="Of the intervals.", min=0.5, max=0.9999)] = 0.9,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    tracking: Tracking = None,
    raw: Raw = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Judge a packaged or registered model on data with labels, with intervals."""
    from bench.data import load_card
    from bench.home import resolve_home
    from bench.production.evaluation import judgements
    from bench.production.labelled import judge
    from bench.run.models import open_model

    at = resolve_home(home)
    card = load_card(data)
    if against is None and model.endswith(CHALLENGER):
        against = f"{model.removesuffix(CHALLENGER)}@champion"
    packages = [open_model(at, each, tracking) for each in (model, against) if each is not None]
    judged = judge(card, at, raw, split, [package.scorer("eager") for package in packages], TerminalProgress())
    found = judgements(judged, packages[0].schema, resamples, confidence, seed)
    if json:
        rows = [asdict(each) | {"verdict": each.verdict} for each in found]
        print_json({"model": model, "against": against, "rows": len(judged.unit), "metrics": rows})
        return
    headers = ["metric", model, "interval", *([against, "difference", "interval", "verdict"] if against else [])]
    which = f"{split} rows" if split else "rows"
    title = f"{model} on {len(judged.unit):,} {which} of {card.key}, intervals of {confidence:.0%}"
    print_table(headers, [_row(each) for each in found], title)
    if against:
        say(_summary(found, model, against))


def _row(each: Judgement) -> list[Any]:
    row = [each.metric, each.estimate.value, _interval(each.estimate)]
    if each.other is not None and each.difference is not None:
        row += [each.other.value, each.difference.value, _interval(each.difference), each.verdict or "-"]
    return row


def _interval(estimate: Estimate) -> str:
    return f"{number(estimate.low)} to {number(estimate.high)}"


def _summary(found: list[Judgement], model: str, against: str) -> str:
    of = {word: [each.metric for each in found if each.verdict == word] for word in ("better", "worse", "cannot tell")}
    if of["better"] and not of["worse"]:
        return f"{model} beats {against}: better in {', '.join(of['better'])}, worse in nothing"
    if of["worse"] and not of["better"]:
        return f"{model} does not beat {against}: worse in {', '.join(of['worse'])}, better in nothing"
    if not of["better"]:
        return f"cannot tell whether {model} beats {against}: every difference may be 0"
    return f"{model} trades: better than {against} in {', '.join(of['better'])}, worse in {', '.join(of['worse'])}"
