"""The contents of a deployed model's package."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.data import Store
from bench.data.card import Card
from bench.frontier.retraining import PredictionInterval
from bench.machine import versions
from bench.production.model_card import Facts, model_card
from bench.production.package import Parts
from bench.production.retrain import Retrained
from bench.rows import NAMES
from bench.run.planned import Plan

AGREE_ON = 1024
"""Rows of validation on which engines must agree."""


def contents(
    planned: Plan, card: Card, store: Store, retrained: Retrained, intervals: Mapping[str, PredictionInterval]
) -> Parts:
    """All that goes into the package of a trained pick, its model card among it."""
    valid = store.split("valid")
    rows = np.array(valid.ids[:AGREE_ON]), np.array(valid.dense[:AGREE_ON])
    manifest = planned.part.run.manifest
    facts = Facts(
        card=card,
        store=store.manifest,
        encoder=store.encoder,
        architecture=planned.pick.architecture,
        reason=planned.pick.reason,
        policy=planned.policy.toml,
        front=_front(planned),
        rows=NAMES[planned.result.frontier.split],
        test=_test(planned, retrained, intervals),
        calibration=f"{planned.options.calibration} calibration" if retrained.calibrations else "not calibrated",
        score=planned.score,
        outcomes=_outcomes(planned, retrained),
        command=planned.command,
        seed=planned.seed,
        versions=versions(),
        warnings=retrained.warnings,
    )
    return Parts(
        name=planned.part.key,
        schema=store.schema,
        config=retrained.config,
        members=[member.states for member in retrained.members],
        encoder=store.encoder,
        rows=rows,
        score=planned.score,
        outcomes=tuple(planned.outcomes),
        calibrations=retrained.calibrations,
        card=card.model_dump(mode="json", by_alias=True),
        policy=planned.policy.model_dump(mode="json", exclude={"score"}) | {"reason": planned.pick.reason},
        provenance=retrained.provenance
        | {
            "run": planned.part.run.name,
            "suite": manifest.suite_name,
            "point": planned.pick.point,
            "trial": planned.network.number,
            "until": planned.network.until,
            "command": planned.command,
            "test": retrained.calibrated,
        },
        readme=model_card(facts),
    )


def _front(planned: Plan) -> list[dict[str, str]]:
    frontier = planned.result.frontier
    found = []
    for row in frontier.plausible.to_dict("records"):
        line = {"trial": str(row["point"]), "architecture": str(row["architecture"])}
        for key in frontier.keys:
            deviation = row.get(f"{key}.sd")
            line[key] = f"{row[key]:.5g}" + (
                f" ± {deviation:.2g}" if deviation is not None and deviation == deviation else ""
            )
        line["P(non-dominated)"] = "-" if row["p_nondominated"] is None else f"{row['p_nondominated']:.2f}"
        found.append(line)
    return found


def _outcomes(planned: Plan, retrained: Retrained) -> list[dict[str, str]]:
    rows = NAMES[planned.result.frontier.split]
    return [
        {"outcome": name, f"when picked, on {rows}": f"{value:.5g}", "on test": f"{retrained.served[name]:.5g}"}
        for name, value in planned.outcomes.items()
    ]


def _test(planned: Plan, retrained: Retrained, intervals: Mapping[str, PredictionInterval]) -> list[dict[str, str]]:
    return [
        {
            "metric": each.name,
            "on test": f"{retrained.test.get(each.key('test'), float('nan')):.5f}",
            "calibrated": f"{retrained.calibrated.get(each.key('test'), float('nan')):.5f}",
            "prediction interval": str(intervals.get(each.name, "-")),
        }
        for each in planned.result.objectives
        if each.is_metric
    ]
