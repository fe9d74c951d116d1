from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from bench.frontier.frontier import frontier
from bench.frontier.pick import Pick, Removed
from bench.objectives import Objective
from bench.records import Failure, Replicate, TrialRecord
from bench.report.build import build_view
from bench.report.view import PageView

CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.auc", "maximize")
BOTH = (CLICK, LIKE)


def trial(
    number: int, kind: str, *values: float, balancing: str = "static", objectives: tuple = BOTH, **more: object
) -> TrialRecord:
    metrics = {each.key("valid"): value for each, value in zip(objectives, values, strict=True)}
    config = {"sharing.kind": kind, "balancing.kind": balancing}
    return TrialRecord(number, "completed", {"optim.lr": 0.001}, config, kind, metrics, seconds=10.0, **more)  # type: ignore[arg-type]


def replicates(*values: tuple[float, float]) -> tuple[Replicate, ...]:
    """Test metrics are validation's minus .01."""
    return tuple(
        Replicate(
            i,
            i,
            {
                f"{split}/{task}.auc": value - drop
                for task, value in zip(("click", "like"), pair, strict=True)
                for split, drop in (("valid", 0.0), ("test", 0.01))
            },
        )
        for i, pair in enumerate(values, 1)
    )


def view_of(records: list[TrialRecord], objectives: tuple = BOTH, **more: object) -> PageView:
    front = frontier(records, objectives, {each.name: 9.0 for each in objectives if each.name.startswith("cost/")})
    return build_view(records, front, title="Clicks", dataset="clicks", **more)  # type: ignore[arg-type]


SEARCHED = [
    trial(0, "single_task", 0.70, 0.80),
    trial(1, "mmoe", 0.72, 0.81),
    trial(2, "ple", 0.73, 0.79),
    trial(3, "mmoe", 0.71, 0.78, balancing="pcgrad"),
]


def test_the_front_and_its_step_line() -> None:
    view = view_of(SEARCHED)
    assert view.front == (2, 1)
    assert [each.number for each in view.trials if each.on_front] == [1, 2]
    shown_x, shown_y = (axis.near[0] for axis in view.axes if axis.near)
    assert shown_x < 0.70
    assert 0.78 < shown_y < 0.79  # trial 3 lies below what a figure opens with
    assert view.step == (
        (0.73, 0.78),
        (0.73, 0.79),
        (0.72, 0.79),
        (0.72, 0.81),
        (shown_x, 0.81),
    )


def test_axes_name_their_best_and_their_baseline() -> None:
    click, like = view_of(SEARCHED).axes
    assert (click.label, click.best.trial, click.best.value) == ("click AUC", 2, 0.73)  # type: ignore[union-attr]
    assert (like.best.trial, like.best.value) == (1, 0.81)  # type: ignore[union-attr]
    assert (click.baseline.trial, click.baseline.value) == (0, 0.70)  # type: ignore[union-attr]
    assert click.reference == 0.5


def test_gains_are_over_the_best_single_task_trial_in_thousandths() -> None:
    click, like = view_of(SEARCHED).gains
    assert click.scale == 1000
    assert click.columns == ("single_task", "mmoe", "ple")
    assert click.rows == ("pcgrad", "static")
    plain = [[None if cell is None else (round(cell.gain, 6), cell.trial) for cell in row] for row in click.cells]
    assert plain == [[None, (10, 3), None], [(0, 0), (20, 1), (30, 2)]]
    assert [round(cell.gain, 6) for cell in like.cells[1] if cell] == [0, 10, -10]


def test_a_cell_is_its_best_trial_and_counts_the_others() -> None:
    (table, _) = view_of([*SEARCHED, trial(4, "mmoe", 0.69, 0.80), trial(5, "mmoe", 0.72, 0.80)]).gains
    cell = table.cells[1][1]
    assert cell is not None
    assert (cell.trial, cell.trials) == (1, 3)


def test_no_gains_without_a_single_task_trial() -> None:
    view = view_of(SEARCHED[1:])
    assert view.gains == ()
    assert view.axes[0].baseline is None


