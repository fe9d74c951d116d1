"""Familiar names of architectures: each is a point on the two axes sharing and funnel."""

from __future__ import annotations

PRESETS: dict[str, dict[str, str]] = {
    "single_task": {"sharing.kind": "single_task", "funnel.kind": "independent"},
    "shared_embeddings": {"sharing.kind": "shared_embeddings", "funnel.kind": "independent"},
    "shared_bottom": {"sharing.kind": "shared_bottom", "funnel.kind": "independent"},
    "mmoe": {"sharing.kind": "mmoe", "funnel.kind": "independent"},
    "ple": {"sharing.kind": "ple", "funnel.kind": "independent"},
    "esmm": {"sharing.kind": "shared_embeddings", "funnel.kind": "entire_space"},
}


def architecture_name(sharing: str, funnel: str) -> str:
    """The preset of these two kinds, else both: `ple+entire_space`."""
    kinds = {"sharing.kind": sharing, "funnel.kind": funnel}
    return next((name for name, preset in PRESETS.items() if preset == kinds), f"{sharing}+{funnel}")
