"""Impression -> click -> purchase or like with known probabilities, so the best reachable AUC is
known.

Every input acts in a learnable way: effects of user, item and scenario, a taste of each user
segment for each item category, and smooth curves over the numbers. `affinity` is the user's
interest in the item, like a counter of past behaviour. Clicks select: an item's hidden appeal draws
clicks and lowers purchases (bait), and a high price deters clicks but goes with purchases. So the
items that sell best are rare among clicks. A purchase model trained on clicks only sees another
population than it is asked about: the sample-selection bias of Ma et al., "Entire Space Multi-Task
Model", SIGIR 2018. Likes go with appeal and low prices, against purchases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit

from bench.core.registry import Config
from bench.core.seeds import derive

SEGMENTS, CATEGORIES, SCENARIOS = 6, 8, 4


class FunnelConfig(Config):
    """Sizes, and how strongly clicks select."""

    rows: int = Field(200_000, ge=1000, le=100_000_000)
    users: int = Field(300, ge=SEGMENTS, le=10_000_000)
    items: int = Field(200, ge=CATEGORIES, le=10_000_000)
    zipf: float = Field(0.8, ge=0, le=3)
    """Exponent of the popularity of users and items: rank r is drawn in proportion to r^-zipf."""
    bias: float = Field(1.0, ge=0, le=3)
    """Strength of the selection; at 0 neither price nor appeal acts on clicks."""
    user_effect: float = Field(1.0, ge=0, le=10)
    """Strength of the users' differences: it moves all rows of a user alike, so it changes no order
    within a user.
    """
    item_effect: float = Field(1.0, ge=0, le=10)
    """Strength of the items' differences besides price and rating."""
    seed: int = Field(0, ge=0)


def zipf_ids(rng: np.random.Generator, count: int, exponent: float, rows: int) -> NDArray[np.int64]:
    """(rows,) ids in 0..count-1, id r drawn in proportion to (r + 1)^-exponent."""
    cumulative = np.cumsum(np.arange(1, count + 1, dtype=np.float64) ** -exponent)
    draws = rng.random(rows) * cumulative[-1]
    return np.asarray(np.searchsorted(cumulative, draws, side="right"))


def generate(config: FunnelConfig) -> Any:
    """Generates inputs, click, purchase, like, p_click, and P(purchase | click) and P(like | click)
    as p_<name>.
    """
    rng = np.random.default_rng(derive(config.seed, "funnel"))
    user = zipf_ids(rng, config.users, config.zipf, config.rows)
    item = zipf_ids(rng, config.items, config.zipf, config.rows)
    scenario = rng.choice(SCENARIOS, config.rows, p=[0.5, 0.25, 0.15, 0.1])
    hour = rng.integers(0, 24, config.rows)

    segment = rng.integers(0, SEGMENTS, config.users)[user]
    category = rng.integers(0, CATEGORIES, config.items)[item]
    age_is_missing = rng.random(config.users) < 0.05
    age = np.where(age_is_missing, np.nan, rng.integers(18, 80, config.users))[user]
    log_price = 3 + rng.standard_normal(config.items)[item] + rng.normal(0, 0.3, config.rows)
    price = np.round(np.exp(log_price), 2)
    rating = np.round(np.clip(rng.normal(3.7, 0.8, config.items), 1, 5), 1)[item]
    affinity = rng.standard_normal(config.rows)

    activity, budget = config.user_effect * rng.standard_normal((2, config.users))[:, user]
    appeal, quality = config.item_effect * rng.standard_normal((2, config.items))[:, item]
    tastes = rng.standard_normal((2, SEGMENTS, CATEGORIES))
    taste_click, taste_purchase = tastes[:, segment, category]
    scenario_effect = np.array([0.0, 0.6, -0.6, 0.9])[scenario]
    youth = np.nan_to_num((45 - age) / 18)
    cost = (np.log1p(price) - 3) / 1.05
    stars = (rating - 3.7) / 0.8

    daytime = np.sin(2 * np.pi * hour / 24)
    click = -1.9 + 0.8 * affinity + scenario_effect + 0.3 * daytime + 0.4 * youth
    click += 0.4 * activity + 0.25 * taste_click + config.bias * (0.5 * appeal - 0.8 * cost)
    purchase = -1.0 + 0.5 * affinity + 0.9 * stars - 0.5 * youth + 0.8 * np.minimum(cost, 1)
    purchase += 0.4 * budget + 0.3 * quality + 0.25 * taste_purchase - 0.5 * appeal
    p_click, p_purchase = expit(click), expit(purchase)
    clicked = rng.random(config.rows) < p_click
    purchased = clicked & (rng.random(config.rows) < p_purchase)

    # A separate stream, so that likes do not change the draws above.
    rng = np.random.default_rng(derive(config.seed, "funnel", "like"))
    warmth = config.user_effect * rng.standard_normal(config.users)[user]
    charm = config.item_effect * rng.standard_normal(config.items)[item]
    taste_like = rng.standard_normal((SEGMENTS, CATEGORIES))[segment, category]
    like = -1.2 + 0.3 * affinity + 0.4 * youth + 0.6 * appeal - 0.6 * cost
    p_like = expit(like + 0.4 * warmth + 0.3 * charm + 0.25 * taste_like)
    liked = clicked & (rng.random(config.rows) < p_like)
    return pa.table(
        {
            "user_id": user,
            "item_id": item,
            "segment": segment,
            "category": category,
            "scenario": scenario,
            "hour": hour,
            "price": price,
            "age": age,
            "rating": rating,
            "affinity": affinity,
            "click": clicked.astype(np.int8),
            "purchase": purchased.astype(np.int8),
            "p_click": p_click,
            "p_purchase": p_purchase,
            "like": liked.astype(np.int8),
            "p_like": p_like,
        }
    )
