"""One set of cells and all that is read from it: tables and JSON, of a frontier and of any
ledger.
"""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench.core.objectives import Objective
from bench.ledger.effect import Effect
from bench.ledger.heads import frontier
from bench.ledger.ledger import ALL, FACTS, PARTS, Ledger, as_cells, long_of


@pytest.fixture
def searched(trial, failed):
    """Six trials of a search: 1 and 3 are the front, 4 has no like AUC, 5 failed."""
    blind = trial(4, 0.99, float("nan"))
    return [
        trial(0, 0.70, 0.70),
        trial(1, 0.72, 0.80),
        trial(2, 0.71, 0.79),
        trial(3, 0.74, 0.75),
        blind,
        failed(5),
    ]


@pytest.fixture
def confirmed(searched, trial):
    """The same, where 2 and 3 were confirmed: 3 keeps its place, 2 comes out better than the search
    saw it.
    """
    two = trial(2, 0.71, 0.79, runs=(((0.75, 0.74), (0.73, 0.72)), ((0.77, 0.76), (0.75, 0.76))))
    three = trial(3, 0.74, 0.75, runs=(((0.72, 0.78), (0.70, 0.70)),), failed_runs=1)
    return [two if r.number == 2 else three if r.number == 3 else r for r in searched]


def test_order_of_records_does_not_matter(confirmed, objectives):
    shuffled = confirmed.copy()
    random.Random(0).shuffle(shuffled)
    first, second = frontier(confirmed, objectives), frontier(shuffled, objectives)
    pd.testing.assert_frame_equal(first.wide, second.wide)
    assert first.to_json() == second.to_json()


def test_what_trees_alone_tell_almost_fully_is_suspected(confirmed, objectives):
    """By trees only: networks hardly find a difference of two columns."""
    front = frontier(confirmed, objectives)

    def told(trees, network, metric="auc"):
        table = pd.DataFrame({"point": ["7", "8", "trees"], "role": ["trial", "trial", "baseline"]})
        cells = np.full((3, 2, len(PARTS)), np.nan)
        cells[..., 0] = np.transpose([[network, np.nan, trees], [0.7, 0.6, 0.72]])
        measures = (Objective(f"click.{metric}", "maximize"), front.measures[1])
        return replace(
            front, table=table, cells={("confirm", ALL): cells}, measures=measures
        ).suspicion

    assert all("click" in told(0.9961, 0.7, metric) for metric in ("auc", "gauc"))
    assert told(0.985, 0.975) == told(0.95, 0.7) == front.suspicion == ""


MEASURES = (Objective("click.auc", "maximize"), Objective("like.recall@10%", "maximize"))
SPLITS = ("valid", "confirm", "test")


@pytest.fixture
def ledger():
    """Three points; the second has no like on confirmation rows, the third nothing in the
    segment.
    """
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
    cells["confirm", ALL][1, 1] = cells["test", "country=US"][2] = cells["valid", ALL][..., 1:] = (
        np.nan
    )
    return Ledger(
        MEASURES, table, cells, {"confirm": rng.random((9, 3, 2)), "test": rng.random((9, 3, 2))}, 0
    )


def test_the_long_table_has_a_row_for_each_known_cell(ledger):
    long = ledger.long
    assert list(long) == [*FACTS, "split", "slice", "measure", "basis", *PARTS]
    assert len(long) == 6 + 5 + 6 + 4
    assert not long.duplicated(["point", "split", "slice", "measure"]).any()
    rows, columns = ledger.table["point"].tolist(), list(ledger.names)
    for row in long.to_dict("records"):
        place = rows.index(row["point"]), columns.index(row["measure"])
        cells = [ledger.at(row["split"], part, row["slice"])[place] for part in PARTS]
        np.testing.assert_array_equal([row[part] for part in PARTS], cells)
        assert row["name"] == ledger.table["name"][place[0]]
        assert row["basis"] == ("search" if row["split"] == "valid" else "replicates")
    combined = long_of({"heads": ledger, "served": ledger})
    assert combined["front"].value_counts().to_dict() == {"heads": len(long), "served": len(long)}
    assert set(combined["weights"]) == {"click 0.8, like 0.2", ""}


def test_the_wide_table_has_the_cells_of_all_rows_and_agrees_with_the_long_one(ledger):
    wide, long = ledger.wide, ledger.long.set_index(["point", "split", "slice", "measure"])
    assert not [name for name in wide if "country" in name]
    assert [name for name in wide if name.startswith("valid/")] == [
        "valid/click.auc",
        "valid/like.recall@10%",
    ]
    pd.testing.assert_frame_equal(wide[list(ledger.table)], ledger.table)
    wide = wide.set_index("point")
    for measure in MEASURES:
        for split in SPLITS:
            for part, end in zip(PARTS, ("", *(f".{part}" for part in PARTS[1:])), strict=True):
                values = wide.get(f"{measure.key(split)}{end}", pd.Series(np.nan, wide.index))
                for point, value in values.items():
                    place = (point, split, ALL, measure.name)
                    np.testing.assert_equal(
                        value, long.at[place, part] if place in long.index else np.nan
                    )


def test_what_was_not_measured_is_unknown(ledger):
    assert ledger.slices("test") == ["country=US"]
    assert ledger.slices("confirm") == []
    assert np.isnan(ledger.at("confirm", slice="country=US")).all()
    seen = ledger.without("test")
    assert {split for split, _ in seen.cells} == {"valid", "confirm"}
    assert set(seen.draws) == {"confirm"}
    assert np.isnan(seen.at("test")).all()
    assert np.isnan(seen.effects(1)["click.auc"].value)
    assert isinstance(ledger.effects(1)["click.auc"], Effect)


def test_cells_have_the_middle_of_their_draws_and_none_without(ledger):
    values, draws = np.full((3, 2), 0.5), np.random.default_rng(0).random((20_000, 3, 2))
    cells = as_cells(values, draws, values, values, draws)
    np.testing.assert_allclose(cells[..., PARTS.index("low")], 0.05, atol=0.01)
    np.testing.assert_allclose(cells[..., PARTS.index("gain_high")], 0.95, atol=0.01)
    few = as_cells(values, draws[:0], values, values, draws[:0])
    assert np.isnan(few[..., PARTS.index("low")]).all()
    assert (few[..., PARTS.index("gain")] == 0.5).all()
