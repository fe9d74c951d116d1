"""How a log's columns are read, what does not fit in them, and hostile tables: one sentence
each.
"""

import re
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import logit

import bench
from bench.core.errors import UserError
from bench.core.rows import TEST
from bench.ledger.ledger import ALL


def notes_of(table, asked, **extra):
    return " ".join(bench.decide(table, **(asked | extra)).found.notes)


def refusal_of(table, asked, **extra):
    with pytest.raises(UserError) as error:
        bench.decide(table, **(asked | extra))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    return str(error.value)


def odd(table, column, value, row=7):
    """A table with one odd value."""
    table = table.astype({column: float})
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("column", "value", "wanted"),
    [
        ("p_click", -0.5, "expected probabilities in 'p_click', found -0.5 in row 7 of the table"),
        (
            "p_click",
            1.0001,
            "expected probabilities in 'p_click', found 1.0001 in row 7 of the table",
        ),
        ("click", 2, "expected 0 or 1 in the label 'click', found 2 in row 7 of the table"),
        ("buy", -1, "expected labels of at least 0 in 'buy', found -1 in row 7 of the table"),
    ],
)
def test_one_odd_value_is_refused_with_its_row_and_changes_no_column(
    log, asked, column, value, wanted
):
    table = odd(log(2_000), column, value)
    assert refusal_of(table, asked).startswith(wanted)
    shuffled = table.iloc[::-1].reset_index(drop=True)
    assert f"in row {1_999 - 7:,} of the table" in refusal_of(shuffled, asked)


def test_a_row_that_is_named_counts_rows_that_were_left_out(log, asked):
    table = odd(log(2_000), "p_click", -0.5, row=9)
    table.loc[:4, "q_buy"] = np.nan
    assert "found -0.5 in row 9 of the table" in refusal_of(table, asked)


def test_a_csv_files_line_is_named(log, asked, tmp_path):
    odd(log(2_000), "p_click", -0.5).to_csv(tmp_path / "log.csv", index=False)
    assert "found -0.5 in line 9 of" in refusal_of(str(tmp_path / "log.csv"), asked)


def test_what_most_values_say_is_taken_and_an_option_says_it_instead(log, asked):
    table = log(2_000)
    odds = table.assign(p_click=logit(table["p_click"]))
    assert re.search(
        r"'p_click' is taken as log odds: [\d,]+ of 2,000 values are below 0", notes_of(odds, asked)
    )
    order = table.assign(p_click=10 + 100 * table["p_click"])
    assert "'p_click' is taken as an order, as it is no probability" in notes_of(order, asked)
    changed = odd(table, "p_click", -0.5)
    by_order = bench.decide(changed, **asked, kinds={"p_click": "order"}).found
    assert by_order.decision.verdict.kind in ("model", "weights", "keep", "unknown")
    counts = odd(table, "click", 2)
    by_value = bench.decide(counts, **(asked | {"parents": {}}), kinds={"click": "value"}).found
    assert by_value.rows[TEST].kinds[0] == "regression"
    assert "kinds.click: expected binary and value for a label" in refusal_of(
        table, asked, kinds={"click": "order"}
    )


def test_an_amount_changes_neither_how_predictions_are_read_nor_their_calibration(log, asked):
    table = log(6_000).assign(price=lambda rows: np.random.default_rng(0).integers(1, 9, len(rows)))
    plain = bench.decide(table, **asked).found
    with_amount = bench.decide(table, **asked, amounts={"buy": "price"}).found
    assert [note for note in plain.notes if "is read to predict" in note] == [
        note for note in with_amount.notes if "is read to predict" in note
    ]
    for first, second in zip(plain.calibration, with_amount.calibration, strict=True):
        assert second.pcoc == pytest.approx(first.pcoc)
        assert second.auc == pytest.approx(first.auc)


