"""Expected labels are nearer to the truth than labels are, at their level; where none can be,
labels choose.
"""

from dataclasses import replace

import numpy as np
from ledger_toys import made_rows
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from bench.ledger.fusion import Fusion
from bench.ledger.served.expected import TRUST, expected, level
from bench.ledger.served.measuring import Candidate, Place, sampled_meters
from bench.measure.platt import platt

NAMES, FUSION = ("a.recall@10%", "b.recall@10%"), Fusion.of("power", [1.0, 2.0])


def world(n=4_000, seed=0):
    """Rows of two splits, their probabilities, and two candidates that are off and too sure."""
    rng = np.random.default_rng(seed)
    p = {split: expit(rng.normal(size=(n, 2)) - [2.0, 4.0]) for split in ("valid", "confirm")}
    rows = {
        split: made_rows(rng.random(probabilities.shape) < probabilities, ("a", "b"), (0.15, 0.03))
        for split, probabilities in p.items()
    }

    def of(name):
        predictions = {
            split: expit(
                1.4 * logit(probabilities) + 0.3 * rng.normal(size=probabilities.shape)
            ).astype(np.float32)
            for split, probabilities in p.items()
        }
        return Candidate(name, name, "mmoe", "trial", (1,), lambda split, run: predictions[split])

    return rows, p, [of("1"), of("2")]


def test_outcomes_by_expected_labels_are_nearer_to_those_by_probabilities():
    errors = []
    for seed in range(12):
        rows, p, candidates = world(seed=seed)
        likely = expected(candidates, rows, NAMES)
        settings = [Fusion.of("power", [1.0, weight]) for weight in (0.25, 4.0)]
        outcomes = {}
        truth = {
            split: replace(
                rows_of_split, labels=p[split].astype(np.float32), kinds=("regression",) * 2
            )
            for split, rows_of_split in rows.items()
        }
        for name, split_rows, names in (
            ("labels", rows, NAMES),
            ("expected", likely.rows, likely.outcomes),
            ("truth", truth, likely.outcomes),
        ):
            meters = [
                sampled.meter for sampled in sampled_meters(candidates, split_rows, names, 4_000)
            ]
            outcomes[name] = np.mean([meter.sweep(settings)[0][0] for meter in meters], axis=0)
        places = [Place(0, setting) for setting in range(len(settings))]
        assert np.allclose(likely.values(candidates, places, settings), outcomes["expected"])
        trade = {name: np.log(values[1] / values[0]) for name, values in outcomes.items()}
        errors.append(
            [np.abs(trade[name] - trade["truth"]).mean() for name in ("labels", "expected")]
        )
    by_labels, by_expected = np.mean(errors, axis=0)
    assert by_expected < by_labels / 2
    assert np.allclose(
        level(outcomes["labels"], outcomes["expected"]) * outcomes["expected"].sum(0),
        outcomes["labels"].sum(0),
    )


def test_an_expected_label_is_the_fitted_mean_prediction_and_a_part_of_the_label():
    rows, _, candidates = world()
    likely = expected(candidates, rows, NAMES)
    assert likely.outcomes == ("a.value@10%", "b.value@10%")
    mean = {
        split: (candidates[0].predictions(split, 0) + candidates[1].predictions(split, 0)) / 2
        for split in rows
    }
    x = np.concatenate([logit(means[:, 0].astype(float)) for means in mean.values()])[:, None]
    y = np.concatenate([rows_of_split.labels[:, 0] for rows_of_split in rows.values()])
    fit = LogisticRegression(C=np.inf, tol=1e-8).fit(x, y)
    fitted = fit.predict_proba(x[: len(rows["valid"].labels)])[:, 1]
    assert np.allclose(
        likely.rows["valid"].labels[:, 0],
        TRUST * fitted + (1 - TRUST) * rows["valid"].labels[:, 0],
        atol=1e-4,
    )


def test_a_fit_is_scikit_learns_and_skips_unknown_labels(monkeypatch):
    rng = np.random.default_rng(3)
    p, weights = rng.random(500), rng.random(500)
    y = (rng.random(500) < p**2).astype(float)
    y[::7] = np.nan
    labelled = ~np.isnan(y)
    fit, reference = platt(p, y, weights), LogisticRegression(C=np.inf, tol=1e-10)
    reference.fit(logit(p[labelled])[:, None], y[labelled], weights[labelled])
    assert np.allclose(
        [fit.offset, fit.slope], [reference.intercept_[0], reference.coef_[0, 0]], atol=1e-4
    )
    assert fit.gain > 0
    monkeypatch.setattr("bench.measure.platt.FIT_ROWS", 100)
    order = np.argsort(p)
    # of rows all over, not of those that come first
    some = platt(p[order], y[order], weights[order])
    assert np.allclose([some.offset, some.slope], [fit.offset, fit.slope], atol=0.7)
    assert platt(p, np.ones(500), None) is None
    assert platt(np.full(500, 0.5), y, None) is None
