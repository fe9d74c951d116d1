"""The ensemble of two half-size models: its size, and that predictions are averaged."""

import numpy as np
import pytest
from in_memory import evaluate
from scipy.special import expit, logit

from bench.core.records import Job
from bench.core.schema import Field, Schema, Task
from bench.core.seeds import derive
from bench.training import parts
from bench.training.config import TrialConfig
from bench.training.ensemble import ensemble_of, halved
from bench.training.loop import Trainer
from bench.training.parts import run_parts
from bench.training.step import build_model

CONFIG = {
    "sharing.kind": "single_task",
    "sharing.single_task.layers": "32-16",
    "tower.layers": "16",
    "embedding.dim": 8,
    "optim.epochs": 2,
    "optim.batch_size": 16,
}


def job(schema, *splits, resamples=0):
    config, names = ensemble_of(CONFIG, schema), ("click", "buy", "like")
    return Job(
        None, 1, config, "-", 5, splits, ("click.auc",), names, 1, device="cpu", resamples=resamples, kind="ensemble"
    )


@pytest.mark.parametrize("dim", [16, 5])
@pytest.mark.parametrize("layers", ["128-64", "24", ""])
@pytest.mark.parametrize("interaction", ["none", "dcn_v2"])
def test_two_have_about_the_parameters_of_one(dim, layers, interaction):
    schema = Schema((Field("user", 300), Field("item", 200)), ("age",), (Task("a"), Task("b")))
    named = {"embedding.dim": dim, "sharing.single_task.layers": layers, "interaction.kind": interaction}
    config = TrialConfig.parse(CONFIG | named)
    half = halved(config, schema)
    size, whole = (sum(each.numel() for each in build_model(schema, of).parameters()) for of in (half, config))
    odd_table = dim == 5 and layers != "128-64"  # a table of an odd width cannot be halved
    assert 2 * size / whole == pytest.approx(1, abs=0.25 if odd_table else 0.1)
    assert half.embedding.dim < dim
    assert half.optim == config.optim


def test_predictions_are_averaged_and_costs_added(tiny, monkeypatch):
    made: list[Trainer] = []
    monkeypatch.setattr(parts, "Trainer", lambda *given: made.append(Trainer(*given)) or made[-1])
    result = run_parts(job(tiny.schema, "valid", "test", resamples=20), tiny)
    assert [trainer.seed for trainer in made] == [5, derive(5, "member", 1)]
    each = [list(trainer.evaluation.predictions("test", trainer.selectors)) for trainer in made]
    odds = [[logit(np.concatenate([part[at] for part in own])) for own in each] for at in (0, 1)]
    conditional, joint = (expit(np.mean(both, axis=0)) for both in odds)
    data = tiny.split("test")
    expected = evaluate(np.asarray(data.labels), conditional, joint, data.group, tiny.schema.tasks, "test/")
    assert {key: result.metrics[key] for key in expected} == pytest.approx(expected)
    assert result.metrics["cost/parameters"] == sum(sum(p.numel() for p in t.model.parameters()) for t in made)
    assert len(result.resampled["test/click.auc"]) == 20
    assert result.speed["samples_trained"] == sum(trainer.course.samples for trainer in made) > 0
    assert result.config["part.1.embedding.dim"] == 4
    alone = made[0].evaluation.best("test", made[0].selectors)
    assert result.metrics["test/click.auc"] != alone["test/click.auc"]
    assert run_parts(job(tiny.schema, "valid"), tiny).metrics["valid/click.auc"] == result.metrics["valid/click.auc"]