def test_confirmed_trials_stand_at_their_means_and_the_rest_is_not_compared() -> None:
    records = [
        replace(SEARCHED[0], replicates=replicates((0.70, 0.80))),
        replace(SEARCHED[1], replicates=replicates((0.71, 0.81), (0.72, 0.80), (0.73, 0.82))),
        *SEARCHED[2:],
    ]
    view = view_of(records)
    assert view.confirmed
    assert view.front == (1,)
    mmoe, ple = view.trial(1), view.trial(2)
    assert mmoe.seen == (0.72, 0.81)
    assert mmoe.values == pytest.approx((0.72, 0.81))
    assert mmoe.valid[0] is not None
    assert mmoe.test[1] is not None
    assert (mmoe.valid[0].mean, mmoe.valid[0].sd, mmoe.valid[0].runs) == pytest.approx((0.72, 0.01, 3))
    assert mmoe.valid[0].half_width == pytest.approx(stdtrit(2, 0.95) * 0.01 / math.sqrt(3))
    assert mmoe.test[1].mean == pytest.approx(0.80)
    single = view.trial(0).valid[0]
    assert single is not None
    assert single.sd is None
    assert single.half_width == pytest.approx(stdtrit(2, 0.95) * 0.01)  # by what seeds do to the other
    assert (ple.compared, ple.confirmed, ple.values) == (False, False, (0.73, 0.79))
    assert mmoe.p_nondominated is not None
    assert ple.p_nondominated is None


def test_confirmed_is_compared_with_confirmed_and_what_the_search_saw_with_what_it_saw() -> None:
    runs = replicates((0.60, 0.70), (0.62, 0.72))
    lucky = [
        replace(each, replicates=tuple(replace(run, seed=10 * each.number + run.seed) for run in runs))  # none shared
        for each in SEARCHED[:2]
    ]
    view = view_of([*lucky, *SEARCHED[2:]])
    assert view.axes[0].baseline is not None
    assert view.axes[0].search_baseline is not None
    assert view.axes[0].baseline.value == pytest.approx(0.61)
    assert view.axes[0].search_baseline.value == 0.70
    cells = {cell.trial: cell for row in view.gains[0].cells for cell in row if cell}
    assert {number: (round(cell.gain, 6), cell.confirmed) for number, cell in cells.items()} == {
        0: (0, True),
        1: (0, True),  # 0.61 both, on fresh seeds
        2: (30, False),  # 0.73 against 0.70
        3: (10, False),
    }
    sd, t = 1000 * math.sqrt(0.0002), stdtrit(2, 0.95)
    assert cells[1].half_width == pytest.approx(t * sd * math.sqrt(1 / 2 + 1 / 2))
    assert cells[2].half_width == pytest.approx(t * sd * math.sqrt(1 + 1))
    assert cells[0].half_width == 0
    assert {cell.half_width for row in view_of(SEARCHED).gains[0].cells for cell in row if cell} == {None, 0.0}


def test_values_that_are_no_numbers_are_missing() -> None:
    view = view_of([*SEARCHED, trial(4, "mmoe", math.nan, 0.9), trial(5, "ple", math.inf, -math.inf)])
    assert view.trial(4).values == (None, 0.9)
    assert view.trial(5).seen == (None, None)
    assert view.front == (2, 1)
    assert view.axes[0].near == view_of(SEARCHED).axes[0].near


def test_minimised_objectives_run_the_other_way() -> None:
    objectives = (CLICK, Objective("cost/parameters", "minimize"))
    records = [
        trial(0, "single_task", 0.70, 8.0, objectives=objectives),
        trial(1, "mmoe", 0.72, 5.0, objectives=objectives),
        trial(2, "ple", 0.71, 3.0, objectives=objectives),
    ]
    view = view_of(records, objectives)
    assert view.front == (1, 2)
    worst, best = view.axes[1].near  # type: ignore[misc]
    assert worst >= 8.0
    assert best <= 3.0
    assert view.step[1:4] == ((0.72, 5.0), (0.71, 5.0), (0.71, 3.0))
    assert [cell.gain for cell in view.gains[1].cells[0] if cell] == [0, 3, 5]


def test_failures_are_grouped_by_reason_and_replicates_count() -> None:
    diverged, lost = Failure("diverged", "NaN"), Failure("infrastructure", "killed")
    failed = [
        TrialRecord(n, "failed", {}, {}, "mmoe", failure=why) for n, why in ((4, diverged), (5, lost), (6, diverged))
    ]
    confirmed = replace(
        SEARCHED[1], replicates=(*replicates((0.72, 0.81)), Replicate(2, 2, {}, lost), Replicate(3, 3, {}, lost))
    )
    groups = view_of([SEARCHED[0], confirmed, *SEARCHED[2:], *failed]).failures
    assert [(each.kind, each.reason, each.runs, each.trials) for each in groups] == [
        ("infrastructure", "killed", 3, (1, 5)),
        ("diverged", "NaN", 2, (4, 6)),
    ]


