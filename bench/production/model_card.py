"""The model card, in Markdown: what a person must know before they use a packaged model.

After Mitchell et al., FAT* 2019: data, how it was chosen, how good it is and how sure that is, and its limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.data.card import Card
from bench.data.encoding.encoder import Encoder
from bench.frontier.score import Score
from bench.production.scorer import RawRows


@dataclass(frozen=True)
class Facts:
    """The facts on a model card.

    Attributes:
        store: the store's manifest.
        architecture, reason: of the pick, in words.
        policy: as TOML.
        front: lines of the frontier: point, and metric -> value in words; rows: what they were measured on, in words.
        test: metric on test -> value in words, with its prediction interval.
        calibration: what was done, in words.
        score: what is ranked by.
        regressions: what is predicted of each regression, as `mean`; none where all tasks are binary.
        deciles: tables of regressions on test, see `bench.production.retrain.Retrained`.
        outcomes: of the score, by which it was picked -> value in words; none where no serving point was picked.
        command: what remakes it.
        warnings: sentences.
    """

    card: Card
    store: Mapping[str, Any]
    encoder: Encoder
    architecture: str
    reason: str
    policy: str
    front: Sequence[Mapping[str, str]]
    rows: str
    test: Sequence[Mapping[str, str]]
    calibration: str
    score: Score
    outcomes: Sequence[Mapping[str, str]]
    command: str
    seed: int
    versions: Mapping[str, str]
    warnings: Sequence[str] = field(default=())
    regressions: Mapping[str, str] = field(default_factory=dict)
    deciles: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)


def model_card(facts: Facts) -> str:
    """The card as Markdown."""
    card, store = facts.card, facts.store
    columns = [
        {
            "column": f"`{column.name}`",
            "as": column.kind,
            "may be absent": "yes" if column.optional else "no",
        }
        for column in RawRows(facts.encoder).columns
    ]
    splits = [{"split": name, "rows": f"{of['rows']:,}"} for name, of in store["splits"].items()]
    tasks = ", ".join(f"{task.name} (given {task.parent})" if task.parent else task.name for task in card.tasks)
    sections = [
        f"# {card.title}: a model to rank by",
        facts.reason,
        *(f"**Warning:** {sentence}" for sentence in facts.warnings),
        "## Data",
        f"`{card.key}`: {card.title}. Licence: {card.licence}. Tasks: {tasks}. Fingerprint of the prepared data: "
        f"`{store['fingerprint']}`.",
        _table(splits),
        "## What goes in",
        "Raw columns, as in the log; unknown values and empty cells are allowed everywhere.",
        _table(columns),
        "## What comes out",
        f"A probability for each task ({facts.calibration}), and `score` = {facts.score}, of {facts.score.on} "
        "predictions. Rank by `score`: the larger, the higher. Only its order has a meaning.",
        *(_regression(name, says) for name, says in facts.regressions.items()),
        "## How it was picked",
        f"Architecture: {facts.architecture}. The policy (`policy.toml`):",
        f"```toml\n{facts.policy}```",
        f"The frontier, on {facts.rows}:",
        _table(facts.front),
        "## How good it is",
        "The ranking by `score`:" if facts.outcomes else "",
        _table(facts.outcomes),
        "On test, which no choice has seen:",
        _table(facts.test),
        *(part for name, rows in facts.deciles.items() for part in _deciles(name, rows)),
        "## Limits",
        "It was judged on rows of the log: on other populations or times it may be worse, and what it ranks changes "
        "what is logged next. Probabilities given a parent (`.cvr`) were seen where the parent happened only. "
        "Values that train did not hold share one embedding.",
        "## Reproduce",
        f"    {facts.command}\n\nSeed {facts.seed}; "
        + ", ".join(f"{name} {version}" for name, version in facts.versions.items())
        + ".",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _regression(name: str, says: str) -> str:
    if says == "mean":
        return f"Of `{name}` the mean, in the unit of its label."
    return (
        f"Of `{name}` the {says}, in the unit of its label. It is no mean; times the probability of a parent "
        "(`.ctcvr`), it serves to rank."
    )


def _deciles(name: str, rows: Sequence[Sequence[float]]) -> tuple[str, str]:
    """A heading, and the table."""
    lines = [
        {"tenth": str(at), "weight": f"{weight:,.0f}", "predicted": f"{said:.5g}", "true": f"{true:.5g}"}
        for at, (weight, said, true) in enumerate(rows, 1)
    ]
    return f"Mean of `{name}` by tenths of these rows, in the order of predictions:", _table(lines)


def _table(rows: Iterable[Mapping[str, str]]) -> str:
    rows = list(rows)
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
