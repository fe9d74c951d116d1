from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from known_labels import known

from bench.data.inspection.column import Counted, count_column
from bench.data.inspection.kinds import DESIGN, find_kind
from bench.data.inspection.proposals import find_parent, find_scenario, find_space, is_amount, limits, proposals
from bench.data.inspection.roles import ColumnDraft
from bench.data.inspection.split import Wish

N = 2000
RNG = np.random.default_rng(0)
TAB = RNG.choice(["0", "1", "4"], N, p=[0.3, 0.5, 0.2])
CLICK = (RNG.random(N) < 0.4).astype(float)
BUY = CLICK * (RNG.random(N) < 0.3)
VIDEO = RNG.lognormal(3, 1, N).round(1)
WATCHED = np.where(CLICK == 1, np.minimum(RNG.lognormal(3, 1, N).round(2), VIDEO), 0)


def column(name: str, values) -> Counted:
    return count_column(name, pa.array(values))


def space(name: str, values, label: np.ndarray) -> dict | None:
    counted = column(name, values)
    found = find_space(counted, find_kind(counted), label)
    return None if found is None else found[0]


def known_where(rows: np.ndarray) -> np.ndarray:
    return np.where(rows, CLICK, np.nan)


def test_a_task_counts_where_a_column_has_the_values_of_its_labels() -> None:
    label = known_where(TAB != "0")
    found = space("tab", TAB, label)
    assert found is not None
    assert sorted(found["tab"]) == ["1", "4"]
    assert space("tab", TAB, CLICK) is None
    assert space("tab", TAB, known_where((TAB != "0") & (RNG.random(N) < 0.99))) is None
    assert space("tab", TAB, np.where(np.arange(N) == np.argmax(TAB == "0"), CLICK, label)) is None
    some = np.where(np.arange(N) % 9 == 0, None, TAB)
    assert space("tab", some, np.where(some == None, CLICK, label)) is None  # noqa: E711
    assert space("user_id", RNG.integers(0, 900, N), label) is None


def test_a_task_counts_from_a_number_on() -> None:
    assert space("duration", VIDEO, known_where(VIDEO >= 18)) == {"duration": {"first": VIDEO[VIDEO >= 18].min()}}
    whole = (VIDEO * 1000).astype(int)
    assert space("duration_ms", whole, known_where(whole <= 18_000)) == {
        "duration_ms": {"last": int(whole[whole <= 18_000].max())}
    }
    assert space("duration", VIDEO, known_where((VIDEO > 9) & (VIDEO < 30))) is None


@pytest.mark.parametrize("name", ["tab", "page_id", "siteName", "scene", "country"])
def test_a_scenario(name: str) -> None:
    why = find_scenario(column(name, TAB), {"click": known(CLICK)})
    assert why is not None
    assert "3 of its 3 values" in why


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("country_self", TAB),
        ("country_of_birth", TAB),
        ("gender", TAB),
        ("tab", ["1"] * N),
        ("tab", RNG.integers(0, 50, N)),
        ("tab", np.where(np.arange(N) < 10, "0", "1")),
        ("tab", np.where(CLICK == 1, "0", "1")),
    ],
)
def test_no_scenario(name: str, values) -> None:
    assert find_scenario(column(name, values), {"click": known(CLICK)}) is None


@pytest.mark.parametrize(
    ("name", "values", "fits"),
    [
        ("watch_time", WATCHED, True),
        ("spend", np.where(BUY == 1, RNG.lognormal(3, 1, N).round(2), 0), True),
        ("rating", RNG.integers(1, 6, N), True),
        ("dwell", np.where(CLICK == 1, 1, 0), False),
        ("dwell", RNG.normal(10, 1, N), False),
        ("delta", RNG.lognormal(3, 1, N) - 5, False),
        ("bought_ts", 1_700_000_000 + RNG.integers(0, 10**6, N), False),
        ("order_id", RNG.lognormal(9, 2, N).astype(int), False),
        ("paid_in", TAB, False),
        ("refund_reason", [f"reason {at % 40}" for at in range(N)], False),
    ],
)
def test_what_can_be_predicted_as_a_number(name: str, values, fits: bool) -> None:
    assert is_amount(column(name, values)) == fits


def test_the_parent_is_the_rarest_event_without_which_there_is_nothing() -> None:
    labels = {"click": known(CLICK), "buy": known(BUY), "stay": known(VIDEO, binary=False)}
    spend = np.where(BUY == 1, VIDEO, 0)
    assert find_parent(spend, labels) == "buy"
    assert find_parent(np.where(BUY == 1, VIDEO, np.nan), labels) == "buy"
    assert find_parent(WATCHED, labels) == "click"
    assert find_parent(np.where(np.arange(N) == np.argmin(CLICK), 1, WATCHED), labels) is None
    assert find_parent(VIDEO, labels) is None
    assert find_parent(WATCHED * 0, labels) is None


