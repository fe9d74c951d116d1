"""What is trained at each cut of a back-test, and what it predicts.

A chain is one part of a model (a network, or boosted trees) over all cuts. A network is trained
from scratch at each cut, or goes on from the cut before, by one pass over new rows. Trees, and
trainers from elsewhere, always train from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.core.arrays import Singles
from bench.core.objectives import Objective
from bench.core.records import Scalar, SplitName
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.core.system.progress import Progress
from bench.data import Store
from bench.models.training import warm
from bench.models.training.blend import mix
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.models.training.tree_settings import is_trees
from bench.serve.retrain import (
    PartOrder,
    Predictor,
    config_of,
    ends_of,
    state_of,
    trained_states,
    trained_trees,
)
from bench.serve.served_model import ModelPart, Trained


@dataclass(frozen=True)
class TestedPoint:
    """A point of a back-test: the chains that it is made of, by place, and the share of each by
    task.
    """

    chains: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]

    def joint(self, predictions: Sequence[Singles], schema: Schema) -> Singles:
        """Joint predictions (N, T), of those of all chains."""
        parts = []
        for chain in self.chains:
            parts.append(torch.from_numpy(np.asarray(predictions[chain])))
        is_binary = [task.kind == "binary" for task in schema.tasks]
        return mix(parts, self.shares, is_binary).numpy()


@dataclass(frozen=True)
class Chain:
    """A part of a model over all cuts."""

    order: PartOrder
    objectives: tuple[Objective, ...]
    seed: int
    threads: int

    @property
    def trees(self) -> bool:
        """Whether it is boosted trees."""
        return is_trees(self.order.config)

    @property
    def goes_on(self) -> bool:
        """Whether a training can go on from that of the cut before: a network of our own."""
        return not self.trees and self.order.trainer is None

    def from_scratch(self, store: Store, progress: Progress, keep: Path | None = None) -> Trained:
        """Trains on train for the passes of the search's best evaluation; `keep` gets the state to
        go on from.
        """
        config = config_of(self.order, store.schema)
        if self.trees:
            return trained_trees(store, config, self.seed, self.threads)
        trainer = self._trainer(store, config)
        ends = ends_of(trainer, self.order.length)
        if keep is None:
            return trained_states(trainer, ends, progress)
        # what goes on is one model, so all its tasks stop together
        states = trained_states(trainer, [max(ends)], progress)
        warm.keep(trainer, keep, trainer.course.step / trainer.steps_an_epoch)
        return states

    def continued(
        self,
        store: Store,
        before: Path,
        keep: Path,
        progress: Progress,
    ) -> Trained:
        """Goes on from what an earlier training left at `before`, by one pass over train."""
        steady: dict[str, Scalar] = {
            "optim.epochs": 1.0,
            "optim.schedule": "constant",
            "optim.warmup": 0.0,
        }
        trainer = self._trainer(store, config_of(self.order, store.schema) | steady)
        tasks = [task.name for task in store.schema.tasks]
        start = warm.Start.open(before, tasks)
        warm.start_from(trainer, start)
        trainer.run_to(None, progress)
        warm.keep(trainer, keep, start.passes + 1)
        return [state_of(trainer)]

    def _trainer(self, store: Store, config: Mapping[str, Scalar]) -> Trainer:
        parsed = TrialConfig.parse(config)
        return Trainer(store, parsed, self.objectives, self.seed, self.threads, select=False)

    def joint(self, store: Store, trained: Trained, split: SplitName) -> Singles:
        """Joint predictions (N, T) of a split, as served."""
        part = ModelPart.whole(config_of(self.order, store.schema), store.schema)
        predictions = Predictor(store, [part]).predictions(split, [[trained]])
        return np.concatenate([batch.joint for batch in predictions]).astype(np.float32)


def chains_of(
    points: Mapping[str, Sequence[PartOrder]],
    objectives: tuple[Objective, ...],
    seed: int,
    threads: int,
) -> tuple[list[Chain], dict[str, TestedPoint]]:
    """The distinct parts of some points as chains, and how each point is made of them."""
    chains: list[Chain] = []
    tested = {}
    places: dict[str, int] = {}
    for name, orders in points.items():
        places_of_point, shares = [], []
        for order in orders:
            length = order.length
            key = repr((sorted(order.config.items()), length.epochs, length.by_metric, order.until))
            if key not in places:
                places[key] = len(chains)
                seed_of_chain = derive(seed, "backtest", len(chains))
                order_of_chain = replace(order, shares=())
                chains.append(Chain(order_of_chain, objectives, seed_of_chain, threads))
            places_of_point.append(places[key])
            shares.append(order.shares)
        tested[name] = TestedPoint(tuple(places_of_point), tuple(shares))
    return chains, tested


def store_of_new_rows(store: Store) -> Store:
    """A store prepared with `known_before` as training reads it: what is new is train, what is held
    out is valid.
    """
    folders = {"train": "valid", "valid": "confirm", "test": "test"}
    splits = {}
    for name, folder in folders.items():
        splits[name] = store.manifest["splits"][folder] | {"folder": folder}
    facts = {"splits": splits, "fingerprint": f"{store.fingerprint}+new"}
    return replace(store, manifest=store.manifest | facts)