def test_a_score_that_leaves_out_the_amount_is_told_with_the_formula_that_has_it(log, asked):
    table = log(6_000).assign(price=lambda rows: np.random.default_rng(0).integers(1, 9, len(rows)))
    notes = notes_of(table, asked, amounts={"buy": "price"}, weights="p_click + 40 p_click p_buy")
    assert "does not have the amount 'price' in it" in notes
    assert '--weights "p_click + 40 p_click price p_buy"' in notes
    score = table["p_click"] + 40 * table["p_click"] * table["p_buy"]
    assert "does not have the amount" in notes_of(
        table.assign(s=score), asked, amounts={"buy": "price"}, score="s"
    )
    score = table["p_click"] + 40 * table["p_click"] * table["p_buy"] * table["price"]
    assert "the amount 'price'" not in notes_of(
        table.assign(s=score), asked, amounts={"buy": "price"}, score="s"
    )


def test_swapped_columns_and_parents_that_labels_contradict_are_told(log, asked):
    table = log(20_000, error=0.3, candidate_error=0.3)
    swapped = asked | {"parents": {}, "models": {"today": ["q_buy", "q_click"]}}
    assert "are the columns of model 'today' swapped?" in notes_of(table, swapped)
    assert "expected click only where buy happens" in refusal_of(
        table, asked | {"parents": {"click": "buy"}}
    )
    assert "say --parent buy=click" in notes_of(table, asked | {"parents": {}})


@pytest.mark.slow
def test_ordinary_logs_give_no_such_doubts(log, asked):
    doubts = re.compile(
        "swapped|reversed|wrong way|say --parent|is it a probability|does not have the amount"
    )
    for seed in range(20):
        table = log(1_500, seed=seed, error=0.5 + 0.1 * seed, candidate_error=0.5 + 0.05 * seed)
        assert not doubts.search(notes_of(table, asked)), seed


def test_one_label_beside_a_duration(log, asked, rng):
    table = log(6_000)
    seconds = np.round(rng.gamma(2.0, 20.0, len(table)) * (0.5 + table["q_click"]), 1)
    guess = 40 * (0.5 + table["p_click"])
    table = table.assign(
        watch_seconds=seconds, p_watch=guess, q_watch=40 * (0.5 + table["q_click"])
    )
    result = bench.decide(
        table,
        labels=["click", "watch_seconds"],
        units="user",
        unseen=True,
        models={"today": ["p_click", "p_watch"], "new": ["q_click", "q_watch"]},
    ).found
    assert result.rows[TEST].kinds == ("binary", "regression")
    assert result.decision.serving.served.names == ("click.recall@10%", "watch_seconds.value@10%")
    quality = {fit.task: fit for fit in result.calibration if fit.model == "new"}
    assert quality["watch_seconds"].pcoc == pytest.approx(1.0, abs=0.1)


def hostile(table):
    """By name a table that is wrong in one way."""
    text = table.astype({"p_click": object})
    text.loc[3, "p_click"] = "much"
    twice = table.copy()
    twice.columns = ["p_click" if name == "q_click" else name for name in table.columns]
    levels = table.copy()
    levels.columns = pd.MultiIndex.from_product([["a"], table.columns])
    return {
        "a text among numbers": text,
        "a column twice": twice,
        "no rows": table.iloc[:0],
        "one row": table.iloc[:1],
        "all missing": table.assign(p_click=np.nan),
        "lists": table.assign(p_click=[[0.1]] * len(table)),
        "times as labels": table.assign(click=pd.Timestamp("2026-01-01")),
        "texts as labels": table.assign(click=table["click"].map({0: "no", 1: "yes"})),
        "a constant": table.assign(p_click=0.5),
        "infinity": odd(table, "p_click", np.inf),
        "columns of two levels": levels,
        "no table": {"p_click": [1]},
        "one unit": table.assign(user=1),
        "objects": table.assign(p_click=[object()] * len(table)),
        "complex numbers": table.assign(p_click=table["p_click"] + 1j),
    }


