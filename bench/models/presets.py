"""Familiar names of architectures: each is a point on the two axes sharing and funnel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import UserError, unknown

PRESETS: dict[str, dict[str, str]] = {
    "single_task": {"sharing.kind": "single_task", "funnel.kind": "independent"},
    "shared_embeddings": {"sharing.kind": "shared_embeddings", "funnel.kind": "independent"},
    "shared_bottom": {"sharing.kind": "shared_bottom", "funnel.kind": "independent"},
    "omoe": {"sharing.kind": "omoe", "funnel.kind": "independent"},
    "mmoe": {"sharing.kind": "mmoe", "funnel.kind": "independent"},
    "cgc": {"sharing.kind": "cgc", "funnel.kind": "independent"},
    "ple": {"sharing.kind": "ple", "funnel.kind": "independent"},
    "cross_stitch": {"sharing.kind": "cross_stitch", "funnel.kind": "independent"},
    "snr": {"sharing.kind": "snr", "funnel.kind": "independent"},
    "adatt": {"sharing.kind": "adatt", "funnel.kind": "independent"},
    "stem": {"sharing.kind": "stem", "funnel.kind": "independent"},
    "home": {"sharing.kind": "home", "funnel.kind": "independent"},
    "pepnet": {"sharing.kind": "pepnet", "funnel.kind": "independent"},
    "esmm": {"sharing.kind": "shared_embeddings", "funnel.kind": "entire_space"},
    "escm2": {"sharing.kind": "shared_embeddings", "funnel.kind": "escm2_ipw"},
    "escm2_dr": {"sharing.kind": "shared_embeddings", "funnel.kind": "escm2_dr"},
    "aitm": {"sharing.kind": "shared_embeddings", "funnel.kind": "aitm"},
}


def architecture_name(sharing: str, funnel: str) -> str:
    """The preset of these two kinds, else both: `ple+entire_space`."""
    kinds = {"sharing.kind": sharing, "funnel.kind": funnel}
    return next((name for name, preset in PRESETS.items() if preset == kinds), f"{sharing}+{funnel}")


def expand(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """A dotted configuration in which `architecture` is replaced by the kinds that it means.

    Raises:
        UserError: an unknown architecture, or one that contradicts another name.
    """
    values = dict(dotted)
    if "architecture" not in values:
        return values
    name = str(values.pop("architecture"))
    if name not in PRESETS:
        raise unknown("architecture", name, PRESETS)
    for key, kind in PRESETS[name].items():
        if values.setdefault(key, kind) != kind:
            raise UserError(f"architecture '{name}' means {key} = '{kind}', but found '{values[key]}'")
    return values
