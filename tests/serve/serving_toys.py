"""A small model with everything that is served beside it, trained in a second; and packages that
somebody changed.
"""

import json
import shutil
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import torch

from bench.core.objectives import parse, primary
from bench.core.system.progress import Silent
from bench.data import load_card, prepare
from bench.data.assemble import Assembler
from bench.data.readers import read
from bench.data.splits import SPLITS
from bench.data.synthetic import GENERATORS
from bench.deciding.score import Score
from bench.models.training import tree_training
from bench.models.training.blend import mixed
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.models.training.tree_data import RowLimits, width
from bench.models.training.tree_model import Grown, tree_model
from bench.models.training.tree_settings import TreeSettings, whole_settings
from bench.models.training.tree_training import train_trees
from bench.serve.calibration_maps import Calibration
from bench.serve.package import Contents, digest_of, facts_of, write_package
from bench.serve.served_model import ModelPart, ModelSpec, TrainedTrees

FUNNEL = "synthetic-funnel@rows=4000"
SMALL = {"embedding.dim": 4, "tower.layers": "8", "optim.epochs": 1.0}
CALIBRATIONS = {"click": Calibration(kind="platt", a=0.9, b=-0.1)}
SCORE = Score(kind="power", weights={"click": 1.0, "purchase.ctcvr": 0.5})


def trained(store, seed=0, **config):
    tasks = store.schema.tasks
    objectives = [parse(primary(task, in_groups=False), tasks, "test") for task in tasks]
    trainer = Trainer(store, TrialConfig.parse(SMALL | config), objectives, seed, device="cpu")
    trainer.run_to()
    return trainer


def best_states(trainer):
    """A trained member: copies of the states that validation chose; before the first evaluation,
    the current one.
    """
    current = trainer.model.state_dict()
    chosen = [
        current if selector.current or selector.snapshot is None else selector.snapshot
        for selector in trainer.selectors
    ]
    return [
        {name: tensor.detach().cpu().clone() for name, tensor in state.items()} for state in chosen
    ]


def parts_of(store, *trainers, **options):
    valid = store.split("valid")
    return Contents(
        name=store.key,
        schema=store.schema,
        parts=[ModelPart.whole(trainers[0].config.dotted(), store.schema)],
        members=[[best_states(trainer)] for trainer in trainers],
        encoder=store.encoder,
        rows=(np.array(valid.ids[:256]), np.array(valid.dense[:256])),
        **options,
    )


def funnel_store(home, key=FUNNEL):
    store = prepare(load_card(key), home)
    return store.with_tasks(store.default_tasks)


def funnel_package(folder, store, onnx=False, **options):
    contents = {"score": SCORE, "calibrations": CALIBRATIONS} | options
    trainer = trained(store, **{"sharing.kind": "mmoe", "sharing.mmoe.layers": "8"})
    return write_package(parts_of(store, trainer, **contents), folder, onnx)


def trees_of(store, trees=12):
    """A few boosted trees of each task: as a part, as they are packaged, and as scikit-learn has
    them.
    """
    limits, tasks = RowLimits.of(store.split("train"), width(store.schema)), store.schema.tasks
    with patch.object(tree_training, "MOST_TREES", trees):
        grown = [
            train_trees(store, task, TreeSettings(), limits, task) for task in range(len(tasks))
        ]
    model = tree_model(grown, store.schema)
    part = ModelPart.whole(whole_settings({}, [task.name for task in tasks]), store.schema)
    return part, TrainedTrees(model.sizes, model.state_dict()), grown


def package_of(kind, folder, store, onnx=False, **options):
    """A package of `trees`, a `blend` or a `composite`, see `measured_package`."""
    return measured_package(kind, folder, store, onnx, **options)[0]


def measured_package(kind, folder, store, onnx=False, **options):
    """A package, and the joint predictions of test (N, T) as a run measures and keeps them: no
    module of a package.

    The blend takes half of the first task and a fifth of the second from trees. The composite has
    each task from a network of its own.
    """
    part, grown, models = trees_of(store)
    networks = [trained(store, **{"sharing.kind": name}) for name in ("mmoe", "shared_bottom")]
    parts = [ModelPart.whole(network.config.dotted(), store.schema) for network in networks]
    states = [best_states(network) for network in networks]
    shares: dict[str, list[tuple[float, float]]] = {
        "blend": [(0.5, 0.8), (0.5, 0.2)],
        "composite": [(1, 0), (0, 1)],
    }
    chosen, member = {
        "trees": ([part], [grown]),
        "blend": ([parts[0], part], [states[0], grown]),
        "composite": (parts, states),
    }[kind]
    for number, own_shares in enumerate(shares.get(kind, [])):
        chosen[number] = chosen[number].model_copy(update={"shares": own_shares})
    whole = replace(parts_of(store, networks[0], **options), parts=chosen, members=[member])
    of_trees = _joint(Grown(store, tuple(models), 4096).predictions("test"))
    first_joint, second_joint = (
        _joint(network.evaluation.predictions("test", network.selectors)) for network in networks
    )
    joint = {
        "trees": of_trees,
        "blend": _joint(mixed(first_joint, of_trees, shares["blend"][0], store.schema)),
        "composite": np.stack([first_joint[:, 0], second_joint[:, 1]], axis=1),
    }[kind]
    return write_package(whole, folder, onnx), joint


def _joint(pieces):
    return np.concatenate([joint for _, joint in pieces])


def raw_rows(key=FUNNEL):
    """Raw rows of generated data, in the order of its generation."""
    reader: Any = load_card(key).reader
    generator = GENERATORS[reader.generator]
    return generator.generate(generator.config.model_validate(reader.parameters))


def raw_split(card, paths, name):
    """The raw rows of a split, in the order of its store."""
    assembler = Assembler(card, [])
    taken = [assembler.take(part) for part in read(card, paths, Silent())]
    return pa.concat_tables(
        [rows.table.filter(pa.array(rows.split == SPLITS.index(name))) for rows in taken]
    )


def said_by(trainer, ids, dense):
    """Conditional and joint probabilities of a trained model, in float32."""
    parts = [ModelPart.whole(trainer.config.dotted(), trainer.schema)]
    members = [[best_states(trainer)]]
    served = ModelSpec.of_trained(trainer.schema, parts, members).with_weights(members)
    with torch.inference_mode():
        conditional, joint = served(
            torch.from_numpy(np.array(ids)), torch.from_numpy(np.array(dense))
        )
    return conditional.numpy(), joint.numpy()


def tampered(package, into, name, change):
    """A copy of a package with the JSON of one file changed, in place or replaced, and its digest
    made right.
    """
    shutil.copytree(package, into)
    (into / name).write_bytes(edited((into / name).read_bytes(), change))
    sign(into)
    return into


def edited(contents, change):
    values = json.loads(contents)
    changed = change(values)
    values = values if changed is None else changed
    return values if isinstance(values, bytes) else json.dumps(values).encode()


def sign(folder):
    """Makes the manifest's digests those of the files and its own; where it has no list of files,
    it stays.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        for name in manifest["files"]:
            manifest["files"][name] = facts_of(folder / name).model_dump()
        manifest["digest"] = digest_of(manifest)
    except (ValueError, KeyError, TypeError, RecursionError, FileNotFoundError):
        return
    (folder / "manifest.json").write_text(json.dumps(manifest))