def test_headlines() -> None:
    states = [TrialRecord(4, "failed", {}, {}, "mmoe"), TrialRecord(5, "pruned", {}, {}, "mmoe", seconds=2.0)]
    found = {each.label: (each.value, each.detail) for each in view_of([*SEARCHED, *states]).headlines}
    thin = "\N{NARROW NO-BREAK SPACE}"
    assert found["best click AUC"] == ("0.7300", f"trial 2, +30.0{thin}×{thin}10⁻³ against single task")
    assert found["trials completed"] == ("4", "2 on the front, 1 failed, 1 pruned")
    assert found["training time"] == (f"42{thin}s", f"median 10{thin}s a trial")
    # .22 x .31 + .01 x .29, the area beyond (.5, .5)
    assert found["hypervolume"] == ("0.0711", "of the front, reference (0.5, 0.5)")


def test_history_counts_finished_trials() -> None:
    records = [SEARCHED[0], TrialRecord(1, "failed", {}, {}, "mmoe"), SEARCHED[2]]
    history = view_of(records).history
    assert [(finished, number) for finished, number, _ in history] == [(1, 0), (2, 1), (3, 2)]
    assert [volume for *_, volume in history] == pytest.approx([0.06, 0.06, 0.06 + 0.03 * 0.29])


def test_the_pick_with_what_was_passed_over() -> None:
    pick = Pick(1, "mmoe", {}, {}, "knee", "Trial 1 is picked.", (Removed(2, "ple", "like.auc too low"),), ())
    view = view_of(SEARCHED, pick=pick, retrain="seesaw train clicks", made={"seed": "7", "space": "quick"})
    assert view.picked is not None
    assert (view.picked.trial, view.picked.reason, view.picked.command) == (
        1,
        "Trial 1 is picked.",
        "seesaw train clicks",
    )
    assert view.picked.removed == (("trial 2 (ple)", "like.auc too low"),)
    assert view.made == (("seed", "7"), ("space", "quick"))


@pytest.mark.parametrize("records", [[], [TrialRecord(0, "failed", {}, {}, "mmoe", failure=Failure("bug", "oops"))]])
def test_a_run_with_nothing_completed(records: list[TrialRecord]) -> None:
    view = view_of(records, no_pick="nothing to pick from")
    assert (view.trials, view.front, view.step, view.gains) == ((), (), (), ())
    assert view.axes[0].near is None
    assert view.headlines[0].value == "\N{EN DASH}"
    assert view.no_pick == "nothing to pick from"


def test_records_are_taken_in_any_order_and_left_alone() -> None:
    records = list(SEARCHED)
    assert view_of(records[::-1]) == view_of(records)
    assert records == SEARCHED


VALUE = st.floats(0.5, 1, width=16)


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=12),
    ways=st.tuples(*[st.sampled_from(["maximize", "minimize"])] * 2),
)
def test_the_step_line_bounds_every_trial_and_the_range_holds_the_front(
    points: list[tuple[float, float]], ways: tuple[str, str]
) -> None:
    objectives = tuple(Objective(f"cost/{name}", way) for name, way in zip("ab", ways, strict=True))  # type: ignore[arg-type]
    records = [
        trial(i, "single_task" if i == 0 else "mmoe", *point, objectives=objectives) for i, point in enumerate(points)
    ]
    view = view_of(records, objectives)
    signs = np.array([axis.sign for axis in view.axes])
    corners = np.array(view.step) * signs
    for point in np.array(points) * signs:
        assert (corners >= point).all(axis=1).any()
    assert (np.diff(corners[:, 0]) <= 0).all()
    assert (np.diff(corners[:, 1]) >= 0).all()
    for i, axis in enumerate(view.axes):
        worst, best = axis.sign * np.array(axis.near)
        front = [axis.sign * view.trial(number).values[i] for number in view.front]  # type: ignore[operator]
        assert worst < min(front) <= max(front) < best
        assert worst < axis.sign * axis.baseline.value < best  # type: ignore[union-attr]


def test_far_outliers_do_not_squeeze_the_front() -> None:
    near = view_of(SEARCHED).axes[0].near
    bad = [trial(10 + i, "mmoe", 0.50, 0.50) for i in range(20)]
    far = view_of([*SEARCHED, *bad]).axes[0].near
    assert near is not None
    assert far is not None
    assert far[0] > 0.55


def test_a_made_up_run_has_all_there_is(view: PageView) -> None:
    assert view.confirmed
    assert len(view.front) >= 3
    assert len(view.failures) >= 3
    assert view.picked is not None
    assert any(value is None for each in view.trials for value in each.values)


def test_trials_stopped_early_are_counted() -> None:
    def of(state: str) -> list[TrialRecord]:
        return [replace(each, state=state) if each.number == 1 else each for each in records]  # type: ignore[arg-type]

    records = [trial(number, "mmoe", 0.7 + 0.01 * number, 0.9) for number in range(3)]
    assert view_of(of("completed")).stopped == 0
    assert view_of(of("pruned")).stopped == 1
