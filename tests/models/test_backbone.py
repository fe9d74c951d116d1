"""A sharing that sees tokens and histories value by value: the example's transformer."""

from pathlib import Path

import pytest
import torch
from model_toys import Together, exported, in_onnx

from bench.core import plugins
from bench.core.plugins import PluginFile
from bench.testing import checks
from bench.testing import models as of

EXAMPLE = Path(__file__).parents[2] / "examples" / "transformer" / "transformer.py"
TOKENS = {"sharing": "task_tokens"}


@pytest.fixture(autouse=True)
def _plugin(monkeypatch):
    monkeypatch.setattr(plugins, "_FILES", {})
    plugins.add(PluginFile.read(EXAMPLE))


@pytest.mark.slow
def test_the_example_does_what_every_sharing_must_do():
    all_checks = checks("sharing", "task_tokens")
    assert len(all_checks) > 10
    for check in all_checks:
        check()


def a_model_with_a_batch(size, members=1):
    model = of.build("mixed", TOKENS, members=members).eval()
    return model, of.batch_of(model.schema, size)


def inputs_of_represent(model, ids, dense):
    """What a model's backbone gets of a batch."""
    caught = []
    represent = model.sharing.represent
    model.sharing.represent = lambda *inputs: caught.append(inputs) or represent(*inputs)
    model(ids, dense)
    del model.sharing.represent
    return caught[0]


def test_it_sees_a_row_as_tokens_and_a_history_value_by_value():
    model, (ids, dense, _) = a_model_with_a_batch(16)
    tokens, _, (history,) = inputs_of_represent(model, ids, dense)
    width = model.sharing.layout.dim
    assert tokens.shape == (16, len(model.sharing.layout.names), width)
    past = ids[:, -history.values.shape[1] :]
    assert history.name == model.schema.fields[-1].name
    torch.testing.assert_close(history.mask, past != 0)
    embedded = model.embedding.weight[model.rows(ids)]
    torch.testing.assert_close(history.values, embedded[:, -past.shape[1] :])


def test_each_value_of_a_history_counts_and_its_padding_does_not():
    model, (ids, dense, _) = a_model_with_a_batch(64)
    tokens, numbers, (history,) = inputs_of_represent(model, ids, dense)
    expected = model.sharing.represent(tokens, numbers, [history])
    for place in range(history.values.shape[1]):
        values = history.values.clone()
        values[:, place] += 1
        found = model.sharing.represent(tokens, numbers, [history._replace(values=values)])
        moved = (found != expected).any(dim=2).any(dim=0)
        assert torch.equal(moved, history.mask[:, place])


def test_each_member_of_an_ensemble_reads_the_histories():
    model, (ids, dense, _) = a_model_with_a_batch(8, members=2)
    tokens, _, (history,) = inputs_of_represent(model, ids, dense)
    assert len(tokens) == len(history.values) == 16
    assert torch.equal(history.values[:8], history.values[8:])


@pytest.mark.slow
def test_it_gives_the_same_in_onnx():
    models = {}
    for members in (1, 2):
        models[str(members)] = of.build("mixed", TOKENS, members=members).eval()
    schema = models["1"].schema
    run = in_onnx(exported(Together(models), of.batch_of(schema, 8)[:2]))
    for size in (1, 2, 13):
        ids, dense, _ = of.batch_of(schema, size)
        expected = [model(ids, dense) for model in models.values()]
        torch.testing.assert_close(run(ids, dense), expected, rtol=1e-5, atol=1e-5)
