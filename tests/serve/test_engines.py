"""What every engine must do, on a packaged model with four tasks and random weights."""

import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.core.errors import UserError
from bench.core.records import Scalar
from bench.serve.engines import ENGINES, MODEL, ONNX, without_onnx, write_onnx, write_weights
from bench.serve.served_model import ModelPart, ModelSpec
from bench.testing.models import batch_of, schema_of

pytestmark = pytest.mark.slow  # the model is written as ONNX
SIZES = (0, 1, 7, 300)
CONFIG: dict[str, Scalar] = {"sharing.kind": "mmoe", "embedding.dim": 4, "tower.layers": "8"}
CLOSE = 1e-5
"""Largest allowed difference of a prediction from the model's."""


@cache
def model():
    """The specification and the model in the folder of `packaged`."""
    schema = schema_of("mixed", {})
    spec = ModelSpec(schema, (ModelPart.whole(CONFIG, schema),), ((1,),))
    torch.manual_seed(0)
    return spec, spec.build()


@cache
def packaged():
    """A folder with the files that engines read, written once for all checks."""
    spec, served = model()
    folder = tempfile.TemporaryDirectory()
    write_weights(served, Path(folder.name, MODEL))
    if not without_onnx():
        write_onnx(served, spec.schema, Path(folder.name, ONNX))
    return folder


def batch(rows):
    """Rows as engines get them: ids (B, S) and dense (B, D)."""
    ids, dense, _ = batch_of(model()[0].schema, rows)
    return ids.numpy(), dense.numpy()


@contextmanager
def opened(name, threads=1):
    """Opens the package with an engine; skipped where its requirements are not installed."""
    before = torch.get_num_threads()
    try:
        engine = ENGINES[name](Path(packaged().name), model()[0], threads)
    except UserError as error:
        pytest.skip(str(error))
    try:
        yield engine
    finally:
        torch.set_num_threads(before)  # an engine may set it for the whole process


@pytest.mark.parametrize("name", ENGINES)
def test_its_predictions_are_the_models(name):
    """Conditional and joint, float32 (B, T), for any number of rows, none included; ids and numbers
    are not changed.
    """
    _, served = model()
    with opened(name) as engine:
        for size in SIZES:
            ids, dense = batch(size)
            arguments = ids.copy(), dense.copy()
            predictions = engine(*arguments)
            assert len(predictions) == 2, (
                f"expected conditional and joint predictions, found {len(predictions)} arrays"
            )
            with torch.inference_mode():
                expected = served(torch.from_numpy(ids), torch.from_numpy(dense))
            for values, want in zip(predictions, expected, strict=True):
                assert values.dtype == np.float32, f"expected float32, found {values.dtype}"
                assert values.shape == tuple(want.shape), (
                    f"expected shape {tuple(want.shape)}, found {values.shape}"
                )
                np.testing.assert_allclose(values, want.numpy(), atol=CLOSE, rtol=CLOSE)
            assert (arguments[0] == ids).all(), "the ids were changed in place"
            assert (arguments[1] == dense).all(), "the numbers were changed in place"


@pytest.mark.parametrize("name", ENGINES)
def test_threads_change_no_prediction(name):
    """One thread and two give the same, and what one call gave is not changed by the next."""
    ids, dense = batch(300)
    with opened(name, 1) as engine:
        first = engine(ids, dense)
        copies = [values.copy() for values in first]
        engine(ids[::-1].copy(), dense)
        for values, before in zip(first, copies, strict=True):
            np.testing.assert_array_equal(values, before)
    with opened(name, 2) as engine:
        for values, before in zip(engine(ids, dense), copies, strict=True):
            np.testing.assert_allclose(values, before, atol=CLOSE, rtol=CLOSE)
