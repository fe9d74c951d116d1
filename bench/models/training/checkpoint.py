"""Checkpoints: pure data in one safetensors file, whole or absent.

A state is nested dictionaries and lists of tensors, stored by their paths, and plain values. These
are JSON in the file's header, with the identity of the training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.core.errors import UserError
from bench.core.system.atomic import atomic_path

_KEY = "seesaw"  # key of the header's entry
_FORMAT = 1
_TENSOR = "$tensor"  # marks the place of a tensor in the JSON


def write(path: Path, state: Mapping[str, object], identity: Mapping[str, object]) -> None:
    """Writes a state, and plain values that identify the training; raises OSError if it could not
    be written.
    """
    tensors: dict[str, Tensor] = {}
    references = _without_tensors(state, "", tensors)
    header = {"format": _FORMAT, "identity": identity, "state": references}
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, {_KEY: json.dumps(header)})
    except SafetensorError as error:  # wraps the system's error
        raise OSError(f"could not write the checkpoint {path}: {error}") from None


def read(path: Path, identity: Mapping[str, object]) -> dict[str, Any]:
    """Reads a checkpoint's state on the CPU; raises UserError if it is missing, damaged, or of
    another `identity`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except FileNotFoundError:
        raise UserError(f"expected a checkpoint, found no file {path}") from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"expected a whole checkpoint in {path}, found a damaged or foreign file ({reason})"
        ) from None
    if header["format"] != _FORMAT:
        raise UserError(
            f"{path}: expected a checkpoint of format {_FORMAT}, found {header['format']}"
        )
    stored_identity = header["identity"]
    for name in dict.fromkeys([*identity, *stored_identity]):
        expected, stored = identity.get(name), stored_identity.get(name)
        if expected != stored:
            raise UserError(
                f"{path}: expected a checkpoint of a training with {name} = {expected!r}, "
                f"found {stored!r}"
            )
    state: dict[str, Any] = _with_tensors(header["state"], tensors)
    return state


def _without_tensors(value: object, path: str, tensors: dict[str, Tensor]) -> Any:
    """Returns a state with references in place of its tensors, which go to `tensors`."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        plain = {}
        for key, inner in value.items():
            inner_path = f"{path}/{key}" if path else str(key)
            plain[str(key)] = _without_tensors(inner, inner_path, tensors)
        return plain
    if isinstance(value, list | tuple):
        return [
            _without_tensors(inner, f"{path}/{index}", tensors) for index, inner in enumerate(value)
        ]
    return value


def _with_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of `_without_tensors`; keys become text and sequences lists."""
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _with_tensors(inner, tensors) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_tensors(inner, tensors) for inner in value]
    return value
