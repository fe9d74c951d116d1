import numpy as np
import pyarrow as pa
import pytest
from known_labels import known

from bench.data.inspection.column import count_column
from bench.data.inspection.roles import find_kind, find_rate

RNG = np.random.default_rng(0)
WORDS = np.array(["good", "bad", "ok", "quick", "brown", "fox", "dog", "cat", "tree", "sun", "moon"])


def kind(name, values):
    option = find_kind(count_column(name, pa.array(values)), {}).option
    return None if option is None else dict(option)


def texts(values):
    return [str(value) for value in values]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("country", texts(RNG.choice(["DE", "FR", "US"], 200))),
        ("item_id", texts(RNG.integers(0, 60, 200))),
        ("coupon", ["yes", None] * 30),
        ("zip", [f"{value:05d}" for value in RNG.integers(0, 60, 200)]),
        ("PUMA", RNG.integers(10, 90, 200) * 100),
        ("city", texts(RNG.choice(["Paris, TX", "New York, NY", "Albany, NY", "Austin, TX"], 200))),
        ("bin", texts(RNG.choice(["[0,10)", "[10,20)", "[20,30)", "[30,40)"], 200))),
    ],
)
def test_categories(name, values):
    assert kind(name, values) == {"kind": "categorical"}


@pytest.mark.parametrize(
    ("name", "values"),
    [("score", RNG.normal(size=500)), ("age", RNG.integers(18, 90, 500)), ("item_price", RNG.integers(1, 90, 500))],
)
def test_quantities(name, values):
    found = kind(name, values)
    assert found["kind"] == "numeric"
    assert "log1p" not in found


def tried(name, values, label):
    """The finding where a label is there to try encodings on."""
    return find_kind(count_column(name, pa.array(values)), {"y": known(label)})


def happens(chance):
    return (np.random.default_rng(1).random(len(chance)) < chance).astype(float)


MANY = 20_000


def test_whole_numbers_whose_neighbours_differ_are_codes():
    rng = np.random.default_rng(2)  # folds are drawn by 0
    values, chance = rng.integers(0, 400, MANY), rng.random(400)
    assert tried("broker", values, happens(chance[values])).option == {"kind": "categorical"}
    for name, of_value in (("broker", np.arange(400) / 400), ("broker_count", chance)):
        option = tried(name, values, happens(of_value[values])).option
        assert option["kind"] == "numeric"


@pytest.mark.parametrize("separator", ["|", ";", ","])
def test_lists(separator):
    values = [separator.join(sorted(set(RNG.choice(WORDS, RNG.integers(0, 4))))) for _ in range(400)]
    assert kind("tags", values) == {"kind": "multi-valued", "separator": separator, "max_length": 3}


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("c", ["x"] * 50, "constant"),
        ("hhnum", np.repeat(RNG.permutation(300), RNG.integers(1, 5, 300)), "id of a household or a visit"),
        ("price", [f"{n},{n % 10}" for n in RNG.integers(0, 50, 200)], "1.5, not 1,5"),
        ("instance weight", RNG.uniform(100, 3000, 500).round(2), "weight of the sample's design"),
        ("row", np.cumsum(RNG.integers(1, 4, 100)), "every row"),
        ("note", [" ".join(RNG.choice(WORDS, 8)) for _ in range(100)], "free text"),
        ("ts", 1_700_000_000 + RNG.integers(0, 10**6, 100), "seconds since 1970"),
        ("revenue", [f"{n:,}" for n in RNG.integers(0, 5000, 200)], "1234, not 1,234"),
        ("ids", [{"a": 1}, {"a": 2}] * 20, "type struct"),
    ],
)
def test_left_out(name, values, reason):
    found = find_kind(count_column(name, pa.array(values)), {})
    assert not found.makes_input
    assert reason in found.why


N = 3000
SPLIT = (np.arange(N) % 3).astype(np.int8)


def rate_of(values, label):
    return find_rate(count_column("id", pa.array(values)), {"y": known(label)}, SPLIT)


def test_target_rates_are_taken_where_ids_repeat_and_tell():
    ids, chance = RNG.integers(0, 150, N), RNG.random(150)
    label = (RNG.random(N) < chance[ids]).astype(float)
    taken = rate_of([f"u{n}" for n in ids], label)
    assert "of validation's rows have a value that 5 rows of train or more have" in (taken or "")
    assert rate_of([f"u{n}" for n in ids], (RNG.random(N) < 0.5).astype(float)) is None
    assert rate_of([f"u{n}" for n in np.arange(N) // 3], label) is None
    assert rate_of([f"u{n}" for n in ids % 100], label) is None
