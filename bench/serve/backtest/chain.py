"""What is trained at each cut of a back-test, and what it predicts.

A chain is one part of a model (a network, or boosted trees) over all cuts. A network is trained
from scratch at each cut, or goes on from the cut before, by one pass over new rows. Trees are
always trained from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.core.arrays import Singles
from bench.core.objectives import Objective
from bench.core.records import SplitName
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.core.system.progress import Progress
from bench.data import Store
from bench.models.training import warm
from bench.models.training.blend import mix
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.models.training.tree_model import grow
from bench.models.training.tree_settings import is_trees
from bench.serve.retrain import PartOrder, Predictor, config_of, ends_of
from bench.serve.served_model import ModelPart, Trained, TrainedTrees


@dataclass(frozen=True)
class TestedPoint:
    """A point of a back-test: the chains that it is made of, by place, and the share of each by
    task.
    """

    chains: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]

    def joint(self, predictions: Sequence[Singles], schema: Schema) -> Singles:
        """Joint predictions (N, T), of those of all chains."""
        parts = [torch.from_numpy(np.asarray(predictions[at])) for at in self.chains]
        return mix(parts, self.shares, [task.kind == "binary" for task in schema.tasks]).numpy()


@dataclass(frozen=True)
class Chain:
    """A part of a model over all cuts."""

    order: PartOrder
    objectives: tuple[Objective, ...]
    seed: int
    threads: int

    @property
    def trees(self) -> bool:
        """Whether it is boosted trees, which are always trained from scratch."""
        return is_trees(self.order.config)

    def anew(self, store: Store, progress: Progress, keep: Path | None = None) -> Trained:
        """Trains on train for the passes of the search's best evaluation; `keep` gets the state to
        go on from.
        """
        config = config_of(self.order, store.schema)
        if self.trees:
            grown = grow(store, config, self.seed, self.threads).model
            return TrainedTrees(grown.sizes, grown.state_dict())
        trainer = self._trainer(store, TrialConfig.parse(config))
        ends = ends_of(trainer, self.order.length)
        if keep is not None:
            ends = [max(ends)]  # what goes on is one model, so all its tasks stop together
        states = {}
        for end in sorted(set(ends)):
            trainer.run_to(end, progress)
            states[end] = _copied(trainer)
        if keep is not None:
            warm.keep(trainer, keep, trainer.course.step / trainer.steps_an_epoch)
        return [states[end] for end in (ends if len(states) > 1 else ends[:1])]

    def on(self, store: Store, before: Path, keep: Path, progress: Progress) -> Trained:
        """Goes on from what an earlier training left at `before`, by one pass over train."""
        steady = {"optim.epochs": 1.0, "optim.schedule": "constant", "optim.warmup": 0.0}
        trainer = self._trainer(
            store, TrialConfig.parse(config_of(self.order, store.schema) | steady)
        )
        start = warm.Start.open(before, [task.name for task in store.schema.tasks])
        warm.start_from(trainer, start)
        trainer.run_to(None, progress)
        warm.keep(trainer, keep, start.passes + 1)
        return [_copied(trainer)]

    def _trainer(self, store: Store, config: TrialConfig) -> Trainer:
        return Trainer(store, config, self.objectives, self.seed, self.threads, select=False)

    def joint(self, store: Store, trained: Trained, split: SplitName) -> Singles:
        """Joint predictions (N, T) of a split, as served."""
        part = ModelPart(
            config=config_of(self.order, store.schema), shares=(1.0,) * len(store.schema.tasks)
        )
        pieces = [each.joint for each in Predictor(store, [part]).predictions(split, [[trained]])]
        return np.concatenate(pieces).astype(np.float32)


def _copied(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        name: tensor.detach().cpu().clone() for name, tensor in trainer.model.state_dict().items()
    }


def chains_of(
    points: Mapping[str, Sequence[PartOrder]],
    objectives: tuple[Objective, ...],
    seed: int,
    threads: int,
) -> tuple[list[Chain], dict[str, TestedPoint]]:
    """The distinct parts of some points as chains, and how each point is made of them."""
    chains, members = dict[str, Chain](), dict[str, TestedPoint]()
    for name, orders in points.items():
        keys = [
            repr((sorted(each.config.items()), each.length.epochs, each.length.own))
            for each in orders
        ]
        for key, order in zip(keys, orders, strict=True):
            own = derive(seed, "backtest", len(chains))
            chains.setdefault(key, Chain(replace(order, shares=()), objectives, own, threads))
        places = {key: at for at, key in enumerate(chains)}
        members[name] = TestedPoint(
            tuple(places[key] for key in keys), tuple(order.shares for order in orders)
        )
    return list(chains.values()), members


def going_on(store: Store) -> Store:
    """A store prepared with `known_before` as training reads it: what is new is train, what is held
    out is valid.
    """
    places = {"train": "valid", "valid": "confirm", "test": "test"}
    splits = {name: store.manifest["splits"][of] | {"folder": of} for name, of in places.items()}
    return replace(
        store,
        manifest=store.manifest | {"splits": splits, "fingerprint": f"{store.fingerprint}+new"},
    )
