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

from bench.core.arrays import Floats, Ints
from bench.core.registry import Config
from bench.core.seeds import derive
from bench.core.system.progress import Advance, Progress
from bench.data.npy_files import ArrayWriter

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

    lines: Ints
    fields: Ints
    ids: Ints
    values: Ints


class _World:
    """What all files share: attributes and hidden effects of users and items, and the offsets of id
    ranges.
    """

    def __init__(self, config: AliCcpConfig) -> None:
        rng = np.random.default_rng(derive(config.seed, "world"))
        users, items = config.users, config.items
        self.config = config
        sizes = PROFILE | BEHAVIOUR | ITEM
        sizes |= {name: BEHAVIOUR[list_name] for name, list_name in COMBINED.items()}
        sizes |= {"101": users, "205": items}
        self.fields = {name: number for number, name in enumerate(sizes)}
        self.names = pa.array([f"{name}\x02" for name in sizes])
        self.first_id: dict[str, int] = {}
        next_id = 1
        for name, size in sizes.items():
            self.first_id[name] = next_id
            next_id += size
        self.profile = {}
        for name, size in PROFILE.items():
            if size:
                self.profile[name] = zipf(rng, users, size, 0.3).astype(np.int16)
        self.item = {}
        for name in ("206", "207", "216"):
            self.item[name] = zipf(rng, items, ITEM[name], 0.8).astype(np.int32)
        self.activity, self.budget = rng.standard_normal((2, users)).astype(np.float32)
        self.appeal, self.quality = rng.standard_normal((2, items)).astype(np.float32)
        self.taste, self.need = rng.standard_normal((2, GROUPS, KINDS))
        self.bias = (0.0, 0.0)

    def features(self, name: str, ids: Ints, values: Ints | None = None) -> Features:
        """Features of a field with at most one value a line: ids (n,), -1 where absent; values
        default to 1.
        """
        if values is None:
            values = np.zeros(len(ids), np.int64)
        lines = np.flatnonzero(ids >= 0)
        fields = np.full(len(lines), self.fields[name])
        return Features(lines, fields, ids[lines] + self.first_id[name], values[lines])


def zipf(rng: np.random.Generator, count: int, size: int, exponent: float) -> Ints:
    """(count,) ranks in [0, size), roughly in proportion to (rank + 1)^-exponent: the continuous
    law, rounded.
    """
    power = 1 - exponent
    ranks = (((size + 1) ** power - 1) * rng.random(count) + 1) ** (1 / power)
    return np.asarray(np.minimum(ranks.astype(np.int64) - 1, size - 1))


def write(config: AliCcpConfig, folder: Path, progress: Progress) -> dict[str, Any]:
    """Writes skeleton, common features and truth (`truth_*.npy`: (N, 2), P(click) and P(buy |
    click)) of both files.
    """
    world = _World(config)
    sample = _Block(world, np.random.default_rng(derive(config.seed, "rates")), 50_000)
    click_logit, buy_logit = sample.logits
    click_bias = _bias(click_logit, np.ones(len(sample.line)), config.click_rate)
    buy_bias = _bias(buy_logit, expit(click_logit + click_bias), config.buy_rate)
    world.bias = click_bias, buy_bias

    test_rows = config.rows // 2
    train_rows = config.rows - test_rows
    with progress.task("writing ali-ccp", config.rows, "rows") as advance:
        train = _write_split(world, folder, "train", train_rows, 1, advance)
        test = _write_split(world, folder, "test", test_rows, train_rows + 1, advance)
    return {"train": train, "test": test}


def _write_split(
    world: _World, folder: Path, name: str, rows: int, first_sample: int, advance: Advance
) -> dict[str, int]:
    """Writes the files of a split, and counts what is in them."""
    counts = {"rows": rows, "common": 0, "click": 0, "buy": 0, "dirty": 0}
    with (
        (folder / f"sample_skeleton_{name}.csv").open("wb") as skeleton,
        (folder / f"common_features_{name}.csv").open("wb") as common,
        ArrayWriter(folder / f"truth_{name}.npy", np.float32, (2,)) as truth,
    ):
        written = number = 0
        while written < rows:
            rng = np.random.default_rng(derive(world.config.seed, name, number))
            block = _Block(world, rng, rows - written)
            common.write(block.common())
            skeleton.write(block.skeleton(first_sample + written))
            truth.append(np.stack(block.probabilities, axis=1))
            counts["common"] += len(block.keys)
            counts["click"] += int(block.click.sum())
            counts["buy"] += int((block.buy & block.click).sum())
            counts["dirty"] += int((block.buy & ~block.click).sum())
            written += len(block.line)
            number += 1
            advance(len(block.line))
    return counts


