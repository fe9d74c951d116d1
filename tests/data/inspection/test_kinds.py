from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from known_labels import known

from bench.data.inspection.column import count_column
from bench.data.inspection.kinds import find_kind
from bench.data.inspection.trying import Others, Trial, halves_of

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
    return find_kind(column, Trial(column, halves, Others(halves)))


def happens(chance: np.ndarray) -> np.ndarray:
    return (np.random.default_rng(1).random(len(chance)) < chance).astype(float)


MANY = 20_000


def test_what_moves_with_time_is_said() -> None:
    week = np.arange(MANY) // 250
    told = tried("week", week, happens(0.2 + 0.6 * (week % 2)), split=(np.arange(MANY) > MANY * 0.8))
    assert told.option == {"kind": "numeric"}
    assert "of train's rows" in told.notes[-1]


def test_single_values_that_tell_more_than_ranges_are_codes_too() -> None:
    rng = np.random.default_rng(0)
    amount = rng.integers(1, 4000, MANY) / 100
    of_amount = rng.random(4000)
    found = tried("price", amount, happens(of_amount[(amount * 100).astype(int)]))
    assert found.codes == {"kind": "categorical", "from": "price"}
    assert "also as codes" in found.notes[-1]
    assert tried("price", amount, happens(amount / 50)).codes is None


def test_many_ranges_that_overfit_a_rare_label_make_no_codes() -> None:
    rng = np.random.default_rng(1)
    amounts = [rng.integers(0, 9000, MANY) / 100 for _ in range(12)]
    assert all(
        tried("price", amount, (rng.random(MANY) < 0.04 * amount / 90).astype(float)).codes is None
        for amount in amounts
    )


def test_few_texts_among_numbers_are_named() -> None:
    amount = texts(np.random.default_rng(0).integers(0, 900, 400) / 8)
    counted = count_column("price", pa.array([*amount, "unknown", "n.a."]))
    found = find_kind(counted)
    assert found.notes == (
        "400 of its 402 values are numbers; if 'unknown' and 'n.a.' means missing, add it to reader.missing",
    )
    assert find_kind(count_column("sku", pa.array([*amount, *WORDS]))).notes == ()


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
        assert not any("if they are codes" in note for note in found.notes)
    assert tried("rooms", rng.integers(0, 90, 20_000), happens(np.full(20_000, 0.5))).notes == ()
    assert kind("rooms", rng.integers(0, 90, 900)) == {"kind": "numeric"}
    assert find_kind(count_column("rooms", pa.array(rng.integers(0, 90, 900)))).notes[0].startswith("if they are codes")


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
    (note,) = [one for one in find_kind(count_column("x", pa.array(numbers))).notes if "stand for" in one] or [""]
    assert note.startswith(f"{low} may stand for a missing value") == said


def test_a_weight_that_tells_something_may_be_a_things() -> None:
    values = np.random.default_rng(0).uniform(1, 90, 2000).round(1)
    dull = happens(np.full(2000, 0.5))
    assert tried("weight", values, happens(values / 90)).option is not None
    assert tried("item_weight", values, dull).option is not None
    assert tried("weight", values, dull).option is None


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
        ("hh_id", texts(RNG.permutation(np.repeat(np.arange(300), 3))), "its name is that of a household's"),
        ("member", [f"m{n:04d}" for n in np.repeat(np.arange(300), 3)], "id of a household or a visit"),
        ("MARSUPWT", RNG.integers(100, 9000, 500), "weight of the sample's design"),
        ("WTMEC2YR", RNG.uniform(100, 3000, 500).round(2), "weight of the sample's design"),
        ("fnlwgt", RNG.integers(10_000, 900_000, 500), "weight of the sample's design"),
        ("c", [None] * 50, "always missing"),
        ("row", np.cumsum(RNG.integers(1, 4, 100)), "every row"),
        ("request", texts(f"r{i}" for i in range(100)), "every row"),
        ("note", [" ".join(RNG.choice(WORDS, 8)) for _ in range(100)], "words on average"),
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


def test_times_offer_what_can_be_derived() -> None:
    hour = find_kind(count_column("hourmin", pa.array(RNG.integers(0, 24, 200) * 100)))
    assert hour.option == {"kind": "categorical", "from": "hourmin", "derive": "hour_of_hhmm"}
    assert hour.name == "hourmin_hour"
    day = find_kind(count_column("day", pa.array([20240301 + i % 28 for i in range(100)])))
    assert day.offers["day_weekday"]["derive"] == "weekday_of_yyyymmdd"


@pytest.mark.parametrize(("scale", "suffix"), [(1, "s"), (1000, "ms")])
def test_a_point_in_time_offers_what_repeats(scale: int, suffix: str) -> None:
    stamps = (1_700_000_000 + RNG.integers(0, 10**6, 100)) * scale
    offers = find_kind(count_column("ts", pa.array(stamps))).offers
    assert {name: option["derive"] for name, option in offers.items()} == {
        "ts_hour": f"hour_of_unix_{suffix}",
        "ts_weekday": f"weekday_of_unix_{suffix}",
    }
