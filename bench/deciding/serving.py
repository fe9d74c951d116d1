"""The served front that a decision reads, with what it was drawn for and compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.core.errors import UserError
from bench.core.exposure import LEAST_EFFECTIVE
from bench.core.objectives import Objective, random_ndcg, ranked_by_group
from bench.core.rows import CONFIRM, TEST
from bench.core.system.atomic import Unwritable
from bench.deciding.aims import PolicyAim, aims_of
from bench.deciding.policy import Policy
from bench.ledger.served.front_files import SERVED, TURNED, digest_of, load, save
from bench.ledger.served.measuring import Candidate, CurrentRanking
from bench.ledger.served.served import Served, served_front
from bench.ledger.served.turned import few, turned
from bench.measure.predictions import Damaged, KeptRows
from bench.measure.resamples import few_units

MUCH = 0.5
"""From here on it is said what a random order scores."""


@dataclass(frozen=True)
class Serving:
    """A data set's served front, with base rates and the current point; or the reason why there is
    none.

    Attributes:
        served: None where there is none, and then `reason` says why.
        rates: mean label by task on train, on all impressions.
        note: sentences where only a part of the rows was kept, where there are few units, and on
            what a random order scores within groups; else empty.
        shown: a sentence on how the rows came to be shown, which gains rest on.
        unsure: why nobody can tell, where too few rows count for that; else empty.
        rows: of test, those that are not kept included.
        against: what the current point is, in a few words.
        aims: what its weights were chosen for.
        turned: the same the other way round, where test has few rows; see
            `bench.ledger.served.turned`.
    """

    served: Served | None
    rates: dict[str, float]
    against: str
    reason: str = ""
    note: str = ""
    shown: str = ""
    unsure: str = ""
    rows: int = 0
    aims: tuple[PolicyAim, ...] = ()
    turned: Served | None = None


def serving(
    candidates: Sequence[Candidate],
    rows: Mapping[str, KeptRows],
    current: CurrentRanking,
    against: str,
    policy: Policy,
    outcomes: Callable[[], Sequence[Objective]],
    seed: int,
    folder: Path | None = None,
    keep: bool = False,
    named: bool = False,
    forward: bool = False,
) -> Serving:
    """Draws the served front for a policy, or reads the one that was drawn of the same predictions.

    Args:
        outcomes: gives what is served, or raises a `UserError`: then there is no front, and that is
            the reason.
        folder: where fronts lie that were drawn before, if anywhere; `keep` leaves there what is
            drawn now.
        named: whether the user named the outcomes.
        forward: whether test is later than all other rows, so that these must not be judged by it.
    """
    facts = rows[CONFIRM]
    rates = dict(zip(facts.tasks, facts.rates, strict=True))
    try:
        wanted = outcomes()
        aims = aims_of(policy, [outcome.name for outcome in wanted], rates, current.today)

        def front(
            candidates: Sequence[Candidate], rows: Mapping[str, KeptRows], name: str
        ) -> Served:
            if not folder:
                return served_front(candidates, rows, wanted, current, seed, aims=aims)
            digest = digest_of(candidates, rows, wanted, current, seed, aims)
            drawn = load(folder, digest, name)
            if drawn is None:
                drawn = served_front(candidates, rows, wanted, current, seed, aims=aims)
                if keep:
                    save(drawn, folder, digest, name)
            return drawn

        served = front(candidates, rows, SERVED)
        other_way = None
        if few(rows) and not forward:
            other_way = front(*turned(candidates, rows), TURNED)
    except (Damaged, Unwritable):
        raise
    except UserError as error:
        return Serving(None, rates, against, str(error))
    return Serving(
        served,
        rates,
        against,
        note=_note(rows, served, named),
        shown=_shown(rows[TEST]),
        unsure=_unsure(rows),
        rows=rows[TEST].of,
        aims=aims,
        turned=other_way,
    )


def _shown(test: KeptRows) -> str:
    exposure = test.exposure
    if exposure is None:
        return "All of it holds among what today's ranking showed."
    if exposure.kind == "random":
        return (
            f"It rests on the {exposure.effective:,.0f} rows of test that were shown at random "
            f"('{exposure.column}')."
        )
    sentences = (
        f"It rests on all rows, each counted 1 / '{exposure.column}': test is worth "
        f"{exposure.effective:,.0f} rows shown at random."
    )
    if exposure.cut:
        sentences += (
            f" {exposure.cut:,} rows would count more than {exposure.most:,.0f}, and count that."
        )
    return sentences


def _unsure(rows: Mapping[str, KeptRows]) -> str:
    for split in (CONFIRM, TEST):
        of_split = rows[split]
        if of_split.exposure is None:
            return ""
        positives = of_split.exposure.positives(of_split.labels)
        for task, count in zip(of_split.tasks, positives, strict=True):
            if count < LEAST_EFFECTIVE:
                return (
                    f"Cannot tell: {split} has {count:,.0f} positives of '{task}' that count as "
                    f"shown at random, and {LEAST_EFFECTIVE} are needed."
                )
    return ""


def _note(rows: Mapping[str, KeptRows], served: Served, named: bool) -> str:
    """Whether rows are a sample or of few units, and a random order's scores; `named`: the user
    named outcomes.
    """
    sentences = [_sampled(rows)]
    sentences += [few_units(rows[split].units, f"The {split} split") for split in (CONFIRM, TEST)]
    sentences.append(_random_order(rows[CONFIRM], served, named))
    return " ".join(sentence for sentence in sentences if sentence)


def _sampled(rows: Mapping[str, KeptRows]) -> str:
    samples = []
    for split, of_split in rows.items():
        if of_split.kept < of_split.of:
            samples.append(f"{of_split.kept:,} of {of_split.of:,} on {split}")
    if not samples:
        return ""
    return (
        f"The served front is measured on a sample of the rows, whole groups: {', '.join(samples)}."
    )


def _random_order(confirm: KeptRows, served: Served, named: bool) -> str:
    """What a random order scores, where that is much."""
    scores = []
    for outcome, value in zip(served.measures, served.random, strict=True):
        if "ndcg@" in outcome.name and value > MUCH:
            scores.append(f"{outcome.name} {value:.2f}")
    if scores:
        return f"A random order has {', '.join(scores)}."
    sizes = np.unique(confirm.group[confirm.group >= 0], return_counts=True)[1]
    if named or not len(sizes) or ranked_by_group(sizes):
        return ""
    return (
        f"Groups have {sizes.mean():.1f} rows on average: a random order of them has an ndcg@5 "
        f"of {random_ndcg(sizes):.2f} or more, so outcomes are of all rows."
    )
