from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from known_labels import known

from bench.data.inspection.column import count_column
from bench.data.inspection.kinds import find_kind, find_new, find_rate
from bench.data.inspection.telling import halves_of
from bench.data.splits import CONFIRM, TEST, TRAIN

RNG = np.random.default_rng(0)
WORDS = np.array(["good", "bad", "ok", "quick", "brown", "fox", "dog", "cat", "tree", "sun", "moon"])


def kind(name: str, values) -> dict | None:
    option = find_kind(count_column(name, pa.array(values))).option
    return None if option is None else dict(option)


def texts(values) -> list[str]:
    return [str(value) for value in values]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("country", texts(RNG.choice(["DE", "FR", "US"], 200))),
        ("item_id", texts(RNG.integers(0, 60, 200))),
        ("itemid", RNG.integers(0, 60, 200)),
        ("rooms", RNG.integers(0, 9, 200)),
        ("premium", RNG.random(200) < 0.5),
        ("coupon", ["yes", None] * 30),
        ("zip", [f"{value:05d}" for value in RNG.integers(0, 60, 200)]),
        ("region", RNG.integers(0, 60, 200)),
        ("PUMA", RNG.integers(10, 90, 200) * 100),
        ("size_code", RNG.integers(0, 60, 200)),
        ("serial", 10**9 + RNG.integers(0, 60, 2000) * 1000),
        ("city", texts(RNG.choice(["Paris, TX", "New York, NY", "Albany, NY", "Austin, TX"], 200))),
        ("place", [f"town {a}, county {b}" for a, b in RNG.integers(0, 9, (400, 2))]),
        ("bin", texts(RNG.choice(["[0,10)", "[10,20)", "[20,30)", "[30,40)"], 200))),
        ("job", texts(RNG.choice(["Not in universe", "Not employed", "in universe"], 200))),
    ],
)
def test_categories(name: str, values) -> None:
    assert kind(name, values) == {"kind": "categorical"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("score", RNG.normal(size=500)),
        ("score", texts(RNG.normal(size=500).round(3))),
        ("age", RNG.integers(18, 90, 500)),
        ("num_rooms", RNG.integers(0, 20, 500)),
        ("item_price", RNG.integers(1, 90, 500)),
        ("num_user", RNG.integers(1, 90, 500)),
    ],
)
def test_quantities(name: str, values) -> None:
    found = kind(name, values)
    assert found is not None
    assert found["kind"] == "numeric"
    assert "log1p" not in found


def test_a_heavy_tail_is_logged() -> None:
    assert kind("price", np.exp(RNG.normal(3, 1.5, 1000))) == {"kind": "numeric", "log1p": True}
    assert kind("half", RNG.integers(0, 10, 1000) / 2) == {"kind": "numeric"}


def tried(name: str, values, *labels: np.ndarray, split: np.ndarray | None = None):
    """The finding where labels are there to try encodings on."""
    column = count_column(name, pa.array(values))
    where = np.arange(len(values)) % 5 // 4 if split is None else split
    halves = halves_of(where.astype(np.int8), {f"y{at}": known(label) for at, label in enumerate(labels)})
    return find_kind(column, halves)


def happens(chance: np.ndarray) -> np.ndarray:
    return (np.random.default_rng(1).random(len(chance)) < chance).astype(float)


MANY = 20_000


def test_a_decimal_comma_makes_no_category() -> None:
    found = find_kind(count_column("price", pa.array(["1,5", "12,25", "3", "0,125"] * 10)))
    assert found.option is None
    assert "write 1.5, not 1,5" in found.why


def test_whole_numbers_whose_neighbours_differ_are_codes() -> None:
    rng = np.random.default_rng(0)
    values, chance = rng.integers(0, 400, MANY), rng.random(400)
    assert tried("broker", values, happens(chance[values])).option == {"kind": "categorical"}
    for name, of_value in (("broker", np.arange(400) / 400), ("broker_count", chance)):
        option = tried(name, values, happens(of_value[values])).option
        assert option is not None
        assert option["kind"] == "numeric"


def test_a_long_tail_is_an_amounts_and_what_ranges_tell_is_no_codes() -> None:
    rng, rows = np.random.default_rng(0), 2000
    label = (rng.random(rows) < 0.1).astype(float)
    for _ in range(30):
        amount = np.where(rng.random(rows) < 0.3, np.exp(rng.normal(8, 1, rows)).round(-1), 0).astype(int)
        found = tried("OIP", amount, label)
        assert found.option == {"kind": "numeric", "log1p": True}
    assert kind("rooms", rng.integers(0, 90, 900)) == {"kind": "numeric"}


def test_blocks_of_a_user_say_how_the_file_is_sorted() -> None:
    assert kind("user_id", texts(np.repeat(np.arange(300), 3))) == {"kind": "categorical"}


def test_few_labels_make_no_quantity_a_code() -> None:
    rng = np.random.default_rng(0)
    found = [tried("rooms", rng.integers(0, 90, 1000), (rng.random(1000) < 0.2).astype(float)) for _ in range(20)]
    assert sum(one.option != {"kind": "numeric"} for one in found) <= 1


@pytest.mark.parametrize(("low", "said"), [(-1, True), (-999, True), (-7, False)])
@pytest.mark.parametrize("shift", [0.25, 20])
def test_a_number_for_missing_is_said(low: float, said: bool, shift: float) -> None:
    numbers = np.append(RNG.integers(0, 90, 400) + shift, [low] * 9)
    why = find_kind(count_column("x", pa.array(numbers))).why
    assert (f"{low} may stand for a missing value" in why) == said


