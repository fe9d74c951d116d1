"""What rows count by how they came to be shown, against logs in which each row is written as often
as it counts.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from data_toys import LEAST
from ledger_toys import made_rows

from bench.core.errors import UserError
from bench.core.exposure import exposure_of
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.data import parse_card, prepare
from bench.ledger.served.measuring import measure_of
from bench.ledger.served.slices import AS_LOGGED, as_logged
from bench.ledger.served.turned import few
from bench.measure.predictions import read_rows, with_rates
from bench.models.training.kept import write_rows

OUTCOMES = ["click.recall@10%", "buy.recall@25%", "click.auc"]


def log(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.random((rows, 2)) < [0.3, 0.1]
    chance = rng.choice([1.0, 0.5, 0.25], rows)
    return made_rows(labels, ("click", "buy"), (0.3, 0.1)), chance, rng.normal(size=rows)


def test_outcomes_by_propensities_are_those_of_a_log_with_each_row_as_often_as_it_counts():
    rows, chance, score = log()
    weighted = replace(rows, exposure=exposure_of("propensity", "chance", chance))
    values = measure_of(weighted, OUTCOMES, None).values(score)[0]
    times = np.repeat(np.arange(len(score)), (1 / chance).astype(int))
    written = replace(
        rows,
        labels=rows.labels[times],
        group=rows.group[times],
        units=rows.units[times],
        codes=rows.codes[times],
    )
    np.testing.assert_allclose(
        values, measure_of(written, OUTCOMES, None).values(score[times])[0], rtol=1e-6
    )
    ((name, plain),) = as_logged(weighted)
    assert name == AS_LOGGED
    as_it_was = measure_of(weighted, OUTCOMES, None, [plain]).values(score)[0]
    np.testing.assert_allclose(
        as_it_was, measure_of(rows, OUTCOMES, None).values(score)[0], rtol=1e-12
    )
    assert not np.allclose(values, as_it_was, rtol=0.01)


def test_outcomes_at_random_are_of_these_rows_alone_in_lists_too():
    rows, chance, score = log()
    at_random = chance == 0.25
    weighted = replace(
        rows,
        group=np.arange(len(score)) // 10,
        exposure=exposure_of("random", "r", at_random.astype(float)),
    )
    few = replace(
        rows,
        labels=weighted.labels[at_random],
        group=weighted.group[at_random],
        units=weighted.units[at_random],
        codes=weighted.codes[at_random],
    )
    names = [*OUTCOMES, "click.ndcg@3", "click.gauc"]
    of_few = measure_of(few, names, None).values(score[at_random])[0]
    np.testing.assert_allclose(
        measure_of(weighted, names, None).values(score)[0], of_few, rtol=1e-12
    )
    assert weighted.exposure.effective == at_random.sum()
    np.testing.assert_array_equal(
        weighted.exposure.positives(weighted.labels), weighted.labels[at_random].sum(axis=0)
    )


def test_no_row_counts_more_than_its_bound_and_rows_without_a_chance_do_not_count():
    chance = np.full(100, 0.5)
    chance[0], chance[1] = 1e-4, np.nan
    exposure = exposure_of("propensity", "c", chance)
    assert exposure.weights[1] == 0
    counted = 1 / chance[np.isfinite(chance)]
    assert exposure.most == pytest.approx(np.sqrt(99) * counted.mean())
    assert exposure.cut == 1
    assert exposure.weights[0] == exposure.most
    assert exposure_of("propensity", "c", np.full(10, 0.5)).effective == pytest.approx(10)
    uneven = exposure_of("propensity", "c", np.array([1.0, 0.5])).effective
    assert uneven == pytest.approx(9 / 5)


def test_rows_are_few_by_how_they_count():
    rows, _, _ = log(20_000)
    assert not few({TEST: rows})
    at_random = (np.arange(20_000) % 50 == 0).astype(float)
    assert few({TEST: replace(rows, exposure=exposure_of("random", "r", at_random))})


def test_what_is_no_chance_is_refused():
    for kind, value, sentence in (
        ("random", 2.0, "0 or 1 in 'c', found 2"),
        ("propensity", 0.0, "above 0"),
        ("propensity", 1.5, "found 1.5"),
        ("random", 0.5, "found 0.5"),
    ):
        with pytest.raises(UserError, match=sentence):
            exposure_of(kind, "c", np.array([1.0, value]))


def test_a_card_keeps_how_rows_were_shown(tmp_path):
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "a": rng.integers(0, 9, 900),
            "label": rng.integers(0, 2, 900),
            "old": rng.normal(size=900),
        }
    )
    table["chance"] = rng.choice([0.2, 0.9], 900)
    table.to_csv(tmp_path / "log.csv", index=False)
    split = {"kind": "random", "valid": 0.3, "test": 0.3}
    card = LEAST | {
        "reader": {"kind": "csv"},
        "files": [{"name": "log.csv"}],
        "columns": {"a": "categorical"},
        "split": split,
        "tasks": [{"name": "label", "column": "label"}],
        "logged": ["old"],
        "propensity": "chance",
    }
    store = prepare(parse_card(card, "here"), tmp_path / "home", tmp_path)
    write_rows(store, tmp_path / "kept")
    rows = {split: read_rows(tmp_path / "kept", split) for split in (SEARCH, CONFIRM, TEST)}
    assert list(rows[TEST].logged) == ["old"]
    assert set(np.round(rows[TEST].counts, 3)) == {5.0, 1.111}
    rate = with_rates(rows)[TEST].rates[0]
    chosen = [rows[SEARCH], rows[CONFIRM]]
    counts, labels = (
        np.concatenate(parts)
        for parts in zip(*((o.counts, o.labels[:, 0]) for o in chosen), strict=True)
    )
    assert rate == pytest.approx(np.average(labels, weights=counts))
    for wrong, sentence in (
        ({"random": "old"}, "found both"),
        ({"propensity": "label"}, "found 'label', a label"),
        ({"propensity": "a"}, "input 'a' reads 'a'"),
    ):
        with pytest.raises(UserError, match=sentence):
            parse_card(card | wrong, "here")
    del card["propensity"]
    table.assign(chance=2).to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(UserError, match="random: expected 0 or 1 in 'chance', found 2"):
        prepare(parse_card(card | {"random": "chance"}, "here"), tmp_path / "home", tmp_path)