def test_an_input_that_is_missing_with_the_label_may_have_been_recorded_with_it() -> None:
    labels = {"click": known(known_where(TAB != "0"))}
    values = {"day": TAB, "second": np.where(TAB == "0", None, RNG.choice(["yes", "no"], N))}
    counted = {name: column(name, of) for name, of in values.items()}
    drafts = [
        ColumnDraft(name, "input", "string", len(of.counts), of.missing_rate, (), find_kind(of))
        for name, of in counted.items()
    ]
    (found,) = proposals(counted.__getitem__, drafts, labels, Wish(), N, repeated=0)
    assert list(found.keys["where"]) == ["day"]
    assert '"second" is missing in exactly the rows without the label.' in found.why
    assert "The same" not in found.why


def test_a_label_that_implies_another_is_proposed_as_its_child() -> None:
    labels = {"poor": known(1 - CLICK), "buy": known(BUY), "click": known(CLICK)}
    wish, nothing = Wish(), ()
    (found,) = proposals(column, nothing, labels, wish, N, repeated=0)
    assert (found.at, found.keys) == ("tasks.buy", {"parent": "click"})
    assert not list(proposals(column, nothing, {"click": known(CLICK), "again": known(CLICK)}, wish, N, repeated=0))
    labels["buy"] = known(np.where(np.arange(N) == np.argmin(CLICK), 1, BUY))
    assert not list(proposals(column, nothing, labels, wish, N, repeated=0))


def test_a_limit_is_hardly_exceeded_and_often_reached() -> None:
    assert limits(WATCHED, column("duration", VIDEO))
    assert limits(np.where(RNG.random(N) < 0.002, WATCHED + 9, WATCHED), column("duration", VIDEO))
    assert not limits(WATCHED, column("duration", VIDEO + 0.05))
    assert not limits(WATCHED * 1.5, column("duration", VIDEO))
    assert not limits(WATCHED, column("duration", RNG.permutation(VIDEO)))
    changes = RNG.choice([0, 1, 2, 5], N, p=[0.8, 0.16, 0.03, 0.01]).astype(float)
    assert not limits(changes, column("days_before", RNG.geometric(0.02, N)))
    assert not limits(WATCHED, column("budget", np.full(N, 1000.0)))


@pytest.mark.parametrize(("values", "fits"), [([1, 10], True), ([0, 1, 2], True), ([-1, 1], False)])
def test_a_weight_may_have_few_values(values: list[int], fits: bool) -> None:
    assert (find_kind(column("sample_weight", RNG.choice(values, N))).why == DESIGN) == fits


def test_a_weight_that_stays_an_input_is_proposed_too() -> None:
    counted = {name: column(name, RNG.uniform(1, 90, N).round(1)) for name in ("weight", "item_weight")}
    drafts = [ColumnDraft(name, "input", "double", N, 0, (), find_kind(of)) for name, of in counted.items()]
    (found,) = proposals(counted.__getitem__, drafts, {"click": known(CLICK)}, Wish(), N, repeated=0)
    assert found.keys == {"weight": "weight"}
    assert "delete that in [columns]" in found.why


def test_the_score_that_tells_most_is_proposed() -> None:
    scores = {"page_score": RNG.random(N), "relevance": CLICK + RNG.random(N)}
    counted = {name: column(name, values) for name, values in scores.items()}
    drafts = [ColumnDraft(name, "input", "double", N, 0, (), find_kind(of)) for name, of in counted.items()]
    (found,) = proposals(counted.__getitem__, drafts, {"click": known(CLICK)}, Wish(), N, repeated=0)
    assert found.keys == {"logged": ["relevance"]}
    assert found.why.endswith("AUC 1.00 of 'click'. The same may hold for \"page_score\".")


def units(group: str | None, **values) -> list[dict]:
    """What is proposed as units of these columns."""
    counted = {name: column(name, of) for name, of in values.items()}
    drafts = [ColumnDraft(name, "input", "", len(of.counts), 0, (), find_kind(of)) for name, of in counted.items()]
    found = proposals(counted.__getitem__, drafts, {"click": known(CLICK)}, Wish(group=group), N, repeated=0)
    return [dict(each.keys) for each in found if "units" in each.keys]


def test_the_coarsest_id_of_somebody_that_repeats_is_proposed_as_units() -> None:
    request = np.arange(N) // 4
    user, household = request % 60, request % 20
    ids = {"request_id": request, "userId": user, "household": household, "item_id": RNG.integers(0, 12, N)}
    assert units("request_id", **ids) == units(None, **ids) == [{"units": "household"}]
    assert units("userId", **ids) == [{"units": "household"}]
    assert units(None, item_id=ids["item_id"], user_type=user, new_user=user % 2) == []
    assert units("request_id", request_id=request, user_id=np.where(np.arange(N) == 1, 99, user)) == []
    assert units("request_id", request_id=request, user_id=request) == []
    assert units(None, user_id=np.arange(N)) == []
