"""What the graph of a `pt2` archive may say: arithmetic on tensors, under plain names and with bounded sizes.

torch looks up and calls whatever a graph names, parses sizes with sympy, writes names into Python source that it runs,
and imports modules that a pytree names. So nothing is let through but what the graphs of our own models hold: a text
is an identifier, a name on one of the lists below, a size in one form, or the archive is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from bench.errors import UserError

_ATEN = """
_assert_tensor_metadata.default add.Tensor alias.default clamp.default cos.default detach.default div.Tensor
dropout.default exp.default gelu.default log.default log_sigmoid.default logsumexp.default masked_fill.Scalar
maximum.default minimum.default mul.Tensor ne.Scalar neg.default relu.default rsqrt.default sigmoid.default
silu.default sin.default square.default sub.Tensor tanh.default to.dtype where.self

bmm.default einsum.default layer_norm.default mean.dim softmax.int sum.dim_IntList

cat.default contiguous.default diagonal.default embedding.default expand.default flatten.using_ints full_like.default
index_select.default new_empty.default permute.default repeat_interleave.self_int reshape.default scatter.value
select.int slice.Tensor split_with_sizes.default stack.default t.default topk.default transpose.int
unbind.int unsqueeze.default view.default

promote_types.default sym_size.int
"""  # element by element; sums and products; other shapes and choices of rows or columns; of shapes and types
OPERATORS = frozenset([*(f"torch.ops.aten.{name}" for name in _ATEN.split()), "_operator.mul"])
"""What a node may call: the operators that exports of our models hold. `_operator.mul` multiplies sizes: the rows of an
ensemble are members times samples."""

_ARGUMENTS = {"as_tensor", "as_tensors", "as_int", "as_ints", "as_float", "as_bool", "as_none", "as_string"}
_ARGUMENTS |= {"as_sym_int", "as_sym_ints", "as_scalar_type", "as_layout", "as_memory_format", "as_device"}
_ARGUMENTS |= {"as_expr", "as_name"}
_EMPTY = {"metadata", "treespec_namedtuple_fields", "guards_code"}
_EMPTY |= {"custom_obj_values", "sym_bool_values", "sym_float_values"}
_IDENTIFIERS = ("name", "as_name", "forward_arg_names")
_NAME = re.compile(r"[A-Za-z_]\w{0,999}", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z0-9]\w*(?:\.[A-Za-z0-9]\w*)*)?", re.ASCII)
_EQUATION = re.compile(r"[a-z]{0,8}(?:,[a-z]{0,8}){0,3}->[a-z]{0,8}|none|tanh")  # of einsum; gelu's form
_VERSION = re.compile(r"[\w.+]{1,64}", re.ASCII)
_INTEGER, _SYMBOL = r"Integer\(\d{1,15}\)", r"Symbol\('s\d{1,4}'(?:, (?:positive|nonnegative|integer)=True)*\)"
_FACTOR = rf"(?:{_INTEGER}|{_SYMBOL})"
_PRODUCT = rf"(?:{_FACTOR}|Mul\({_FACTOR}(?:, {_FACTOR}){{1,3}}\))"
_PLAIN_PRODUCT = r"(?:\d{1,15}\*)?s\d{1,4}|\d{1,15}"
_SIZE = re.compile(rf"{_PRODUCT}|Add\({_PRODUCT}(?:, {_PRODUCT}){{1,3}}\)|{_PLAIN_PRODUCT}")
_LARGEST = 2**63 - 1
_TREE = {"builtins.tuple": (None, "null"), "builtins.dict": ("[]",), None: (None,)}


def check_graph(document: Any, where: str) -> None:
    """Raises UserError where the JSON of a graph holds more than our own graphs do."""
    for key, value in _parts(document):
        if reason := _wrong(key, value):
            raise UserError(f"{where}: {reason}")
    if not isinstance(document, dict) or not isinstance(document.get("graph_module"), dict):
        raise UserError(f"{where}: expected a graph, found none")


def check_weights(document: Any, bytes_of: dict[str, int], where: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors that a configuration of weights or constants lists.

    Args:
        bytes_of: size of each file of tensors, by its name.

    Raises:
        UserError: a tensor that is pickled, is none of ours, or does not fill its file.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        for name, facts in document["config"].items():
            if facts["use_pickle"]:
                raise UserError(f"{where}: expected plain tensors, found a pickled one, '{name[:100]}'")
            meta = facts["tensor_meta"]
            sizes, strides = ([_whole(each["as_int"]) for each in meta[key]] for key in ("sizes", "strides"))
            offset, item = _whole(meta["storage_offset"]["as_int"]), _ITEM[meta["dtype"]]
            there = bytes_of[facts["path_name"]]
            plain = meta["device"]["type"] == "cpu" and meta["layout"] == _STRIDED and _PATH.fullmatch(name)
            if not plain or len(sizes) != len(strides) or len(sizes) > 8:
                raise UserError(f"{where}: expected a plain tensor, found '{name[:100]}', which is none")
            wanted = math.prod(sizes)
            last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
            if wanted * item > there or (wanted and (last + 1) * item > there):
                raise UserError(f"{where}: expected '{name}' to be within its {there:,} bytes, found {sizes}")
            shapes[name] = tuple(sizes)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{where}: expected a list of tensors with their files, found something else") from None
    return shapes


_STRIDED = 7
_ITEM = {1: 1, 4: 4, 5: 8, 7: 4, 8: 8, 12: 1}
"""torch's number of a type (byte, int32, int64, float32, float64, bool) -> bytes of an element."""


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 2**48:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a document with its key, in order; what is in a list has the list's."""
    todo: list[tuple[str, Any]] = [("", document)]
    while todo:
        key, value = todo.pop()
        yield key, value
        if isinstance(value, dict):
            todo += reversed(value.items())
        elif isinstance(value, list):
            todo += [(key, each) for each in reversed(value)]


