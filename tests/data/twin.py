"""A data set prepared the slow way: every file whole in pandas, every value a Python object, by the
definitions alone.

Shares with the code under test the card, the split rule, its halving, and the canonical spelling of
a value.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from bench.core.seeds import derive
from bench.data.columns.base import DERIVATIONS
from bench.data.columns.categorical import Categorical
from bench.data.columns.numeric import Numeric
from bench.data.segments import MOST_OWN_VALUES, OTHER
from bench.data.splits import SPLITS, HashSplit, SplitInput, halved
from bench.data.tasks import Span
from bench.data.values import Text, canonical


def frame_of(card, paths, names):
    """All columns of CSV files as they stand, as text."""
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8"}
    if names:
        options |= {"header": None, "names": list(names)}
    frames = [pd.read_csv(path, sep=card.reader.separator, **options) for path in paths]
    return pd.concat(frames, ignore_index=True).rename(columns=str.strip)


def rows_of(card, paths):
    """All rows, joined, duplicates left out; and the file of each."""
    reader: Any = card.reader
    frames, files = [], []
    for number, name in enumerate(card.row_files):
        frame = frame_of(card, paths[name], getattr(reader, "columns", ()))
        if reader.kind == "pairs":
            side = frame_of(card, paths[reader.partner[name]], reader.partner_columns)
            frame = frame.merge(side, on=reader.on)
        frames.append(frame)
        files += [number] * len(frame)
    table, file = pd.concat(frames, ignore_index=True), np.array(files)
    if reader.drop_duplicates:
        marked = table.map(
            lambda value: (
                None if value is None or str(value).strip() in ("", *card.missing) else value
            )
        )
        unique = ~marked.duplicated().to_numpy()
        table, file = table[unique].reset_index(drop=True), file[unique]
    for join in reader.joins if reader.kind != "pairs" else ():
        side = frame_of(card, paths[join.file], join.columns)
        row = {canonical(key, card.missing): number for number, key in enumerate(side[join.on])}
        places = [
            row.get(canonical(key, card.missing), -1) if canonical(key, card.missing) else -1
            for key in table[join.on]
        ]
        for column in side.columns:
            if column not in table:
                values = [*side[column], None]
                table[column] = pd.Series([values[i] for i in places], dtype=object)
    return table, file


class Prepared:
    """Arrays of each split, and what the encoder holds.

    Attributes:
        arrays: split -> name -> array.
        vocabularies: field -> its values in order; edges of a bucket field.
        scales: dense column -> (mean, deviation).
        segments: segment -> its values in order.
    """

    def __init__(self, card, table, file):
        self.card, self.table = card, table
        self.vocabularies: dict[str, list[Any]] = {}
        self.scales: dict[str, tuple[float, float]] = {}
        self.segments: dict[str, list[Any]] = {}
        self.labels = np.array(
            [self.label(rule) for rule in card.task_rules], np.float32
        ).T.reshape(len(table), -1)
        group = None if card.group is None else self.text(card.group, None)
        self.group = np.full(len(table), -1) if group is None else coded(group).codes
        time = None
        if card.split_times:
            time = (
                coded(self.text(card.time, None))
                if card.textual_time
                else np.array(self.numbers(card.time, None))
            )
        column = None if card.split_column is None else coded(self.text(card.split_column, None))
        together = None if group is None else coded(group)
        if card.units:
            # a row without a unit is of its group
            pairs = zip(self.text(card.units, None), group, strict=True)
            together = coded(
                [
                    group_text and f"\0{group_text}" if unit is None else unit
                    for unit, group_text in pairs
                ]
            )
        self.units = None if together is None else together.codes
        rows = SplitInput(card.row_files, file.astype(np.int16), time, together, column)
        together = together or (column if isinstance(card.split, HashSplit) else None)
        self.split = halved(card.split.assign(rows), rows, together)
        self.train = np.flatnonzero(self.split == 0)
        ids, dense = self.encoded()
        whole_arrays = {
            "ids": ids,
            "dense": dense,
            "labels": self.labels,
            "group": self.group,
            **self.beside(),
        }
        self.arrays = {
            name: {key: array[self.split == number] for key, array in whole_arrays.items()}
            for number, name in enumerate(SPLITS)
        }

    def beside(self):
        """What the card names beside inputs and labels."""
        card, columns = self.card, {}
        if any(rule.censored for rule in card.task_rules):
            columns["bounds"] = [self.bounds(rule) for rule in card.task_rules]
        if card.logged:
            columns["logged"] = [self.numbers(raw, None) for raw in card.logged]
        if card.segment_rules:
            columns["segments"] = [
                self.segment(name, rule) for name, rule in card.segment_rules.items()
            ]
        if card.items or card.item_numbers:
            codes = [coded(self.text(raw, None)).codes for raw in card.items.values()]
            columns["items"] = [
                [math.nan if code < 0 else code for code in column_codes] for column_codes in codes
            ]
            columns["items"] += [self.numbers(raw, None) for raw in card.item_numbers.values()]
        if card.weight or card.sampling:
            columns["weights"] = [
                self.numbers(card.weight, None) if card.weight else [1] * len(self.table)
            ]
        if card.sampling:
            thinned = [task.name for task in card.tasks].index(card.sampling.task)
            rates = card.sampling.rate
            rates = (
                self.numbers(rates, None) if isinstance(rates, str) else [rates] * len(self.table)
            )
            negative = (self.labels[:, thinned] == 0).tolist()
            columns["weights"].append(
                [
                    1 / rate if is_negative else 1
                    for rate, is_negative in zip(rates, negative, strict=True)
                ]
            )
        arrays = {name: np.array(columns, float).T for name, columns in columns.items()}
        arrays = {
            name: array if name == "items" else array.astype(np.float32)
            for name, array in arrays.items()
        }
        return arrays | ({"units": self.units} if card.units else {})

    def segment(self, name, rule):
        """Its code in each row; the values of a category are those that are frequent on train."""
        texts = self.text(rule.raw, None)
        seen = [texts[row] for row in self.train if texts[row] is not None]
        if rule.ranges:
            numbers = self.numbers(rule.raw, None)
            return [-1 if x != x else sum(end <= x for end in rule.ranges) for x in numbers]
        if rule.known:
            return [-1 if text is None else int(text not in seen) for text in texts]
        first = {text: row for row, text in reversed(list(enumerate(texts)))}
        named = sorted({*seen} - {OTHER}, key=lambda text: (-seen.count(text), first[text]))[
            :MOST_OWN_VALUES
        ]
        self.segments[name] = named + [OTHER] * (len(named) < len({*texts} - {None}))
        return [
            -1 if text is None else named.index(text) if text in named else len(named)
            for text in texts
        ]

    def lists(self, raw, column):
        """The values of each row; one number in two spellings is two values where the column has
        both.
        """
        texts = self.card.raw_columns[raw] != "number" and column.derive is None

        def split(spelled):
            if isinstance(column, Categorical):
                return [[value] for value in self.text(raw, column.derive, spelled)]
            joined = self.text(raw, column.derive, texts)
            return [pieces(value, column, self.card.missing, spelled) for value in joined]

        rows = split(texts)
        spelled = {value for row in rows for value in row}
        return rows if len({canonical(value) for value in spelled}) < len(spelled) else split(False)

    def text(self, raw, derivation, spelled=False):
        if derivation is not None:
            return [canonical(value) for value in self.numbers(raw, derivation)]
        if self.card.raw_columns[raw] == "number":
            return [canonical(value) for value in self.numbers(raw, None)]
        return [canonical(value, self.card.missing, spelled) for value in self.table[raw]]

    def numbers(self, raw, derivation):
        texts = [canonical(value, self.card.missing) for value in self.table[raw]]
        numbers = np.array([math.nan if text is None else float(text) for text in texts])
        numbers[~np.isfinite(numbers)] = math.nan
        return (numbers if derivation is None else DERIVATIONS[derivation](numbers)).tolist()

    def label(self, rule):
        if rule.kind == "regression":
            product = np.minimum(
                np.array(self.numbers(rule.column, None)) / rule.unit, self.bounds(rule)
            )
        else:
            product = self.happened(rule)
        for raw, holds in rule.where.items():
            if isinstance(holds, Span):
                numbers = np.array(self.numbers(raw, None))
                counts = (numbers >= holds.first) & (numbers <= holds.last)
            else:
                counts = np.array(
                    [canonical(value, self.card.missing) in holds for value in self.table[raw]]
                )
            product = np.where(counts, product, math.nan)
        return product.tolist()

    def bounds(self, rule):
        """The most that a label can be."""
        if rule.censored is None:
            return np.full(len(self.table), math.inf)
        bounds = np.array(self.numbers(rule.censored, None)) / rule.unit
        return np.where(np.isnan(bounds), math.inf, bounds)

    def happened(self, rule):
        product = np.ones(len(self.table))
        for raw in rule.sources:
            values = [canonical(value, self.card.missing) for value in self.table[raw]]
            positive = rule.positive or ("1", "true", "True")
            product *= [math.nan if value is None else float(value in positive) for value in values]
        return product

    def encoded(self):
        card, offset = self.card, 1
        ranges: list[tuple[str, Any]] = []
        ids: list[np.ndarray[Any, Any]] = []
        dense: list[np.ndarray[Any, Any]] = []
        rates: dict[str, np.ndarray[Any, Any]] = {}
        for name, column in card.columns.items():
            raw = column.source or name
            if isinstance(column, Numeric):
                numbers = np.array(self.numbers(raw, column.derive))
                dense += self.standardised(
                    name,
                    np.sign(numbers) * np.log1p(abs(numbers)) if column.log1p else numbers,
                    column.missing_flag,
                )
                ranges.append((name, numbers))
                continue
            lists = self.lists(raw, column)
            counts: dict[Any, int] = {}
            for train_row in self.train:
                for value in lists[train_row]:
                    counts[value] = counts.get(value, 0) + 1
            fewest = column.min_count or card.encoding.min_count
            frequent = sorted(
                (v for v in counts if counts[v] >= fewest),
                key=lambda v: (-counts[v], v is None, v or ""),
            )
            self.vocabularies[name] = frequent
            number = {value: place for place, value in enumerate(frequent, 1)}
            local = [[number.get(value, 0) for value in row] for row in lists]
            if name in card.encoding.target_rates:
                rates[name] = self.rates(name, [row[0] for row in lists])
            slots = getattr(column, "max_length", 1)
            ids.append(
                np.array(
                    [[offset + i for i in row] + [0] * (slots - len(row)) for row in local],
                    np.int32,
                )
            )
            offset += len(frequent) + 1
        for name, numbers in ranges:
            train = numbers[self.train]
            edges = edges_of(train, max(2, min(1000, int((~np.isnan(train)).sum()) // 20)))
            self.vocabularies[f"{name}_bucket"] = edges
            of_row = [len(edges) + 2 if x != x else 1 + sum(e <= x for e in edges) for x in numbers]
            ids.append(np.array([[offset + i] for i in of_row], np.int32))
            offset += len(edges) + 3
        dense += [rates[name] for name in card.encoding.target_rates]
        none: np.ndarray[Any, Any] = np.empty((len(self.table), 0))
        return np.hstack([none.astype(np.int32), *ids]), np.hstack([none, *dense]).astype(
            np.float32
        )

    def standardised(self, name, numbers, flag):
        train = numbers[self.train]
        present = train[~np.isnan(train)]
        mean, scale = (
            (math.fsum(present) / len(present), float(present.std()))
            if len(present)
            else (0.0, 1.0)
        )
        if scale <= 1e-12 * max(1.0, abs(mean)):
            scale = 1.0
        self.scales[name] = mean, scale
        columns = [np.where(np.isnan(numbers), 0, (numbers - mean) / scale)]
        if flag or len(present) < len(train):
            columns.append(np.isnan(numbers).astype(float))
        return [np.stack(columns, axis=1)]

    def rates(self, name, values):
        """Smoothed means of train labels of equal value; a train row's without its fold."""
        encoding, card = self.card.encoding, self.card
        draws = np.random.default_rng(derive(encoding.seed, "folds")).random(len(self.train))
        fold = dict(
            zip(self.train.tolist(), np.floor(draws * encoding.rate_folds).tolist(), strict=True)
        )
        of_value: dict[Any, list[int]] = {}
        for i in self.train.tolist():
            of_value.setdefault(values[i], []).append(i)
        rated = [
            t
            for t, task in enumerate(card.tasks)
            if task.name in (encoding.rate_tasks or (task.name,))
        ]
        priors = {
            out: [self.mean(t, [i for i in fold if fold[i] != out]) for t in rated]
            for out in {None, *fold.values()}
        }
        rated_values = np.empty((len(values), len(rated) + 1))
        cache: dict[Any, Any] = {}
        for row, value in enumerate(values):
            out = fold.get(row)
            if (value, out) not in cache:
                rows = [i for i in of_value.get(value, []) if out is None or fold[i] != out]
                rates = [
                    self.rate(task, rows, prior)
                    for task, prior in zip(rated, priors[out], strict=True)
                ]
                cache[value, out] = [*rates, np.log1p(len(rows))]
            rated_values[row] = cache[value, out]
        mean, scale = rated_values[self.train].mean(axis=0), rated_values[self.train].std(axis=0)
        scale = np.where(scale <= 1e-12 * np.maximum(1, abs(mean)), 1, scale)
        return (rated_values - mean) / scale

    def mean(self, task, rows):
        seen = [float(self.labels[i, task]) for i in rows if not np.isnan(self.labels[i, task])]
        return sum(seen) / max(len(seen), 1)

    def rate(self, task, rows, prior):
        seen = [float(self.labels[i, task]) for i in rows if not np.isnan(self.labels[i, task])]
        weight = self.card.encoding.rate_smoothing
        rate = (sum(seen) + weight * prior) / (len(seen) + weight)
        if self.card.tasks[task].kind == "regression":
            return rate
        rate = min(max(rate, 1e-6), 1 - 1e-6)
        return float(np.log(rate / (1 - rate)))


