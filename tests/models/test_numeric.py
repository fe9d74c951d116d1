"""Numbers as fields and as tokens, those with tokens against the authors' package; vectors, as
tokens beside them.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_toys import FIELDS, TASKS, batch_on

from bench.core.schema import DenseVector, Field, Number, Schema, Task
from bench.models.numeric import NUMERIC
from bench.models.numeric.piecewise_linear import bin_edges
from bench.models.numeric.tokens import ProjectedVectors

EDGES = ((-1.0, -0.5, 0.0, 0.25, 2.0), (-2.0, 0.5, 1.0), (0.0, 0.0))
COUNTS = ((10, 20, 60, 10), (70, 30), (100,))
NUMBERS = (
    Number("age", 0, None, EDGES[0], COUNTS[0]),
    Number("price", 2, 3, EDGES[1], COUNTS[1]),
    Number("same", 4, None, EDGES[2], COUNTS[2]),
)
RANGES = tuple(Field(f"{number.name}_bucket", len(number.counts) + 2) for number in NUMBERS)
DENSE = ("age", "user_rate", "price", "price_missing", "same")
SCHEMA = Schema((*FIELDS, *RANGES), DENSE, TASKS, None, NUMBERS, scenario="item")


def made(kind, sets=1, schema=SCHEMA, dim=4, **options):
    entry = NUMERIC[kind]
    return entry.build(schema, dim, sets, entry.config.model_validate(options))


def shaken(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("piecewise_linear", {}),
        ("piecewise_linear", {"bins": 2, "activation": False}),
        ("bucket_and_piecewise", {"ranges": 3}),
    ],
)
def test_a_missing_number_has_a_token_of_its_own(kind, options):
    numeric, (_, dense) = made(kind, **options), batch_on(SCHEMA, 9)
    shaken(numeric)
    missing = dense[:, 3] == 1
    tokens = numeric(dense[None])[0, :, :12].view(9, 3, 4)[:, 1]
    assert torch.equal(tokens[missing], numeric.missing[0, 1].expand(3, -1))
    assert not (tokens[~missing] == numeric.missing[0, 1]).all(1).any()
    assert numeric.schema.dense == ("user_rate",)
    assert numeric.tokens == ("age", "price", "same")
    no_flag = replace(SCHEMA, numbers=(NUMBERS[0], replace(NUMBERS[1], missing=None), NUMBERS[2]))
    assert made(kind, schema=no_flag, **options).missing is None


def test_rows_of_the_table_are_those_of_the_fields_that_are_seen():
    ids, _ = batch_on(SCHEMA, 200)
    assert torch.equal(made("bucket").rows(ids), ids)
    assert made("bucket").schema == SCHEMA
    for kind in ("scaled", "piecewise_linear"):
        assert torch.equal(made(kind).rows(ids), ids[:, :5])
        assert made(kind).schema.fields == FIELDS
        assert made(kind).rows(ids).is_contiguous()
    combined = made("bucket_and_piecewise", ranges=2)
    coarse = made("bucket", bins=2)
    assert combined.schema == replace(coarse.schema, dense=("user_rate",), numbers=())
    assert torch.equal(combined.rows(ids), coarse.rows(ids))
    # the spike has a range to itself
    assert [field.cardinality for field in coarse.schema.fields[3:]] == [
        5,
        4,
        3,
    ]
    rows = coarse.rows(ids)
    first = SCHEMA.offsets[3]
    assert torch.equal(rows[:, :5], ids[:, :5])
    of_age = {int(a) - first: int(b) - first for a, b in zip(ids[:, 5], rows[:, 5], strict=True)}
    assert of_age == {0: 0, 1: 1, 2: 1, 3: 2, 4: 3, 5: 4}
    differences = {
        int(a) - int(b) for a, b in zip(ids[:, 6:].flatten(), rows[:, 6:].flatten(), strict=True)
    }
    assert differences == {1}  # both later numbers have as many ranges as before
    assert rows.max() < coarse.schema.rows


DENSE = torch.linspace(-3, 3, 60).view(20, 3)


def tokens_of(numeric):
    x = torch.zeros(2, 20, 5)
    x[..., [0, 2, 4]] = DENSE
    return numeric(x)[..., :12].unflatten(2, (3, 4))


@pytest.mark.parametrize("activation", [True, False])
def test_piecewise_linear_equals_the_authors(activation):
    theirs_of = pytest.importorskip(
        "rtdl_num_embeddings", reason="rtdl_num_embeddings is not installed"
    )
    numbers = (*NUMBERS[:2], Number("more", 4, None, tuple(np.linspace(-1, 2, 8)), (5,) * 7))
    ours = made("piecewise_linear", 2, replace(SCHEMA, numbers=numbers), activation=activation)
    edges = [bin_edges(number, 48) for number in numbers]
    for place, tokens in enumerate(tokens_of(ours)):
        theirs = theirs_of.PiecewiseLinearEmbeddings(
            [torch.tensor(number_edges) for number_edges in edges],
            4,
            activation=activation,
            version="A",
        )
        with torch.no_grad():  # theirs has a number's last bin in the last place
            theirs.linear.weight.zero_()
            for q, number_edges in enumerate(edges):
                last = len(number_edges) - 2
                theirs.linear.weight[q, :last] = ours.linear.weight[place, q, :last]
                theirs.linear.weight[q, -1] = ours.linear.weight[place, q, last]
            theirs.linear.bias.copy_(ours.linear.bias[place])
        torch.testing.assert_close(tokens, theirs(DENSE), rtol=1e-5, atol=1e-5)


AGE = Number("age", 4, 5, (-1.0, 0.0, 1.0), (5, 5))
VECTORS = Schema(
    (Field("user", 9), Field("age_bucket", 4)),
    (
        "text_0",
        "text_1",
        "text_2",
        "text_missing",
        "age",
        "age_missing",
        "image_0",
        "image_1",
        "rate",
    ),
    (Task("click"), Task("like")),
    numbers=(AGE,),
    vectors=(DenseVector("text", 0, 3), DenseVector("image", 6, 2)),
)
REST = replace(
    VECTORS,
    dense=("text_missing", "age", "age_missing", "rate"),
    numbers=(replace(AGE, column=1, missing=2),),
    vectors=(),
)
KEPT = [3, 4, 5, 8]


@pytest.mark.parametrize("kind", NUMERIC)
def test_each_vector_is_a_linear_map_beside_what_the_rest_becomes(kind):
    seen: list[Schema] = []

    def of_rest(schema):
        seen.append(schema)
        return NUMERIC[kind].build(schema, 4, 2, NUMERIC[kind].config())

    projected = ProjectedVectors(VECTORS, 4, 2, of_rest)
    assert seen == [REST]
    x = torch.randn(1, 7, 9).expand(2, -1, -1)
    rest = projected.rest(x[:, :, KEPT]).expand(2, -1, -1)
    y = projected(x)
    numbers = 4 * len(projected.rest.tokens)
    assert projected.tokens == (*projected.rest.tokens, "text", "image")
    assert y.shape == (2, 7, projected.outputs)
    torch.testing.assert_close(y[:, :, :numbers], rest[:, :, :numbers])
    torch.testing.assert_close(y[:, :, numbers + 8 :], rest[:, :, numbers:])
    for place, columns in enumerate((slice(0, 3), slice(6, 8))):
        linear = projected.maps[place]
        for copy in range(2):
            wanted = torch.nn.functional.linear(
                x[0, :, columns], linear.weight[copy, 0].T, linear.bias[copy, 0]
            )
            torch.testing.assert_close(
                y[copy, :, numbers + 4 * place : numbers + 4 * place + 4], wanted
            )
