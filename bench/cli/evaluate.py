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
        str | None, typer.Option(help="Model to compare with; default for a challenger: the champion.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, valid, confirm or test of the card; default: all rows.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Resamples of the bootstrap.", min=20)] = 500,
    confidence: Annotated[float, typer.Option(help="Confidence of the intervals.", min=0.5, max=0.9999)] = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    tracking: Tracking = None,
    raw: Raw = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Measure a model's ranking and each of its predictions on data with labels, with intervals."""
    from bench.data import load_card
    from bench.home import resolve_home
    from bench.production.evaluation import judge, judgements, sentence, served
    from bench.run.deploy import open_model

    at = resolve_home(home)
    card = load_card(data)
    if against is None and model.endswith(CHALLENGER):
        against = f"{model.removesuffix(CHALLENGER)}@champion"
    packages = [open_model(at, each, tracking) for each in (model, against) if each is not None]
    judged = judge(card, at, raw, split, [package.scorer("eager") for package in packages], TerminalProgress())
    schema, options = packages[0].schema, (resamples, confidence, seed)
    ranking = served(judged, schema, packages[0].manifest.outcomes, *options)
    predictions = judgements(judged, schema, *options)
    verdict = sentence(ranking, model, against) if against else ""
    if json:
        document: dict[str, Any] = {"model": model, "against": against, "rows": len(judged.group)}
        document |= {"sentence": verdict} if against else {}
        document |= {"outcomes": [_plain(each) for each in ranking], "metrics": [_plain(each) for each in predictions]}
        print_json(document)
        return
    if against:
        say(verdict)
    which = f"{split} rows" if split else "rows"
    title = f"on {len(judged.group):,} {which} of {card.key}, intervals of {confidence:.0%}"
    versus = [against, "difference", "interval", "verdict"] if against else []
    for what, found in (("outcomes of the ranking by score", ranking), ("each prediction", predictions)):
        headers = ["outcome" if found is ranking else "metric", model, "interval", *versus]
        print_table(headers, [_row(each) for each in found], f"{what} {title}")
    if against:
        say(_summary(predictions, model, against))


def _plain(each: Judgement) -> dict[str, Any]:
    return asdict(each) | {"gain": asdict(each.gain) if each.gain else None, "verdict": each.verdict}


def _row(each: Judgement) -> list[Any]:
    row = [each.metric, each.estimate.value, _interval(each.estimate)]
    if each.other is not None and each.difference is not None:
        row += [each.other.value, each.difference.value, _interval(each.difference), each.verdict or "-"]
    return row


def _interval(estimate: Estimate) -> str:
    return f"{number(estimate.low)} to {number(estimate.high)}"


def _summary(found: list[Judgement], model: str, against: str) -> str:
    """One sentence on the predictions."""
    of = {word: [each.metric for each in found if each.verdict == word] for word in ("better", "worse", "cannot tell")}
    if of["better"] and not of["worse"]:
        return f"predictions of {model} are better in {', '.join(of['better'])}, worse in nothing"
    if of["worse"] and not of["better"]:
        return f"predictions of {model} are worse in {', '.join(of['worse'])}, better in nothing"
    if not of["better"]:
        return f"cannot tell whether predictions of {model} or of {against} are better: every difference may be 0"
    return f"predictions of {model} are better in {', '.join(of['better'])}, worse in {', '.join(of['worse'])}"
