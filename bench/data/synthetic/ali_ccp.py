"""Writes raw files in the format of Ali-CCP, with known label probabilities.

Ma et al., "Entire Space Multi-Task Model", SIGIR 2018, describe the data. Sizes and rates follow
the published files: about 55 impressions a common index, 500 user features a common line and 13
item features a skeleton line. A click depends on user, item, the taste of the user's group for the
item's category, the position, and whether the category is in the user's list; a purchase on the
same factors with other weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.core.seeds import derive
from bench.core.system.progress import Progress
from bench.data.arrays import ArrayWriter

LongIds = NDArray[np.int64]

PROFILE = {
    "101": 0,
    "121": 97,
    "122": 14,
    "124": 3,
    "125": 8,
    "126": 4,
    "127": 4,
    "128": 3,
    "129": 5,
}
"""User fields with one value -> number of values; the user's id has `users`."""
BEHAVIOUR = {"109_14": 8_000, "110_14": 200_000, "127_14": 60_000, "150_14": 80_000}
"""Weighted lists of a user's categories, shops, brands and intentions -> number of values."""
ITEM = {"205": 0, "206": 8_000, "207": 200_000, "216": 60_000, "210": 80_000, "301": 3}
COMBINED = {"508": "109_14", "509": "110_14", "702": "127_14", "853": "150_14"}
"""Fields that are present where the item's category (shop, brand, intention) is in the user's list
-> that list.
"""
INTENTIONS, COMMON_LINES, GROUPS, KINDS = 16, 400, 14, 16
WEIGHTS = ["1.0", *(f"{np.log(k + 1):.5f}".rstrip("0") for k in range(1, 200))]
VALUES = pa.array([f"\x03{weight}" for weight in WEIGHTS])


class AliCcpConfig(Config):
    """Sizes and rates; the first half of the rows is the train file, the second the test file."""

    rows: int = Field(100_000, ge=100, le=1_000_000_000)
    seed: int = Field(0, ge=0)
    users: int = Field(200_000, ge=100, le=10_000_000)
    items: int = Field(1_000_000, ge=100, le=10_000_000)
    click_rate: float = Field(0.04, gt=0, lt=1)
    buy_rate: float = Field(0.005, gt=0, lt=1)
    """Share of clicks with a purchase."""
    dirty_rate: float = Field(5e-6, ge=0, lt=1)
    """Share of rows with a purchase among those without a click."""
    list_length: float = Field(160, ge=0, le=700)
    """Mean draws for each behaviour list; repeated ones count once."""


class Features(NamedTuple):
    """m features: their lines, fields, ids and indices of their values in `VALUES`."""

    lines: LongIds
    fields: LongIds
    ids: LongIds
    values: LongIds


class _World:
    """What all files share: attributes and hidden effects of users and items, and the offsets of id
    ranges.
    """

    def __init__(self, config: AliCcpConfig) -> None:
        rng = np.random.default_rng(derive(config.seed, "world"))
        self.config, users, items = config, config.users, config.items
        sizes = (
            PROFILE
            | BEHAVIOUR
            | ITEM
            | {name: BEHAVIOUR[other] for name, other in COMBINED.items()}
        )
        sizes |= {"101": users, "205": items}
        self.fields = {name: number for number, name in enumerate(sizes)}
        self.names = pa.array([f"{name}\x02" for name in sizes])
        self.first = dict(zip(sizes, np.cumsum([1, *sizes.values()]).tolist(), strict=False))
        self.profile = {
            name: zipf(rng, users, size, 0.3).astype(np.int16)
            for name, size in PROFILE.items()
            if size
        }
        self.item = {
            name: zipf(rng, items, ITEM[name], 0.8).astype(np.int32)
            for name in ("206", "207", "216")
        }
        self.activity, self.budget = rng.standard_normal((2, users)).astype(np.float32)
        self.appeal, self.quality = rng.standard_normal((2, items)).astype(np.float32)
        self.taste, self.need = rng.standard_normal((2, GROUPS, KINDS))
        self.bias = (0.0, 0.0)

    def features(self, name: str, ids: LongIds, values: LongIds | None = None) -> Features:
        """Features of a field with at most one value a line: ids (n,), -1 where absent; values
        default to 1.
        """
        lines = np.flatnonzero(ids >= 0)
        value = np.zeros(len(lines), np.int64) if values is None else values[lines]
        return Features(
            lines, np.full(len(lines), self.fields[name]), ids[lines] + self.first[name], value
        )


