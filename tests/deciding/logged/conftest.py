"""A log with the predictions of two models, whose truth is known; and the stored runs."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit


def log_of(rows=6000, seed=0, error=0.9, candidate_error=0.9):
    """Clicks and purchases that some clicks lead to. `p_buy` is given a click, `q_buy` with it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    click, buy = -1.5 + x @ [0.9, 0.4, -0.3, 0.2], -1.2 + x @ [-0.4, 0.8, 0.5, 0.1]
    clicked = rng.random(rows) < expit(click)
    predictions = [
        expit(logit + off * rng.normal(size=rows))
        for off in (error, candidate_error)
        for logit in (click, buy)
    ]
    return pd.DataFrame(
        {
            "request": np.arange(rows) // 10,
            "user": rng.integers(0, rows // 20, rows),
            "day": np.arange(rows) * 30 // rows,
            "country": rng.choice(["US", "FR"], rows),
            "click": clicked.astype(int),
            "buy": (clicked & (rng.random(rows) < expit(buy))).astype(int),
            "p_click": predictions[0],
            "p_buy": predictions[1],
            "q_click": predictions[2],
            "q_buy": predictions[3] * predictions[2],
        }
    )


ASKED = {
    "labels": ["click", "buy"],
    "parents": {"buy": "click"},
    "models": {"today": ["p_click", "p_buy"], "candidate": ["q_click", "q_buy"]},
    "units": "user",
    "unseen": True,
}


@pytest.fixture(scope="session")
def log():
    """Makes a log; see `log_of`."""
    return log_of


@pytest.fixture
def asked():
    """What is asked of it."""
    return dict(ASKED)
