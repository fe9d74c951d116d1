from __future__ import annotations

import math
from typing import Any

from bench.objectives import Objective
from bench.records import Failure, Point, Replicate, RungResult, TrialRecord
from bench.report.detail import MOST_EVALUATIONS, NOTHING, Curve, Gate, Norm, detail

CLICK = Objective("click.auc", "maximize")


def diagnosis(cosine: float) -> dict[str, Any]:
    angle = {"cosine": cosine, "below_zero": 0.25, "probes": 4}
    return {
        "probes": 4,
        "tasks": {"click": {"norm": {"representation": 0.2, "top": 0.0}, "pull": {"representation": 0.4}}},
        "pairs": [{"tasks": ["click", "like"], "blocks": {"representation": angle, "never": {**angle, "probes": 0}}}],
        "experts": {"gates": {"gate": {"of": ["click"], "share": [[0.9, 0.1]], "collapsed": [True]}}},
    }


def record(**more: Any) -> Point:
    return TrialRecord(0, "completed", {}, {}, "mmoe", **more).points[-1]


def test_a_record_of_nothing_has_no_detail() -> None:
    assert detail(record(), (CLICK,)) == NOTHING


def test_what_its_tasks_did_to_each_other_is_told_by_block_and_by_rung() -> None:
    rungs = (RungResult(100, 0, {}, diagnosis=diagnosis(-0.3)), RungResult(400, 1, {}, diagnosis=diagnosis(0.5)))
    found = detail(record(rungs=rungs, diagnosis=rungs[-1].diagnosis), (CLICK,))
    assert [(each.tasks, each.block, each.samples, each.cosine) for each in found.angles] == [
        ("click and like", "representation", 100, -0.3),
        ("click and like", "representation", None, 0.5),
    ]
    assert found.norms == (Norm("click", "representation", 0.2, 0.4),)
    assert found.gates == (Gate("gate", "click", (0.9, 0.1), True),)


def test_curves_keep_the_last_evaluation_and_what_is_finite_up_to_where_a_point_stopped() -> None:
    rows = [{"samples": 10.0 * i, "epoch": 1.0, "valid/click.auc": 0.5, "loss/click": 1.0 / i} for i in range(1, 200)]
    rows[3]["loss/click"] = math.nan
    auc, loss = detail(record(curve=rows), (CLICK,)).curves
    assert (auc.name, auc.loss, loss.name, loss.loss) == ("click.auc", False, "click", True)
    assert auc.points[-1][0] == loss.points[-1][0] == 1990
    assert max(len(auc.points), len(loss.points)) <= MOST_EVALUATIONS
    assert all(math.isfinite(value) for _, value in loss.points)
    rung = (RungResult(30, 0, {}),)
    stopped = TrialRecord(0, "pruned", {}, {}, "mmoe", curve=rows, rungs=rung)
    assert detail(stopped.points[0], (CLICK,)).curves[0] == Curve("click.auc", False, ((10, 0.5), (20, 0.5), (30, 0.5)))


def test_replicates_have_their_values_or_why_they_failed() -> None:
    runs = (
        Replicate(1, 7, {"confirm/click.auc": 0.7, "test/click.auc": 0.6}),
        Replicate(2, 8, {"confirm/click.auc": math.nan}, Failure("bug", "it broke")),
    )
    first, second = detail(record(replicates=runs), (CLICK,)).replicates
    assert (first.seed, first.confirm, first.test, first.failure) == (7, (0.7,), (0.6,), "")
    assert (second.confirm, second.test, second.failure) == ((None,), (None,), "it broke")