def _bias(logits: Floats, weights: Floats, rate: float) -> float:
    """What is added to the logits so that the weighted mean probability is the rate."""
    from scipy.optimize import brentq  # which other generators do not need

    def excess(bias: float) -> float:
        return float(np.average(expit(logits + bias), weights=weights) - rate)

    return float(brentq(excess, -30, 30))


class _Block:
    """The impressions of `COMMON_LINES` common indices."""

    def __init__(self, world: _World, rng: np.random.Generator, most_rows: int) -> None:
        self.world, self.rng = world, rng
        impressions = rng.geometric(1 / 55, COMMON_LINES)
        self.line = np.repeat(np.arange(COMMON_LINES), impressions)[:most_rows]
        n_lines = int(self.line[-1]) + 1
        keys = rng.integers(0, 2**64, n_lines, dtype=np.uint64)
        self.keys = pa.array([f"{key:016x}" for key in keys.tolist()])
        self.user = zipf(rng, n_lines, world.config.users, 0.5)
        self.item = zipf(rng, len(self.line), world.config.items, 0.9)
        self.position = rng.integers(0, 3, len(self.line))
        self._draw_behaviour(n_lines)
        self.logits = self._logits()
        click_bias, buy_bias = world.bias
        self.probabilities = expit(self.logits[0] + click_bias), expit(self.logits[1] + buy_bias)
        draws = rng.random((3, len(self.line)))
        self.click = draws[0] < self.probabilities[0]
        is_dirty = draws[2] < world.config.dirty_rate
        self.buy = np.where(self.click, draws[1] < self.probabilities[1], is_dirty)

    def _logits(self) -> tuple[Floats, Floats]:
        """Of a click, and of a purchase given a click, without the biases."""
        world = self.world
        user, item = self.user[self.line], self.item
        category = world.item["206"][item].astype(np.int64)
        group, kind = world.profile["122"][user], category % KINDS
        is_listed = self._weight_in_list("109_14", category) >= 0
        click = 0.6 * world.activity[user] + 0.5 * world.appeal[item]
        click = click + 0.4 * world.taste[group, kind]
        click = click - 0.3 * self.position + 0.5 * is_listed
        buy = 0.5 * world.budget[user] + 0.7 * world.quality[item]
        buy = buy + 0.4 * world.need[group, kind]
        buy = buy - 0.2 * world.appeal[item] + 0.6 * is_listed
        return click, buy

    def _draw_behaviour(self, n_lines: int) -> None:
        """Draws behaviour lists as sorted unique numbers (line, kind, id), with a weight for
        each.
        """
        rng, kinds = self.rng, len(BEHAVIOUR)
        lengths = rng.lognormal(-0.5, 1.0, (n_lines, kinds)) * self.world.config.list_length
        is_empty = rng.random(lengths.shape) < 0.03
        counts = np.where(is_empty, 0, np.minimum(np.ceil(lengths), 690)).astype(np.int64)
        owner = np.repeat(np.arange(n_lines * kinds), counts.ravel())
        ids = np.empty(len(owner), np.int64)
        for kind, size in enumerate(BEHAVIOUR.values()):
            is_kind = owner % kinds == kind
            ids[is_kind] = zipf(rng, int(is_kind.sum()), size, 0.8)
        self.listed = np.unique(owner << 20 | ids)
        self.weight = np.minimum(rng.geometric(0.4, len(self.listed)), len(WEIGHTS) - 1)

    def _weight_in_list(self, kind: str, ids: Ints) -> Ints:
        """For each impression the weight of an id in the user's list, -1 where it is absent."""
        if not len(self.listed):
            return np.full(len(ids), -1)
        owner = self.line * len(BEHAVIOUR) + list(BEHAVIOUR).index(kind)
        wanted = owner << 20 | np.maximum(ids, 0)
        place = np.minimum(np.searchsorted(self.listed, wanted), len(self.listed) - 1)
        is_listed = (self.listed[place] == wanted) & (ids >= 0)
        return np.where(is_listed, self.weight[place], -1)

    def common(self) -> memoryview:
        """Bytes of the common lines."""
        world = self.world
        features = [world.features("101", self.user)]
        for name, value_of_user in world.profile.items():
            absent = self.rng.random(len(self.keys)) < (0.0 if name == "121" else 0.04)
            ids = np.where(absent, -1, value_of_user[self.user].astype(np.int64))
            features.append(world.features(name, ids))
        owner, ids = self.listed >> 20, self.listed & (2**20 - 1)
        kind = owner % len(BEHAVIOUR)
        first_id = np.array([world.first_id[name] for name in BEHAVIOUR])
        field = np.array([world.fields[name] for name in BEHAVIOUR])
        line = owner // len(BEHAVIOUR)
        features.append(Features(line, field[kind], first_id[kind] + ids, self.weight))
        return self._lines([self.keys], features)

    def skeleton(self, first_sample: int) -> memoryview:
        """Bytes of the impressions; `first_sample` is the first one's sample id."""
        world, rng, rows = self.world, self.rng, len(self.line)
        category = world.item["206"][self.item].astype(np.int64)
        shop = world.item["207"][self.item].astype(np.int64)
        brand = world.item["216"][self.item].astype(np.int64)
        brand = np.where(rng.random(rows) < 0.15, -1, brand)
        n_intentions = np.minimum(rng.geometric(0.14, rows) - (rng.random(rows) < 0.2), INTENTIONS)
        # Walks through the ids, so that an item's intentions are fixed and differ.
        intentions = []
        for k in range(INTENTIONS):
            ids = (self.item * 31 + k * 17) % ITEM["210"] // (1 + k)
            intentions.append(np.where(n_intentions > k, ids, -1))

        features = [
            world.features("205", self.item),
            world.features("206", category),
            world.features("207", shop),
            world.features("216", brand),
            world.features("301", self.position),
        ]
        features += [world.features("210", ids) for ids in intentions]
        features.append(self._combined("508", category))
        features.append(self._combined("509", shop))
        features.append(self._combined("702", brand))
        features += [self._combined("853", ids) for ids in intentions]
        columns = [
            _digits(first_sample + np.arange(rows)),
            _digits(self.click.astype(np.int8)),
            _digits(self.buy.astype(np.int8)),
            self.keys.take(pa.array(self.line)),
        ]
        return self._lines(columns, features)

    def _combined(self, name: str, ids: Ints) -> Features:
        """Features of a field that is present where the id is in the user's list."""
        weights = self._weight_in_list(COMBINED[name], ids)
        return self.world.features(name, np.where(weights < 0, -1, ids), weights)

    def _lines(self, columns: list[pa.Array], parts: list[Features]) -> memoryview:
        """Bytes of n lines from columns (n,), the last of which is the common index, and the
        features of each line in order.
        """
        merged = Features(*map(np.concatenate, zip(*parts, strict=True)))
        order = np.argsort(merged.lines, kind="stable")
        counts = np.bincount(merged.lines, minlength=len(columns[0]))
        features = pc.binary_join_element_wise(
            self.world.names.take(pa.array(merged.fields[order])),
            _digits(merged.ids[order]),
            VALUES.take(pa.array(merged.values[order])),
            "",
        )
        starts = pa.array(np.append(0, np.cumsum(counts)), pa.int32())
        lists = pc.binary_join(pa.ListArray.from_arrays(starts, features), "\x01")
        joined = pc.binary_join_element_wise(*columns, _digits(counts), lists, ",")
        text = pc.binary_join_element_wise(joined, "", "\n")
        _, ends, data = text.buffers()
        return memoryview(data)[: int(np.frombuffer(ends, np.int32)[len(text)])]


def _digits(numbers: NDArray[np.integer[Any]]) -> pa.Array:
    return pa.array(numbers).cast(pa.string())
