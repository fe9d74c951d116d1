"""A blend's predictions and what its job keeps; the size of an ensemble of two half-size models."""

from typing import ClassVar

import numpy as np
import pytest
from in_memory import evaluate

from bench.core.records import NETWORK, SHARE, TREES, Job, Scalar, training_of
from bench.core.rows import REPLICATED
from bench.core.schema import Field, Schema, Task
from bench.measure import predictions
from bench.measure.predictions import name_of, path, read_rows, seal
from bench.measure.resampling import Resampling
from bench.measure.spaces import Predicted
from bench.models.training.blend import mixed, parts_of, run_blend
from bench.models.training.config import TrialConfig
from bench.models.training.ensemble import halved
from bench.models.training.kept import write_rows
from bench.models.training.step import build_model
from bench.models.training.tree_settings import TreeSettings
from bench.testing.training_checks import CHAIN, MemoryStore

SETTINGS = {
    key: value for task in CHAIN for key, value in TreeSettings(leaves=7).dotted(task.name).items()
}
SHARES = {f"{SHARE}click": 0.25, f"{SHARE}buy": 1.0, f"{SHARE}like": 0.5}
CONFIG: dict[str, Scalar] = {NETWORK: "7@16000", TREES: "trees", **SHARES, **SETTINGS}


class Stored(MemoryStore):
    """With what a store on disk also has."""

    segments: ClassVar[dict[str, tuple[str, ...]]] = {}
    logged: tuple[str, ...] = ()
    exposure: ClassVar[dict[str, str]] = {}
    items: ClassVar[dict[str, str]] = {}


def keep(folder, name, split, joint):
    """Leaves predictions as a replicate does."""
    file = path(folder, split, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, joint.astype(np.float32))
    seal(file, file.name)


def test_probabilities_are_mixed_in_logits_and_values_as_they_are():
    """Odds 1/4 and 9 have the geometric mean 3/2; of a task with a parent, so have odds of what
    follows it.
    """
    schema = Schema(
        (), (), (Task("click"), Task("buy", parent="click"), Task("watch", "regression", "click"))
    )
    network, trees = np.array([[0.2, 0.04, 3.0]]), np.array([[0.9, 0.45, 9.0]])
    [(conditional, joint)] = mixed(network, trees, [0.5, 0.5, 0.25], schema)
    odds = np.sqrt([0.25 * 9, (0.04 / 0.96) * (0.45 / 0.55), (0.2 / 0.8) * (0.5 / 0.5)])
    probabilities = odds / (1 + odds)
    np.testing.assert_allclose(joint, [[*probabilities[:2], 0.25 * 3 + 0.75 * 9]], rtol=1e-6)
    np.testing.assert_allclose(
        conditional, [[probabilities[0], probabilities[2], 0.25 * 15 + 0.75 * 10]], rtol=1e-6
    )


def test_a_job_measures_and_keeps_the_mixture(tmp_path, monkeypatch):
    """Of a split with more rows than are kept, on those that are, resampled as those of every model
    are.
    """
    tiny = Stored()
    monkeypatch.setattr(predictions, "MOST_OF_SPLIT", 30)
    write_rows(tiny, tmp_path)
    names = tuple(task.name for task in CHAIN)
    job = Job(
        None,
        2,
        CONFIG,
        "-",
        5,
        REPLICATED,
        ("click.auc",),
        names,
        1,
        resamples=8,
        predictions=str(tmp_path),
        kind="blend",
    )
    rng, parts = np.random.default_rng(1), parts_of(CONFIG, 2)
    assert parts == ("7@16000-2", name_of(training_of("trees", None, None, SETTINGS), 2))
    rows_by_split = {split: read_rows(tmp_path, split) for split in REPLICATED}
    joint_by_split = {
        split: rng.uniform(0.05, 0.95, (2, rows_by_split[split].kept, 3)) for split in REPLICATED
    }
    for split, joints in joint_by_split.items():
        for name, joint in zip(parts, joints, strict=True):
            keep(tmp_path, name, split, joint)
    result = run_blend(job, tiny)
    rows, group = rows_by_split["test"], rows_by_split["test"].group
    assert rows.kept < len(tiny.split("test"))
    [(conditional, joint)] = mixed(*joint_by_split["test"], [0.25, 1.0, 0.5], tiny.schema)
    expected = evaluate(np.asarray(rows.labels), conditional, joint, group, CHAIN, "test/")
    assert {key: result.metrics[key] for key in expected} == pytest.approx(expected)
    kept_joint = predictions.predictions(tmp_path, "test", name_of(job.training, 2))
    np.testing.assert_allclose(kept_joint, joint, rtol=1e-6)
    resampling = Resampling(CHAIN, "test", 8, ())
    resampling.add(
        Predicted(rows.labels, group, units=rows.units, conditional=conditional, joint=joint)
    )
    np.testing.assert_array_equal(
        result.resampled["test/like.auc"], resampling.result()["test/like.auc"]
    )


WHOLE = {
    "sharing.kind": "single_task",
    "sharing.single_task.layers": "32-16",
    "tower.layers": "16",
    "embedding.dim": 8,
    "optim.epochs": 2,
    "optim.batch_size": 16,
}


@pytest.mark.parametrize("dim", [16, 5])
@pytest.mark.parametrize("layers", ["128-64", "24", ""])
@pytest.mark.parametrize("interaction", ["none", "dcn_v2"])
def test_two_have_about_the_parameters_of_one(dim, layers, interaction):
    schema = Schema((Field("user", 300), Field("item", 200)), ("age",), (Task("a"), Task("b")))
    named = {
        "embedding.dim": dim,
        "sharing.single_task.layers": layers,
        "interaction.kind": interaction,
    }
    config = TrialConfig.parse(WHOLE | named)
    half = halved(config, schema)
    size, whole = (
        sum(parameter.numel() for parameter in build_model(schema, candidate).parameters())
        for candidate in (half, config)
    )
    odd_table = dim == 5 and layers != "128-64"  # a table of an odd width cannot be halved
    assert 2 * size / whole == pytest.approx(1, abs=0.25 if odd_table else 0.1)
    assert half.embedding.dim < dim
    assert half.optim == config.optim
