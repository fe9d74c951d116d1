"""A small model with everything that is served beside it, trained in about a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from bench.data import Store, load_card, prepare
from bench.data.assemble import Assembler
from bench.data.card import Card
from bench.data.readers import Paths, read
from bench.data.splits import SPLITS
from bench.data.synthetic import GENERATORS
from bench.frontier.score import Score
from bench.objectives import parse, primary
from bench.production.calibration import Calibration
from bench.production.package import Package, Parts, write_package
from bench.production.served_model import ModelSpec, Part, State
from bench.progress import Silent
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

FUNNEL = "synthetic-funnel@rows=4000"
SMALL = {"embedding.dim": 4, "tower.layers": "8", "optim.epochs": 1.0}
CALIBRATIONS = {"click": Calibration(kind="platt", a=0.9, b=-0.1)}
SCORE = Score(kind="power", weights={"click": 1.0, "purchase.ctcvr": 0.5})


def trained(store: Store, seed: int = 0, **config: Any) -> Trainer:
    tasks = store.schema.tasks
    objectives = [parse(primary(task, in_groups=False), tasks, "test") for task in tasks]
    trainer = Trainer(store, TrialConfig.parse(SMALL | config), objectives, seed, device="cpu")
    trainer.run_to()
    return trainer


def best_states(trainer: Trainer) -> list[State]:
    """A trained member: copies of the states that validation chose; before the first evaluation, the current one."""
    current = trainer.model.state_dict()
    chosen = [
        current if selector.current or selector.snapshot is None else selector.snapshot
        for selector in trainer.selectors
    ]
    return [{name: tensor.detach().cpu().clone() for name, tensor in state.items()} for state in chosen]


def parts_of(store: Store, *trainers: Trainer, **more: Any) -> Parts:
    valid = store.split("valid")
    return Parts(
        name=store.key,
        schema=store.schema,
        parts=[Part.whole(trainers[0].config.dotted(), store.schema)],
        members=[[[best_states(trainer)]] for trainer in trainers],
        encoder=store.encoder,
        rows=(np.array(valid.ids[:256]), np.array(valid.dense[:256])),
        **more,
    )


def funnel_store(home: Path, key: str = FUNNEL) -> Store:
    store = prepare(load_card(key), home)
    return store.with_tasks(store.default_tasks)


def funnel_package(folder: Path, store: Store, onnx: bool = False, **more: Any) -> Package:
    given = {"score": SCORE, "calibrations": CALIBRATIONS} | more
    trainer = trained(store, **{"sharing.kind": "mmoe", "sharing.mmoe.layers": "8"})
    return write_package(parts_of(store, trainer, **given), folder, onnx)


def raw_rows(key: str = FUNNEL) -> Any:
    """Raw rows of generated data, in the order of its generation."""
    reader: Any = load_card(key).reader
    generator = GENERATORS[reader.generator]
    return generator.generate(generator.config.model_validate(reader.parameters))


def raw_split(card: Card, paths: Paths, name: str) -> Any:
    """The raw rows of a split, in the order of its store."""
    assembler = Assembler(card, [])
    taken = [assembler.take(part) for part in read(card, paths, Silent())]
    return pa.concat_tables([rows.table.filter(pa.array(rows.split == SPLITS.index(name))) for rows in taken])


def said_by(trainer: Trainer, ids: Any, dense: Any) -> tuple[Any, Any]:
    """Conditional and joint probabilities of a trained model, in float32."""
    parts, members = [Part.whole(trainer.config.dotted(), trainer.schema)], [[[best_states(trainer)]]]
    served = ModelSpec.of_trained(trainer.schema, parts, members).of(members)
    with torch.inference_mode():
        conditional, joint = served(torch.from_numpy(np.array(ids)), torch.from_numpy(np.array(dense)))
    return conditional.numpy(), joint.numpy()