@pytest.mark.parametrize("separator", ["|", ";", ","])
def test_lists(separator: str) -> None:
    values = [separator.join(sorted(set(RNG.choice(WORDS, RNG.integers(0, 4))))) for _ in range(400)]
    assert kind("tags", values) == {"kind": "multi-valued", "separator": separator, "max_length": 3}


def test_lists_of_codes_between_blanks() -> None:
    values = [" ".join(texts(RNG.integers(0, 30, RNG.integers(1, 5)))) for _ in range(400)]
    assert kind("history", values) == {"kind": "multi-valued", "separator": " ", "max_length": 4}


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("c", ["x"] * 50, "constant"),
        ("hhnum", np.repeat(RNG.permutation(300), RNG.integers(1, 5, 300)), "id of a household or a visit"),
        ("instance weight", RNG.uniform(100, 3000, 500).round(2), "weight of the sample's design"),
        ("hh_id", texts(RNG.permutation(np.repeat(np.arange(300), 3))), "id of a household or a visit"),
        ("member", [f"m{n:04d}" for n in np.repeat(np.arange(300), 3)], "id of a household or a visit"),
        ("MARSUPWT", RNG.integers(100, 9000, 500), "weight of the sample's design"),
        ("WTMEC2YR", RNG.uniform(100, 3000, 500).round(2), "weight of the sample's design"),
        ("fnlwgt", RNG.integers(10_000, 900_000, 500), "weight of the sample's design"),
        ("c", [None] * 50, "always missing"),
        ("row", np.cumsum(RNG.integers(1, 4, 100)), "every row"),
        ("request", texts(f"r{i}" for i in range(100)), "every row"),
        ("note", [" ".join(RNG.choice(WORDS, 8)) for _ in range(100)], "free text"),
        ("ts", 1_700_000_000 + RNG.integers(0, 10**6, 100), "seconds since 1970"),
        ("time_ms", (1_700_000_000 + RNG.integers(0, 10**6, 100)) * 1000, "milliseconds since 1970"),
        ("seen", [f"2024-03-{i % 28 + 1:02d} 10:00:00" for i in range(100)], "point in time"),
        ("seen", [datetime.datetime(2024, 3, i % 28 + 1) for i in range(100)], "point in time"),
        ("day", [20240301 + i % 28 for i in range(100)], "a date"),
        ("revenue", [f"{n:,}" for n in RNG.integers(0, 5000, 200)], "1234, not 1,234"),
        ("ids", ["[1, 2]", "[2, 3]", "[3, 1]"] * 20, "brackets"),
        ("ids", [{"a": 1}, {"a": 2}] * 20, "type struct"),
    ],
)
def test_left_out(name: str, values, reason: str) -> None:
    found = find_kind(count_column(name, pa.array(values)))
    assert found.option is None
    assert reason in found.why


def test_an_hour_of_the_day_is_kept_and_a_point_in_time_says_what_can_be_derived() -> None:
    hour = find_kind(count_column("hourmin", pa.array(RNG.integers(0, 24, 200) * 100)))
    assert hour.option == {"kind": "categorical", "from": "hourmin", "derive": "hour_of_hhmm"}
    assert hour.name == "hourmin_hour"
    for scale, suffix in ((1, "s"), (1000, "ms")):
        stamps = (1_700_000_000 + RNG.integers(0, 10**6, 100)) * scale
        assert f'derive = "hour_of_unix_{suffix}"' in find_kind(count_column("ts", pa.array(stamps))).why


N = 3000
SPLIT = (np.arange(N) % 3).astype(np.int8)


def rate_of(values, label: np.ndarray):
    return find_rate(count_column("id", pa.array(values)), halves_of(SPLIT, {"y": known(label)}))


def test_target_rates_are_taken_where_ids_repeat_and_tell() -> None:
    ids, chance = RNG.integers(0, 150, N), RNG.random(150)
    label = (RNG.random(N) < chance[ids]).astype(float)
    taken = rate_of([f"u{n}" for n in ids], label)
    assert "of validation's rows have a value that 5 rows of train or more have" in (taken or "")
    assert rate_of([f"u{n}" for n in ids], (RNG.random(N) < 0.5).astype(float)) is None
    assert rate_of([f"u{n}" for n in np.arange(N) // 3], label) is None
    assert rate_of([f"u{n}" for n in ids % 100], label) is None


def test_a_month_that_train_never_saw_is_no_input() -> None:
    order = np.sort(np.where(SPLIT == CONFIRM, TEST, SPLIT)).astype(np.int8)
    month = count_column("month", pa.array(np.where(order == TEST, 12, 1 + np.arange(N) % 11)))
    found = find_new(month, order)
    assert found == "100% of test's rows have a value that train lacks, as a month or a request's id does"
    few = np.flatnonzero(order == TEST)[:-19]
    order[few] = TRAIN
    assert find_new(month, order) is None


def test_an_id_that_never_comes_again_is_no_input() -> None:
    column = count_column("query_id", pa.array(np.arange(N) // 5))
    found = find_new(column, np.sort(SPLIT))
    assert "100% of validation's rows have a value that train lacks" in (found or "")
    assert find_new(column, SPLIT) is None
