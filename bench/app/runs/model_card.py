"""The model card, in Markdown: what a person must know before they use a packaged model.

After Mitchell et al., FAT* 2019: data, how it was chosen, how good it is and how sure that is, and
its limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.app.report.text import markdown_table
from bench.app.runs.deployment import Deployment
from bench.core.objectives import Objective
from bench.core.rows import NAMES
from bench.core.system.machine import versions
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
    card, pick = deployment.part.card, deployment.pick
    columns = [
        {
            "column": f"`{column.name}`",
            "as": column.kind,
            "may be absent": "yes" if column.optional else "no",
        }
        for column in RawRows(store.encoder).columns
    ]
    splits = [
        {"split": name, "rows": f"{of['rows']:,}"} for name, of in store.manifest["splits"].items()
    ]
    tasks = ", ".join(
        f"{task.name} (given {task.parent})" if task.parent else task.name for task in card.tasks
    )
    calibration = (
        f"{deployment.policy.retrain.calibration} calibration"
        if retrained.calibrations
        else "not calibrated"
    )
    regressions = regressions_in_words(store.schema, retrained.parts)
    sections = [
        f"# {card.title}: a model to rank by",
        pick.reason,
        *(f"**Warning:** {sentence}" for sentence in retrained.warnings),
        "## Data",
        f"`{card.key}`: {card.title}. Licence: {card.licence}. Tasks: {tasks}. Fingerprint of the "
        f"prepared data: `{store.fingerprint}`.",
        _table(splits),
        "## What goes in",
        "Raw columns, as in the log; unknown values and empty cells are allowed everywhere.",
        _table(columns),
        "## What comes out",
        f"A probability for each task ({calibration}), and `score` = {deployment.score}, of "
        f"{deployment.score.on} predictions; of a task with a parent that is the joint one "
        "(`.ctcvr`), unless `.cvr` says otherwise. Rank by `score`: the larger, the higher. Only "
        "its order has a meaning.",
        *(_regression(name, says) for name, says in regressions.items()),
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
        *(part for name, rows in retrained.deciles.items() for part in _deciles(name, rows)),
        "## Limits",
        "It was judged on rows of the log: on other populations or times it may be worse, and "
        "what it ranks changes what is logged next. Probabilities given a parent (`.cvr`) were "
        "seen where the parent happened only. Values that train did not hold share one embedding.",
        "## Reproduce",
        f"    {deployment.command}\n\nSeed {deployment.seed}; "
        + ", ".join(f"{name} {version}" for name, version in versions().items())
        + ".",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _regression(name: str, says: str) -> str:
    if says == "mean":
        return f"Of `{name}` the mean, in the unit of its label."
    return (
        f"Of `{name}` the {says}, in the unit of its label. It is no mean; times the probability "
        "of a parent (`.ctcvr`), it serves to rank."
    )


def _deciles(name: str, rows: Sequence[Sequence[float]]) -> tuple[str, str]:
    lines = [
        {
            "tenth": str(at),
            "weight": f"{weight:,.0f}",
            "predicted": f"{said:.5g}",
            "true": f"{true:.5g}",
        }
        for at, (weight, said, true) in enumerate(rows, 1)
    ]
    return f"Mean of `{name}` by tenths of these rows, in the order of predictions:", _table(lines)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    return markdown_table(rows[0] if rows else (), (row.values() for row in rows))


def _front(deployment: Deployment) -> list[dict[str, str]]:
    frontier = deployment.result.decision.frontier
    lines, deviations = [], frontier.at(frontier.split, "sd")
    for row in frontier.plausible:
        facts = frontier.table.iloc[row]
        line = {"trial": str(facts["point"]), "architecture": str(facts["architecture"])}
        for key, value, deviation in zip(
            frontier.keys, frontier.estimates[row], deviations[row], strict=True
        ):
            line[key] = f"{value:.5g}{f' ± {deviation:.2g}' if deviation == deviation else ''}"
        chance = float(facts["p_nondominated"])
        line["P(non-dominated)"] = f"{chance:.2f}" if chance == chance else "-"
        lines.append(line)
    return lines


def _outcomes(deployment: Deployment, retrained: Retrained) -> list[dict[str, str]]:
    rows = NAMES[deployment.result.decision.frontier.split]
    return [
        {
            "outcome": name,
            f"when picked, on {rows}": f"{value:.5g}",
            "on test": f"{retrained.served[name]:.5g}",
        }
        for name, value in deployment.outcomes.items()
    ]


def _test(
    deployment: Deployment, retrained: Retrained, intervals: Mapping[Objective, Effect]
) -> list[dict[str, str]]:
    return [
        {
            "metric": each.name,
            "on test": f"{retrained.test.get(each.key('test'), float('nan')):.5f}",
            "calibrated": f"{retrained.calibrated.get(each.key('test'), float('nan')):.5f}",
            "prediction interval": interval_text(intervals[each]) if each in intervals else "-",
        }
        for each in deployment.result.objectives
        if each.is_metric
    ]
