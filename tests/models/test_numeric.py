"""What every numeric kind must do on any sharing, and the kinds with tokens against the authors' package."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from model_toys import batch_on, model_on
from torch import Tensor

from bench.core.schema import Field, Number, Schema, Task
from bench.models.assembly import MultiTaskModel
from bench.models.config import EmbeddingConfig
from bench.models.contracts import BySets
from bench.models.interactions import INTERACTIONS
from bench.models.numeric import NUMERIC, Numeric
from bench.models.numeric.piecewise_linear import bin_edges

TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", "regression"))
EDGES = ((-1.0, -0.5, 0.0, 0.25, 2.0), (-2.0, 0.5, 1.0), (0.0, 0.0))
COUNTS = ((10, 20, 60, 10), (70, 30), (100,))
NUMBERS = (
    Number("age", 0, None, EDGES[0], COUNTS[0]),
    Number("price", 2, 3, EDGES[1], COUNTS[1]),
    Number("same", 4, None, EDGES[2], COUNTS[2]),
)
FIELDS = (Field("user", 30), Field("tags", 10, slots=3), Field("item", 20))
RANGES = tuple(Field(f"{number.name}_bucket", len(number.counts) + 2) for number in NUMBERS)
DENSE = ("age", "user_rate", "price", "price_missing", "same")
SCHEMA = Schema((*FIELDS, *RANGES), DENSE, TASKS, None, NUMBERS, scenario="item")
PLAIN = replace(SCHEMA, fields=FIELDS, numbers=())
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("scaled", {}),
    ("bucket", {}),
    ("bucket", {"bins": 2}),
    ("piecewise_linear", {}),
    ("piecewise_linear", {"bins": 2, "activation": False}),
    ("periodic", {"frequencies": 3, "sigma": 0.5}),
    ("bucket_and_piecewise", {"ranges": 3}),
]
EACH = pytest.mark.parametrize(("kind", "options"), OPTIONS)
TOKENS = pytest.mark.parametrize(("kind", "options"), OPTIONS[3:])


def made(kind: str, sets: int = 1, schema: Schema = SCHEMA, dim: int = 4, **options: object) -> Numeric:
    entry = NUMERIC[kind]
    return entry.build(schema, dim, sets, entry.config.model_validate(options))


def model_of(
    sharing: str, kind: str, interaction: str = "none", schema: Schema = SCHEMA, dim: int = 4, **options: object
) -> MultiTaskModel:
    return model_on(schema, EmbeddingConfig(dim=dim), sharing=sharing, interaction=interaction, numeric=(kind, options))


def shaken(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()


@EACH
@pytest.mark.parametrize("sets", [1, 3])
def test_sets_and_samples_are_apart_and_any_batch_size_goes(kind: str, options: dict[str, Any], sets: int) -> None:
    numeric, (_, dense) = made(kind, sets, **options), batch_on(SCHEMA, 7)
    shaken(numeric)
    x = dense.expand(sets, -1, -1)
    y = numeric(x)
    assert y.shape == (sets, 7, numeric.outputs)
    assert numeric.outputs == 4 * len(numeric.tokens) + len(numeric.schema.dense)
    alone = torch.cat([numeric(x[:, i : i + 1]) for i in range(7)], dim=1)
    torch.testing.assert_close(alone, y, rtol=1e-5, atol=1e-6)
    assert numeric(x[:, :0]).shape == (sets, 0, numeric.outputs)
    for parameter in numeric.parameters():
        assert len(parameter) == sets
        for number in range(sets):
            (gradient,) = torch.autograd.grad(numeric(x)[number].square().sum(), parameter)
            assert gradient.flatten(1).any(dim=1).tolist() == [other == number for other in range(sets)]


@EACH
def test_a_number_alone_decides_its_token(kind: str, options: dict[str, Any]) -> None:
    numeric, (_, dense) = made(kind, **options), batch_on(SCHEMA, 9)
    shaken(numeric)
    moved = dense.clone()
    moved[:, 0] += 0.3
    changed = (numeric(moved[None]) != numeric(dense[None]))[0].any(0)
    assert changed.any()
    assert not changed[4 if numeric.tokens else 1 :].any()


@TOKENS
def test_a_missing_number_has_a_token_of_its_own(kind: str, options: dict[str, Any]) -> None:
    numeric, (_, dense) = made(kind, **options), batch_on(SCHEMA, 9)
    shaken(numeric)
    missing = dense[:, 3] == 1
    tokens = numeric(dense[None])[0, :, :12].view(9, 3, 4)[:, 1]
    assert torch.equal(tokens[missing], numeric.missing[0, 1].expand(3, -1))  # type: ignore[index]
    assert not (tokens[~missing] == numeric.missing[0, 1]).all(1).any()  # type: ignore[index]
    assert numeric.schema.dense == ("user_rate",)
    assert numeric.tokens == ("age", "price", "same")
    no_flag = replace(SCHEMA, numbers=(NUMBERS[0], replace(NUMBERS[1], missing=None), NUMBERS[2]))
    assert made(kind, schema=no_flag, **options).missing is None


def test_rows_of_the_table_are_those_of_the_fields_that_are_seen() -> None:
    ids, _ = batch_on(SCHEMA, 200)
    assert torch.equal(made("bucket").rows(ids), ids)
    assert made("bucket").schema == SCHEMA
    for kind in ("scaled", "piecewise_linear", "periodic"):
        assert torch.equal(made(kind).rows(ids), ids[:, :5])
        assert made(kind).schema.fields == FIELDS
        assert made(kind).rows(ids).is_contiguous()
    both = made("bucket_and_piecewise", ranges=2)
    coarse = made("bucket", bins=2)
    assert both.schema == replace(coarse.schema, dense=("user_rate",), numbers=())
    assert torch.equal(both.rows(ids), coarse.rows(ids))
    assert [field.cardinality for field in coarse.schema.fields[3:]] == [5, 4, 3]  # the spike has a range to itself
    rows = coarse.rows(ids)
    first = SCHEMA.offsets[3]
    assert torch.equal(rows[:, :5], ids[:, :5])
    of_age = {int(a) - first: int(b) - first for a, b in zip(ids[:, 5], rows[:, 5], strict=True)}
    assert of_age == {0: 0, 1: 1, 2: 1, 3: 2, 4: 3, 5: 4}
    others = {int(a) - int(b) for a, b in zip(ids[:, 6:].flatten(), rows[:, 6:].flatten(), strict=True)}
    assert others == {1}  # both later numbers have as many ranges as before
    assert rows.max() < coarse.schema.rows


@pytest.mark.parametrize(("kind", "interaction"), list(product(NUMERIC, INTERACTIONS)))
def test_interactions_see_tokens_as_fields(kind: str, interaction: str) -> None:
    model = model_of("stem", kind, interaction).eval()
    ids, dense = batch_on(SCHEMA, 8)
    assert model(ids, dense).shape == (8, 3)
    assert model(ids[:0], dense[:0]).shape == (0, 3)
    numbers_alone = replace(SCHEMA, fields=RANGES)
    ids, dense = batch_on(numbers_alone, 8)
    assert model_of("mmoe", kind, interaction, numbers_alone)(ids, dense).shape == (8, 3)


def test_fm_multiplies_tokens_of_numbers_with_fields() -> None:
    model = model_of("shared_bottom", "piecewise_linear", "fm", activation=False)
    shaken(model)
    ids, dense = batch_on(SCHEMA, 6)
    ids = model.rows(ids)
    x = model._inputs(model.embed(ids), ids, dense)[0]
    v = x[:, :24].view(6, 6, 4)
    torch.testing.assert_close(x[:, 25:], (v.sum(1).square() - v.square().sum(1)) / 2, rtol=1e-4, atol=1e-4)


def test_pepnet_may_be_told_of_a_number() -> None:
    def columns(kind: str, fields: tuple[str, ...]) -> list[int]:
        model = model_on(SCHEMA, EmbeddingConfig(dim=2), (), sharing=("pepnet", {"fields": fields}), numeric=kind)
        return model.sharing.prior.tolist()  # type: ignore[union-attr, no-any-return, operator]

    assert columns("bucket", ("age_bucket",)) == [6, 7]
    assert columns("periodic", ("price",)) == [8, 9]
    assert columns("bucket", ()) == [0, 1]  # the categorical field of most values


def test_bins_lie_between_trains_ends() -> None:
    assert bin_edges(NUMBERS[0], 1000) == list(EDGES[0])
    assert bin_edges(NUMBERS[0], 2) == [-1.0, 0.0, 0.25, 2.0]
    assert bin_edges(NUMBERS[2], 5) == [0.0]


DENSE = torch.linspace(-3, 3, 60).view(20, 3)


def tokens_of(numeric: Numeric) -> Tensor:
    x = torch.zeros(2, 20, 5)
    x[..., [0, 2, 4]] = DENSE
    return numeric(x)[..., :12].unflatten(2, (3, 4))  # type: ignore[no-any-return]


@pytest.mark.parametrize("activation", [True, False])
def test_piecewise_linear_equals_the_authors(activation: bool) -> None:
    theirs_of = pytest.importorskip("rtdl_num_embeddings", reason="rtdl_num_embeddings is not installed")
    numbers = (*NUMBERS[:2], Number("more", 4, None, tuple(np.linspace(-1, 2, 8)), (5,) * 7))
    ours = made("piecewise_linear", 2, replace(SCHEMA, numbers=numbers), activation=activation)
    edges = [bin_edges(number, 48) for number in numbers]
    for at, found in enumerate(tokens_of(ours)):
        theirs = theirs_of.PiecewiseLinearEmbeddings(
            [torch.tensor(each) for each in edges], 4, activation=activation, version="A"
        )
        with torch.no_grad():  # theirs has a number's last bin in the last place
            theirs.linear.weight.zero_()
            for q, each in enumerate(edges):
                last = len(each) - 2
                theirs.linear.weight[q, :last] = ours.linear.weight[at, q, :last]
                theirs.linear.weight[q, -1] = ours.linear.weight[at, q, last]
            theirs.linear.bias.copy_(ours.linear.bias[at])
        torch.testing.assert_close(found, theirs(DENSE), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", [True, False])
def test_periodic_equals_the_authors(activation: bool) -> None:
    theirs_of = pytest.importorskip("rtdl_num_embeddings", reason="rtdl_num_embeddings is not installed")
    ours = made("periodic", 2, replace(SCHEMA, numbers=NUMBERS), frequencies=5, sigma=0.7, activation=activation)
    for at, found in enumerate(tokens_of(ours)):
        theirs = theirs_of.PeriodicEmbeddings(
            3, 4, n_frequencies=5, frequency_init_scale=0.7, activation=activation, lite=False
        )
        with torch.no_grad():
            theirs.periodic.weight.copy_(ours.waves.weight[at])
            theirs.linear.weight.copy_(ours.linear.weight[at])
            theirs.linear.bias.copy_(ours.linear.bias[at])
        torch.testing.assert_close(found, theirs(DENSE), rtol=1e-5, atol=1e-5)


def test_initial_weights_are_the_authors() -> None:
    """By their spread: uniform within inputs^(-1/2), frequencies normal within three deviations."""
    many = tuple(Number(f"n{at}", at, None, tuple(np.linspace(-1, 1, 26)), (9,) * 25) for at in range(50))
    wide = Schema(tuple(Field(n.name, 27) for n in many), tuple(n.name for n in many), TASKS, None, many)
    linear = made("piecewise_linear", schema=wide).linear
    assert linear.weight.abs().max() <= 0.2
    assert abs(float(linear.weight.detach().std()) - 0.2 / 3**0.5) < 0.005
    waves = made("periodic", schema=wide, sigma=0.3).waves.weight.detach()
    assert abs(float(waves.std()) - 0.3) < 0.02
    assert waves.abs().max() <= 0.9


def test_a_set_that_serves_one_task_is_apart_from_what_is_shared() -> None:
    model = model_of("stem", "periodic")
    assert isinstance(model.numeric, BySets)
    assert [len(part.waves.weight) for part in model.numeric.parts] == [1, 3]
    shared = {id(parameter) for parameter in model.shared_parameters()}
    assert [id(part.waves.weight) in shared for part in model.numeric.parts] == [True, False]
