"""Vectors that were computed elsewhere, as tokens."""

from dataclasses import replace

import pytest
import torch

from bench.core.schema import DenseVector, Field, Number, Schema, Task
from bench.models.numeric import NUMERIC
from bench.models.numeric.tokens import ProjectedVectors

AGE = Number("age", 4, 5, (-1.0, 0.0, 1.0), (5, 5))
SCHEMA = Schema(
    (Field("user", 9), Field("age_bucket", 4)),
    ("text_0", "text_1", "text_2", "text_missing", "age", "age_missing", "image_0", "image_1", "rate"),
    (Task("click"), Task("like")),
    numbers=(AGE,),
    vectors=(DenseVector("text", 0, 3), DenseVector("image", 6, 2)),
)
REST = replace(
    SCHEMA,
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

    made = ProjectedVectors(SCHEMA, 4, 2, of_rest)
    assert seen == [REST]
    x = torch.randn(1, 7, 9).expand(2, -1, -1)
    rest = made.rest(x[:, :, KEPT]).expand(2, -1, -1)
    y = made(x)
    numbers = 4 * len(made.rest.tokens)
    assert made.tokens == (*made.rest.tokens, "text", "image")
    assert y.shape == (2, 7, made.outputs)
    torch.testing.assert_close(y[:, :, :numbers], rest[:, :, :numbers])
    torch.testing.assert_close(y[:, :, numbers + 8 :], rest[:, :, numbers:])
    for at, columns in enumerate((slice(0, 3), slice(6, 8))):
        of = made.maps[at]
        for own in range(2):
            wanted = torch.nn.functional.linear(x[0, :, columns], of.weight[own, 0].T, of.bias[own, 0])
            torch.testing.assert_close(y[own, :, numbers + 4 * at : numbers + 4 * at + 4], wanted)