def _wrong(key: str, value: Any) -> str | None:
    """What is wrong with a value, as a sentence; None where nothing is."""
    if key.startswith("as_") and key not in _ARGUMENTS:
        return f"expected tensors and numbers in the graph, found '{key[:40]}'"
    if not (_PATH.fullmatch(key) or _NAME.fullmatch(key)):
        return f"expected plain names, found {key[:100]!r}"
    if isinstance(value, str):
        return _wrong_text(key, value)
    if isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
        return f"{key}: expected a whole number of 64 bits, found a larger one"
    if key in _EMPTY and value:
        return f"expected no {key} in the graph, found some"
    if key == "hint" and value is not None and (not isinstance(value, dict) or set(value) != {"as_int"}):
        return "hint: expected a whole number, found something else"
    return None


def _wrong_text(key: str, value: str) -> str | None:
    if key == "target":
        return None if value in OPERATORS else f"expected an operator that our models use, found {value[:100]!r}"
    if key == "expr_str":
        fits = _SIZE.fullmatch(value)
        return None if fits else f"expected a size as a product of numbers and symbols, found {value[:100]!r}"
    if key == "type":
        return None if value == "cpu" else f"expected the device cpu, found {value[:100]!r}"
    if key in ("in_spec", "out_spec"):
        return None if _is_plain_tree(value) else f"{key}: expected tuples of tensors, found {value[:100]!r}"
    forms = {"as_string": _EQUATION, "torch_version": _VERSION} | dict.fromkeys(_IDENTIFIERS, _NAME)
    form = forms.get(key, _PATH)
    return None if form.fullmatch(value) else f"{key}: expected a plain name, found {value[:100]!r}"


def _is_plain_tree(text: str) -> bool:
    """Whether a pytree is of tuples and of dictionaries without keys: others would have modules imported."""
    try:
        version, tree = json.loads(text)
        todo = [tree]
        while todo:
            node = todo.pop()
            if set(node) != {"type", "context", "children_spec"} or node["context"] not in _TREE[node["type"]]:
                return False
            todo += node["children_spec"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return bool(version == 1)
