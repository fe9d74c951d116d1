"""One set of cells, and all that is read from it."""

import numpy as np
import pandas as pd
import pytest

from bench.core.objectives import Objective
from bench.results.effect import Effect
from bench.results.ledger import ALL, FACTS, PARTS, Ledger, as_cells, long_of

MEASURES = (Objective("click.auc", "maximize"), Objective("like.recall@10%", "maximize"))
SPLITS = ("valid", "confirm", "test")


@pytest.fixture
def ledger():
    """Three points; the second has no like on confirmation rows, the third nothing in the segment."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "point": ["7", "8@16", "trees"],
            "name": ["trial 7", "trial 8 stopped after 16 samples", "boosted trees"],
            "architecture": ["mmoe", "ple", "boosted trees"],
            "role": ["trial", "trial", "baseline"],
            "kind": None,
            "weights": [{"click": 0.8, "like": 0.2}, {}, None],
            "on_front": [True, False, False],
            "p_nondominated": [0.9, 0.2, np.nan],
            "params": [10, 20, 30],
        }
    )
    places = [*((split, ALL) for split in SPLITS), ("test", "country=US")]
    cells = {place: rng.random((3, 2, len(PARTS))) for place in places}
    cells["confirm", ALL][1, 1] = cells["test", "country=US"][2] = cells["valid", ALL][..., 1:] = np.nan
    return Ledger(MEASURES, table, cells, {"confirm": rng.random((9, 3, 2)), "test": rng.random((9, 3, 2))}, 0)


def test_the_long_table_has_a_row_for_each_known_cell(ledger):
    long = ledger.long
    assert list(long) == [*FACTS, "split", "slice", "measure", "basis", *PARTS]
    assert len(long) == 6 + 5 + 6 + 4
    assert not long.duplicated(["point", "split", "slice", "measure"]).any()
    rows, columns = ledger.table["point"].tolist(), list(ledger.names)
    for each in long.to_dict("records"):
        at = rows.index(each["point"]), columns.index(each["measure"])
        found = [ledger.at(each["split"], part, each["slice"])[at] for part in PARTS]
        np.testing.assert_array_equal([each[part] for part in PARTS], found)
        assert each["name"] == ledger.table["name"][at[0]]
        assert each["basis"] == ("search" if each["split"] == "valid" else "replicates")
    both = long_of({"heads": ledger, "served": ledger})
    assert both["front"].value_counts().to_dict() == {"heads": len(long), "served": len(long)}
    assert set(both["weights"]) == {"click 0.8, like 0.2", ""}


def test_the_wide_table_has_the_cells_of_all_rows_and_agrees_with_the_long_one(ledger):
    wide, long = ledger.wide, ledger.long.set_index(["point", "split", "slice", "measure"])
    assert not [name for name in wide if "country" in name]
    assert [name for name in wide if name.startswith("valid/")] == ["valid/click.auc", "valid/like.recall@10%"]
    pd.testing.assert_frame_equal(wide[list(ledger.table)], ledger.table)
    wide = wide.set_index("point")
    for measure in MEASURES:
        for split in SPLITS:
            for part, end in zip(PARTS, ("", *(f".{part}" for part in PARTS[1:])), strict=True):
                values = wide.get(f"{measure.key(split)}{end}", pd.Series(np.nan, wide.index))
                for point, value in values.items():
                    place = (point, split, ALL, measure.name)
                    np.testing.assert_equal(value, long.at[place, part] if place in long.index else np.nan)


def test_what_was_not_measured_is_unknown(ledger):
    assert ledger.slices("test") == ["country=US"]
    assert ledger.slices("confirm") == []
    assert np.isnan(ledger.at("confirm", slice="country=US")).all()
    seen = ledger.without("test")
    assert {split for split, _ in seen.cells} == {"valid", "confirm"}
    assert set(seen.draws) == {"confirm"}
    assert np.isnan(seen.at("test")).all()
    assert np.isnan(seen.gains(1)["click.auc"].value)
    assert isinstance(ledger.gains(1)["click.auc"], Effect)


def test_cells_have_the_middle_of_their_draws_and_none_without(ledger):
    values, draws = np.full((3, 2), 0.5), np.random.default_rng(0).random((20_000, 3, 2))
    cells = as_cells(values, draws, values, values, draws)
    np.testing.assert_allclose(cells[..., PARTS.index("low")], 0.05, atol=0.01)
    np.testing.assert_allclose(cells[..., PARTS.index("gain_high")], 0.95, atol=0.01)
    few = as_cells(values, draws[:0], values, values, draws[:0])
    assert np.isnan(few[..., PARTS.index("low")]).all()
    assert (few[..., PARTS.index("gain")] == 0.5).all()
