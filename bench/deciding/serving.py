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
from bench.ledger.served.measuring import Candidate, CurrentRanking
from bench.ledger.served.served import Served, served_front
from bench.ledger.served.store import SERVED, TURNED, digest_of, load, save
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
        aims = aims_of(policy, [each.name for each in wanted], rates, current.today)

        def front(own: Sequence[Candidate], of: Mapping[str, KeptRows], name: str) -> Served:
            digest = digest_of(own, of, wanted, current, seed, aims) if folder else ""
            result = load(folder, digest, name) if folder else None
            if result is None:
                result = served_front(own, of, wanted, current, seed, aims=aims)
                if keep and folder:
                    save(result, folder, digest, name)
            return result

        served = front(candidates, rows, SERVED)
        other = front(*turned(candidates, rows), TURNED) if few(rows) and not forward else None
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
        turned=other,
    )


def _shown(test: KeptRows) -> str:
    of = test.exposure
    if of is None:
        return "All of it holds among what today's ranking showed."
    if of.kind == "random":
        return (
            f"It rests on the {of.effective:,.0f} rows of test that were shown at random "
            f"('{of.column}')."
        )
    rows = (
        f"It rests on all rows, each counted 1 / '{of.column}': test is worth "
        f"{of.effective:,.0f} rows shown at random."
    )
    return rows + (
        f" {of.cut:,} rows would count more than {of.most:,.0f}, and count that." if of.cut else ""
    )


def _unsure(rows: Mapping[str, KeptRows]) -> str:
    for split in (CONFIRM, TEST):
        of = rows[split]
        if of.exposure is None:
            return ""
        for task, many in zip(of.tasks, of.exposure.positives(of.labels), strict=True):
            if many < LEAST_EFFECTIVE:
                what = f"{many:,.0f} positives of '{task}' that count as shown at random"
                return f"Cannot tell: {split} has {what}, and {LEAST_EFFECTIVE} are needed."
    return ""


def _note(rows: Mapping[str, KeptRows], served: Served, named: bool) -> str:
    """Whether rows are a sample or of few units, and a random order's scores; `named`: the user
    named outcomes.
    """
    parts = [
        f"{each.kept:,} of {each.of:,} on {split}"
        for split, each in rows.items()
        if each.kept < each.of
    ]
    sampled = (
        f"The served front is measured on a sample of the rows, whole groups: {', '.join(parts)}."
    )
    scored = zip(served.measures, served.random, strict=True)
    lists = [
        f"{each.name} {value:.2f}"
        for each, value in scored
        if "ndcg@" in each.name and value > MUCH
    ]
    sizes = np.unique(rows[CONFIRM].group[rows[CONFIRM].group >= 0], return_counts=True)[1]
    order = ""
    if lists:
        order = f"A random order has {', '.join(lists)}."
    elif not named and len(sizes) and not ranked_by_group(sizes):
        order = (
            f"Groups have {sizes.mean():.1f} rows on average: a random order of them has an ndcg@5 "
            f"of {random_ndcg(sizes):.2f} or more, so outcomes are of all rows."
        )
    few_ = (
        few_units(each.units, f"The {split} split")
        for split, each in rows.items()
        if split in (CONFIRM, TEST)
    )
    return " ".join(filter(None, [sampled if parts else "", *few_, order]))
