"""A feed of videos with the features of real logs: weights, thinned negatives, watch time, open
comments, scenarios.

A request shows `each` videos in one tab. `mood` belongs to the request, `novelty` to the row. Very
new and very familiar videos are clicked alike; how much more than others depends on the tab, and in
one tab they are clicked less. Everything has a known truth:

* `p_click` of all rows, before thinning; `kept_rate` is the share of a row's negatives that was
  kept.
* `p_click_weighted`, the share of clicks where rows count with their `weight`: in two of the tabs a
  click weighs more.
* `mean_watch`, the mean seconds that a click would be watched, by a lognormal distribution with a
  long tail, and `mean_seen`, the mean of those that the log has: a video ends at its `duration`.
* `p_comment` where comments are open. The log has no comments elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit, ndtr

from bench.core.registry import Config
from bench.core.seeds import derive
from bench.data.synthetic.funnel import zipf_ids

DAYS = 10
TABS = (0.4, 0.3, 0.2, 0.1)
"""Share of requests of each tab."""
BASE = np.array([-1.6, -0.6, -2.2, -1.0])
SLOPE = np.array([1.5, 1.5, -1.0, 0.5])
"""Effect of the distance of `novelty` from 0 on the logit of a click, by tab."""
CLICK_WEIGHT = np.array([1.0, 3.0, 1.0, 3.0])
"""Mean weight of a click, by tab; other rows have mean weight 1."""
UNEVEN = np.array([0.5, 1.0, 2.0, 3.0])
"""Factor of the rate at which negatives were kept, by tab."""
SPREAD = 0.8
"""Standard deviation of the logarithm of a watch time."""


class FeedConfig(Config):
    """Sizes, effects, and how the log was thinned."""

    rows: int = Field(100_000, ge=1000, le=100_000_000)
    """Number of rows before negatives are thinned."""
    each: int = Field(10, ge=1, le=1000)
    """Rows of a request."""
    videos: int = Field(50, ge=2, le=10_000_000)
    appeal: float = Field(0.5, ge=0, le=10)
    """Strength of the videos' differences in clicks."""
    wave: float = Field(0.0, ge=0, le=10)
    """Strength of a wave over the request's mood in clicks; it changes no order within a
    request.
    """
    kept: float = Field(1.0, gt=0, le=1)
    """Share of rows without a click that the log has."""
    uneven: bool = False
    """Whether that share differs by tab and is 1 on the last two days, the test."""
    seed: int = Field(0, ge=0)


def generate(config: FeedConfig) -> Any:
    """Generates inputs, labels, weights, rates, and the truth."""
    rng = np.random.default_rng(derive(config.seed, "feed"))
    requests = -(-config.rows // config.each)
    request = np.arange(config.rows) // config.each
    day = 1 + request * DAYS // requests
    tab = rng.choice(len(TABS), requests, p=TABS)[request]
    mood = rng.standard_normal(requests)[request]
    novelty = rng.standard_normal(config.rows)
    video = zipf_ids(rng, config.videos, 0.8, config.rows)
    appeal, depth = rng.standard_normal((2, config.videos))[:, video]
    log_duration = 3.4 + 0.7 * rng.standard_normal(config.videos)
    duration: NDArray[np.float64] = np.exp(log_duration)[video].round(1)
    comments_open = rng.random(config.rows) < 0.5

    logit = BASE[tab] + SLOPE[tab] * (np.abs(novelty) - 0.8) + config.appeal * appeal
    p_click = expit(logit + config.wave * np.sin(2 * mood))
    click = rng.random(config.rows) < p_click
    log_watch = 2.6 + 0.5 * novelty + 0.3 * depth + 0.3 * (np.log(duration) - 3.4)
    watch = np.exp(log_watch + SPREAD * rng.standard_normal(config.rows))
    p_comment = expit(-1.5 + 0.7 * mood + 0.5 * depth)
    comment = comments_open & (rng.random(config.rows) < p_comment)

    mean_weight = np.where(click, CLICK_WEIGHT[tab], 1.0)
    weight = np.round(mean_weight * rng.gamma(4.0, 0.25, config.rows), 3)
    weighted_click = p_click * CLICK_WEIGHT[tab]
    kept_rate = np.full(config.rows, config.kept)
    if config.uneven:
        kept_rate = np.where(day > DAYS - 2, 1.0, np.minimum(config.kept * UNEVEN[tab], 1.0))
    is_logged = click | (rng.random(config.rows) < kept_rate)
    table = {
        "request": request,
        "day": day,
        "tab": tab,
        "video_id": video,
        "mood": mood,
        "novelty": novelty,
        "duration": duration,
        "comments_open": comments_open.astype(np.int8),
        "click": click.astype(np.int8),
        "watch": np.where(click, np.minimum(watch, duration), 0.0),
        "comment": comment.astype(np.int8),
        "weight": weight,
        "kept_rate": kept_rate,
        "p_click": p_click,
        "p_click_weighted": weighted_click / (weighted_click + 1 - p_click),
        "mean_watch": np.exp(log_watch + SPREAD**2 / 2),
        "mean_seen": mean_seen(log_watch, duration),
        "p_comment": p_comment,
    }
    return pa.table({name: column[is_logged] for name, column in table.items()})


def mean_seen(log_mean: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of min(x, `end`), for a lognormal x whose logarithm has mean `log_mean` and deviation
    `SPREAD`.
    """
    log_end = (np.log(end) - log_mean) / SPREAD
    before_end = np.exp(log_mean + SPREAD**2 / 2) * ndtr(log_end - SPREAD)
    return np.asarray(before_end + end * (1 - ndtr(log_end)))
