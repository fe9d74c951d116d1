"""A model in ONNX, written by torch's exporter; weights of large models lie beside it in a file of their own."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import torch
from torch.export import ExportedProgram

from bench.production.engines import need


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """Writes `path` and, with the weights, `path` + `.data`.

    Raises:
        UserError: the extra `serve` is not installed.
    """
    for module in ("onnx", "onnxscript"):
        need(module, "to write a model in ONNX")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of torch about its own exporter
        noise = logging.getLogger("torch.onnx")
        level = noise.level
        noise.setLevel(logging.ERROR)
        try:
            made = torch.onnx.export(
                program,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=["ids", "dense"],
                output_names=["conditional", "joint"],
            )
        finally:
            noise.setLevel(level)
    assert made is not None
    made.save(path, external_data=True)
