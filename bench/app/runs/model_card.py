"""The model card, in Markdown: what a person must know before they use a packaged model.

After Mitchell et al., FAT* 2019: data, how it was chosen, how good it is and how sure that is, and
its limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import starmap

from bench.app.report.text import markdown_table
from bench.app.runs.deployment import Deployment
from bench.core.objectives import Objective
from bench.core.rows import NAMES
from bench.core.system.machine import versions, versions_in_words
from bench.data import Store
from bench.deciding.retraining import interval_text
from bench.ledger.effect import Effect
from bench.serve.retrain import Retrained
from bench.serve.scorer import RawRows
from bench.serve.served_model import regressions_in_words


def model_card(
    deployment: Deployment,
    store: Store,
    retrained: Retrained,
    intervals: Mapping[Objective, Effect],
) -> str:
    """The card as Markdown."""
    card = deployment.part.card
    pick = deployment.pick
    tasks = []
    for task in card.tasks:
        tasks.append(f"{task.name} (given {task.parent})" if task.parent else task.name)
    calibration = "not calibrated"
    if retrained.calibrations:
        calibration = f"{deployment.policy.retrain.calibration} calibration"
    regressions = regressions_in_words(store.schema, retrained.parts)
    warnings = [f"**Warning:** {sentence}" for sentence in retrained.warnings]
    deciles: list[str] = []
    for name, rows in retrained.deciles.items():
        deciles += _deciles(name, rows)
    sections = [
        f"# {card.title}: a model to rank by",
        pick.reason,
        *warnings,
        "## Data",
        f"`{card.key}`: {card.title}. Licence: {card.licence}. Tasks: {', '.join(tasks)}. "
        f"Fingerprint of the prepared data: `{store.fingerprint}`.",
        _table(_splits(store)),
        "## What goes in",
        "Raw columns, as in the log; unknown values and empty cells are allowed everywhere.",
        _table(_columns(store)),
        "## What comes out",
        f"A probability for each task ({calibration}), and `score` = {deployment.score}, of "
        f"{deployment.score.on} predictions; of a task with a parent that is the joint one "
        "(`.ctcvr`), unless `.cvr` says otherwise. Rank by `score`: the larger, the higher. Only "
        "its order has a meaning.",
        *starmap(_regression, regressions.items()),
        "## How it was picked",
        f"Architecture: {pick.architecture}. Trained on train and validation: "
        f"{deployment.training}. The policy (`policy.toml`):",
        f"```toml\n{deployment.policy.toml}```",
        f"The frontier, on {NAMES[deployment.result.decision.frontier.split]}:",
        _table(_front(deployment)),
        "## How good it is",
        "The ranking by `score`:" if deployment.outcomes else "",
        _table(_outcomes(deployment, retrained)),
        "On test, which no choice has seen:",
        _table(_test(deployment, retrained, intervals)),
        *deciles,
        "## Limits",
        "It was judged on rows of the log: on other populations or times it may be worse, and "
        "what it ranks changes what is logged next. Probabilities given a parent (`.cvr`) were "
        "seen where the parent happened only. Values that train did not hold share one embedding.",
        "## Reproduce",
        f"    {deployment.command}\n\nSeed {deployment.seed}; {versions_in_words(versions())}.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _columns(store: Store) -> list[dict[str, str]]:
    rows = []
    for column in RawRows(store.encoder).columns:
        absent = "yes" if column.optional else "no"
        rows.append({"column": f"`{column.name}`", "as": column.kind, "may be absent": absent})
    return rows


def _splits(store: Store) -> list[dict[str, str]]:
    splits = []
    for name, facts in store.manifest["splits"].items():
        splits.append({"split": name, "rows": f"{facts['rows']:,}"})
    return splits


def _regression(name: str, kind: str) -> str:
    if kind == "mean":
        return f"Of `{name}` the mean, in the unit of its label."
    return (
        f"Of `{name}` the {kind}, in the unit of its label. It is no mean; times the probability "
        "of a parent (`.ctcvr`), it serves to rank."
    )


def _deciles(name: str, rows: Sequence[Sequence[float]]) -> tuple[str, str]:
    lines = []
    for tenth, (weight, predicted, true) in enumerate(rows, 1):
        lines.append(
            {
                "tenth": str(tenth),
                "weight": f"{weight:,.0f}",
                "predicted": f"{predicted:.5g}",
                "true": f"{true:.5g}",
            }
        )
    return f"Mean of `{name}` by tenths of these rows, in the order of predictions:", _table(lines)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    return markdown_table(rows[0] if rows else (), (row.values() for row in rows))


def _front(deployment: Deployment) -> list[dict[str, str]]:
    frontier = deployment.result.decision.frontier
    lines = []
    deviations = frontier.at(frontier.split, "sd")
    for row in frontier.plausible:
        facts = frontier.table.iloc[row]
        line = {"trial": str(facts["point"]), "architecture": str(facts["architecture"])}
        cells = zip(frontier.keys, frontier.estimates[row], deviations[row], strict=True)
        for key, value, deviation in cells:
            line[key] = f"{value:.5g}"
            if deviation == deviation:
                line[key] += f" ± {deviation:.2g}"
        chance = float(facts["p_nondominated"])
        line["P(non-dominated)"] = f"{chance:.2f}" if chance == chance else "-"
        lines.append(line)
    return lines


def _outcomes(deployment: Deployment, retrained: Retrained) -> list[dict[str, str]]:
    rows = NAMES[deployment.result.decision.frontier.split]
    lines = []
    for name, value in deployment.outcomes.items():
        line = {"outcome": name, f"when picked, on {rows}": f"{value:.5g}"}
        lines.append(line | {"on test": f"{retrained.served[name]:.5g}"})
    return lines


def _test(
    deployment: Deployment, retrained: Retrained, intervals: Mapping[Objective, Effect]
) -> list[dict[str, str]]:
    nan = float("nan")
    lines = []
    for objective in deployment.result.objectives:
        if not objective.is_metric:
            continue
        key, interval = objective.key("test"), "-"
        if objective in intervals:
            interval = interval_text(intervals[objective])
        lines.append(
            {
                "metric": objective.name,
                "on test": f"{retrained.test.get(key, nan):.5f}",
                "calibrated": f"{retrained.calibrated.get(key, nan):.5f}",
                "prediction interval": interval,
            }
        )
    return lines