@pytest.mark.parametrize(
    "name", hostile(pd.DataFrame({"p_click": [0.1] * 9, "q_click": 0.2, "click": 0}))
)
def test_a_hostile_table_ends_in_one_sentence(log, asked, name):
    assert refusal_of(hostile(log(600))[name], asked)


def test_one_column_for_two_tasks_is_refused_with_what_works(log, asked):
    sentence = refusal_of(log(600), asked, models={"today": ["p_click", "p_click"]})
    assert "one score of all labels is --score p_click" in sentence
    assert "expected 2 columns" in refusal_of(log(600), asked, models={"today": ["p_click"]})


def test_a_large_number_is_no_infinity(log, asked):
    sentence = refusal_of(odd(log(600), "p_click", 1e308), asked)
    assert "infinity" not in sentence
    assert "1e+308" in sentence


@pytest.mark.parametrize("kind", ["category", "Float64", "arrow", "decimal"])
def test_tables_of_other_types_are_read_alike(log, asked, kind):
    table = log(2_000)
    plain = bench.decide(table, **asked).found
    if kind == "arrow":
        variant = pa.Table.from_pandas(table)
    elif kind == "category":
        variant = table.assign(
            country=table["country"].astype("category"), user=table["user"].astype("category")
        )
    elif kind == "decimal":
        variant = table.assign(click=[Decimal(int(label)) for label in table["click"]])
    else:
        variant = table.convert_dtypes()
    assert bench.decide(variant, **asked).decision.verdict == plain.decision.verdict


FILES = {
    "latin-1": "click,buy,p_click,p_buy,q_click,q_buy,user,pré\n0,0,.1,.1,.1,.1,1,é\n".encode(
        "latin-1"
    ),
    "empty": b"",
    "a header alone": b"click,buy,p_click,p_buy,q_click,q_buy,user\n",
    "a text": b"click,buy,p_click,p_buy,q_click,q_buy,user\n0,0,.1,.1,.1,.1,1\n1,0,much,.1,.1,.1,1\n",
    "a short line": b"click,buy,p_click,p_buy,q_click,q_buy,user\n0,0,.1\n",
    "a column twice": b"click,buy,p_click,p_click,q_click,q_buy,user,p_buy\n0,0,.1,.1,.1,.1,1,1\n",
    "zeros": b"\0" * 100,
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_ends_in_one_sentence_that_names_it(asked, tmp_path, name):
    file = tmp_path / "log.csv"
    file.write_bytes(FILES[name])
    assert str(file) in refusal_of(str(file), asked)


@pytest.mark.slow
def test_the_command_line_ends_with_code_2(asked, tmp_path):
    (tmp_path / "log.csv").write_bytes(FILES["latin-1"])
    words = [
        "decide",
        "log.csv",
        "--label",
        "click",
        "--label",
        "buy",
        "--model",
        "today=p_click,p_buy",
        "--unseen",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "UTF-8" in done.stderr


def test_ids_that_are_large_whole_numbers_are_told_apart_and_fill_no_memory(log, asked):
    table = log(2_000)
    table["author"] = np.arange(len(table)) % 7
    table["place"] = np.where(table["country"] == "US", 1, 2)
    large = table.assign(author=2**31 - 8 + table["author"], place=2**30 + table["place"])
    options = {
        "segments": ["place"],
        "items": {"author": "author"},
        "outcomes": ["author.distinct@1%"],
    }
    plain, shifted = (bench.decide(frame, **asked, **options).found for frame in (table, large))
    assert set(shifted.rows[TEST].segments["place"]) == {str(2**30 + 1), str(2**30 + 2)}
    np.testing.assert_array_equal(shifted.rows[TEST].codes, plain.rows[TEST].codes)
    np.testing.assert_array_equal(
        *(result.decision.serving.served.cells[TEST, ALL] for result in (plain, shifted))
    )
    names = list(plain.decision.serving.served.names)
    values = shifted.decision.serving.served.at(TEST)[:, names.index("author.distinct@1%")]
    assert values.max() > 0.3  # single precision would make one author of them