def coded(values):
    number: dict[str, int] = {}
    codes = [-1 if value is None else number.setdefault(value, len(number)) for value in values]
    return Text(np.array(codes, np.int32), tuple(number))


def pieces(joined, column, missing, spelled):
    parts = [canonical(part, missing, spelled) for part in (joined or "").split(column.separator)]
    last = column.keep == "last"
    present = [part for part in parts if part is not None][:: -1 if last else 1]
    return list(dict.fromkeys(present))[: column.max_length][:: -1 if last else 1]


def edges_of(numbers, buckets):
    """Cuts where a new share of the rows begins, spikes apart."""
    present = numbers[~np.isnan(numbers)]
    counts = pd.Series(present).value_counts().sort_index()
    if len(counts) <= 1:
        return []
    spike = counts * buckets >= len(present)
    rest = counts.where(~spike, 0)
    share = max(rest.sum() / max(buckets - spike.sum(), 1), 1)
    bin_of = np.floor((rest.cumsum() - rest / 2) / share)
    edges, values = [], counts.index.tolist()
    for place in range(1, len(values)):
        if (
            bin_of.iloc[place] > bin_of.iloc[place - 1]
            or spike.iloc[place]
            or spike.iloc[place - 1]
        ):
            edges.append(float(values[place]))
    return edges


def prepared(card, paths):
    """The whole way."""
    return Prepared(card, *rows_of(card, paths))