def zipf(rng: np.random.Generator, count: int, size: int, exponent: float) -> LongIds:
    """(count,) ranks in [0, size), roughly in proportion to (rank + 1)^-exponent: the continuous
    law, rounded.
    """
    power = 1 - exponent
    ranks = (((size + 1) ** power - 1) * rng.random(count) + 1) ** (1 / power)
    whole: LongIds = np.minimum(ranks.astype(np.int64) - 1, size - 1)
    return whole


def write(config: AliCcpConfig, folder: Path, progress: Progress) -> dict[str, Any]:
    """Writes skeleton, common features and truth (`truth_*.npy`: (N, 2), P(click) and P(buy |
    click)) of both files.
    """
    world = _World(config)
    part = _Block(world, np.random.default_rng(derive(config.seed, "rates")), 50_000)
    click = _bias(part.score[0], np.ones(len(part.line)), config.click_rate)
    world.bias = click, _bias(part.score[1], expit(part.score[0] + click), config.buy_rate)
    facts: dict[str, Any] = {}
    with progress.task("writing ali-ccp", config.rows, "rows") as advance:
        sample = 1
        for name, rows in (("train", config.rows - config.rows // 2), ("test", config.rows // 2)):
            counts = {"rows": rows, "common": 0, "click": 0, "buy": 0, "dirty": 0}
            with (
                (folder / f"sample_skeleton_{name}.csv").open("wb") as skeleton,
                (folder / f"common_features_{name}.csv").open("wb") as common,
                ArrayWriter(folder / f"truth_{name}.npy", np.float32, (2,)) as truth,
            ):
                left, block = rows, 0
                while left:
                    part = _Block(
                        world, np.random.default_rng(derive(config.seed, name, block)), left
                    )
                    common.write(part.common())
                    skeleton.write(part.skeleton(sample))
                    truth.append(np.stack(part.probability, axis=1))
                    bought = {
                        "buy": part.buy & part.click,
                        "dirty": part.buy & ~part.click,
                        "click": part.click,
                    }
                    counts["common"] += len(part.keys)
                    counts |= {what: counts[what] + int(of.sum()) for what, of in bought.items()}
                    left, sample, block = left - len(part.line), sample + len(part.line), block + 1
                    advance(len(part.line))
            facts[name] = counts
    return facts


def _bias(score: Floats, weight: Floats, rate: float) -> float:
    """What is added to the scores so that the weighted mean probability is the rate."""
    from scipy.optimize import brentq  # which other generators do not need

    return float(
        brentq(lambda bias: np.average(expit(score + bias), weights=weight) - rate, -30, 30)
    )


class _Block:
    """The impressions of `COMMON_LINES` common indices."""

    def __init__(self, world: _World, rng: np.random.Generator, most: int) -> None:
        self.world, self.rng, config = world, rng, world.config
        impressions = rng.geometric(1 / 55, COMMON_LINES)
        self.line = np.repeat(np.arange(COMMON_LINES), impressions)[:most]
        size = int(self.line[-1]) + 1
        self.keys = pa.array(
            [f"{key:016x}" for key in rng.integers(0, 2**64, size, dtype=np.uint64).tolist()]
        )
        self.user = zipf(rng, size, config.users, 0.5)
        self.item = zipf(rng, len(self.line), config.items, 0.9)
        self.position = rng.integers(0, 3, len(self.line))
        self._behaviour(size)
        known = self._met("109_14", world.item["206"][self.item].astype(np.int64)) >= 0
        user, item = self.user[self.line], self.item
        group, kind = world.profile["122"][user], world.item["206"][item] % KINDS
        click = (
            0.6 * world.activity[user] + 0.5 * world.appeal[item] + 0.4 * world.taste[group, kind]
        )
        buy = 0.5 * world.budget[user] + 0.7 * world.quality[item] + 0.4 * world.need[group, kind]
        self.score = (
            click - 0.3 * self.position + 0.5 * known,
            buy - 0.2 * world.appeal[item] + 0.6 * known,
        )
        self.probability = tuple(
            expit(score + bias) for score, bias in zip(self.score, world.bias, strict=True)
        )
        draw = rng.random((3, len(self.line)))
        self.click = draw[0] < self.probability[0]
        self.buy = np.where(self.click, draw[1] < self.probability[1], draw[2] < config.dirty_rate)

    def _behaviour(self, size: int) -> None:
        """Draws behaviour lists as sorted unique numbers (line, kind, id), with a weight for
        each.
        """
        spread = (
            self.rng.lognormal(-0.5, 1.0, (size, len(BEHAVIOUR))) * self.world.config.list_length
        )
        counts = np.where(
            self.rng.random(spread.shape) < 0.03, 0, np.minimum(np.ceil(spread), 690)
        ).astype(np.int64)
        owner = np.repeat(np.arange(size * len(BEHAVIOUR)), counts.ravel())
        ids = np.empty(len(owner), np.int64)
        for kind, values in enumerate(BEHAVIOUR.values()):
            own = owner % len(BEHAVIOUR) == kind
            ids[own] = zipf(self.rng, int(own.sum()), values, 0.8)
        self.listed = np.unique(owner << 20 | ids)
        self.weight = np.minimum(self.rng.geometric(0.4, len(self.listed)), len(WEIGHTS) - 1)

    def _met(self, kind: str, ids: LongIds) -> LongIds:
        """For each impression the weight of an id in the user's list, -1 where it is absent."""
        owner = self.line * len(BEHAVIOUR) + list(BEHAVIOUR).index(kind)
        wanted = owner << 20 | np.maximum(ids, 0)
        at = np.minimum(np.searchsorted(self.listed, wanted), max(len(self.listed) - 1, 0))
        if not len(self.listed):
            return np.full(len(ids), -1)
        return np.where((self.listed[at] == wanted) & (ids >= 0), self.weight[at], -1)

    def common(self) -> memoryview:
        world, size = self.world, len(self.keys)
        features = [world.features("101", self.user)]
        for name, of_user in world.profile.items():
            absent = self.rng.random(size) < (0.0 if name == "121" else 0.04)
            features.append(
                world.features(name, np.where(absent, -1, of_user[self.user].astype(np.int64)))
            )
        owner, ids = self.listed >> 20, self.listed & (2**20 - 1)
        kind = owner % len(BEHAVIOUR)
        first = np.array([world.first[name] for name in BEHAVIOUR])
        number = np.array([world.fields[name] for name in BEHAVIOUR])
        features.append(
            Features(owner // len(BEHAVIOUR), number[kind], first[kind] + ids, self.weight)
        )
        return self._lines([self.keys], features)

    def skeleton(self, sample: int) -> memoryview:
        """Bytes of the impressions; `sample` is the first one's sample id."""
        world, rng, rows = self.world, self.rng, len(self.line)
        category, shop, brand = (
            world.item[name][self.item].astype(np.int64) for name in ("206", "207", "216")
        )
        brand = np.where(rng.random(rows) < 0.15, -1, brand)
        how_many = np.minimum(rng.geometric(0.14, rows) - (rng.random(rows) < 0.2), INTENTIONS)
        # Walks through the ids, so that an item's intentions are fixed and differ.
        steps = range(INTENTIONS)
        walk = [
            np.where(how_many > k, (self.item * 31 + k * 17) % ITEM["210"] // (1 + k), -1)
            for k in steps
        ]
        own = [
            ("205", self.item),
            ("206", category),
            ("207", shop),
            ("216", brand),
            ("301", self.position),
        ]
        features = [
            world.features(name, ids) for name, ids in (*own, *(("210", ids) for ids in walk))
        ]
        for name, ids in (
            ("508", category),
            ("509", shop),
            ("702", brand),
            *(("853", ids) for ids in walk),
        ):
            met = self._met(COMBINED[name], ids)
            features.append(world.features(name, np.where(met < 0, -1, ids), met))
        heads = [sample + np.arange(rows), self.click.astype(np.int8), self.buy.astype(np.int8)]
        return self._lines([*map(_digits, heads), self.keys.take(pa.array(self.line))], features)

    def _lines(self, heads: list[Any], parts: list[Features]) -> memoryview:
        """Bytes of n lines from heads (n,), whose last text is the common index, and the features
        of each line in order.
        """
        lines, *others = map(np.concatenate, zip(*parts, strict=True))
        order = np.argsort(lines, kind="stable")
        field, id_, value = (pa.array(each[order]) for each in others)
        counts = np.bincount(lines, minlength=len(heads[0]))
        features = pc.binary_join_element_wise(
            self.world.names.take(field), _digits(id_), VALUES.take(value), ""
        )
        lists = pa.ListArray.from_arrays(
            pa.array(np.append(0, np.cumsum(counts)), pa.int32()), features
        )
        joined = pc.binary_join_element_wise(
            *heads, _digits(counts), pc.binary_join(lists, "\x01"), ","
        )
        text = pc.binary_join_element_wise(joined, "", "\n")
        _, ends, data = text.buffers()
        return memoryview(data)[: int(np.frombuffer(ends, np.int32)[len(text)])]


def _digits(numbers: Any) -> Any:
    return pa.array(numbers).cast(pa.string())
