from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.data.values import as_numbers, canonical, texts_of

SPELLINGS: dict[str | None, list[object]] = {
    "1": [1, 1.0, "1", "1.0", " 1 ", "1.00", True],
    "0": [0, 0.0, -0.0, "0", "-0.0"],
    None: [None, "", "  ", float("nan"), "?", " ? "],
    **{text: [text] for text in ("1.5", "01", "1.0.0", "a.0", "1e3")},
}


@pytest.mark.parametrize(("value", "one"), [(value, one) for one, values in SPELLINGS.items() for value in values])
def test_one_category_has_one_spelling_and_missing_has_none(value, one):
    assert canonical(value, ("?",)) == one


@pytest.mark.parametrize("value", [-1, -1.0, "-1", "-1.0", " -1.00"])
@pytest.mark.parametrize("spelled", [False, True])
def test_a_marker_is_missing_in_each_spelling(value, spelled):
    assert canonical(value, ("-1",), spelled) is None
    assert np.isnan(as_numbers(pa.array([value]), ("-1",))).all()


def test_infinite_and_marked_numbers_are_missing():
    np.testing.assert_array_equal(
        as_numbers(pa.array(["1e999", "nan", "-inf", " ? ", "2"]), ("?",)), [*[np.nan] * 4, 2]
    )
    np.testing.assert_array_equal(as_numbers(pa.array([np.inf, 2.0])), [np.nan, 2])


def test_a_text_that_is_no_number_is_named():
    with pytest.raises(UserError, match="'age': expected a number, found 'old'"):
        as_numbers(pa.array(["old"]), name="age")
    with pytest.raises(UserError, match="expected numbers, found a column of type list"):
        as_numbers(pa.array([[1]]), name="age")


PIECES = ["00", "NA", *"a10.- \t\x1f\x85\u00a0\u2003\u3000é日٣?"]
TEXTS = st.one_of(st.none(), st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.text(max_size=4))
MISSING = st.sampled_from([(), ("?", "NA"), ("1",), ("é", "-")])


@given(st.lists(TEXTS, max_size=30), MISSING, st.sampled_from([pa.string(), pa.large_string()]), st.booleans())
def test_texts_become_canonical(texts, missing, kind, spelled):
    array = pa.array([*texts, "end"], kind)
    expected = [canonical(text, missing, spelled) for text in [*texts, "end"]]
    assert texts_of(array, missing, spelled).to_pylist() == expected
    assert texts_of(array.slice(1), missing, spelled).to_pylist() == expected[1:]


@pytest.mark.parametrize(
    "values",
    [
        [1, -3, None, 2**62],
        [True, False, None],
        [1.0, -2.0, None, 0.0, -0.0, 1e15],
        [1.5, 1.0, float("nan"), 1e300, -1e20, 5e-324],
        [Decimal("1.00"), Decimal("2.50"), None],
        [None, None],
    ],
)
@pytest.mark.parametrize("spelled", [False, True])
def test_other_types_become_canonical(values, spelled):
    for missing in ((), ("-3", "1")):
        expected = [canonical(value, missing, spelled) for value in values]
        assert texts_of(pa.array(values), missing, spelled).to_pylist() == expected
