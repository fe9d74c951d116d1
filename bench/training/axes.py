"""The axes of a configuration that are chosen from registries, by the name before `.kind`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.balancing import BALANCING
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.numeric import NUMERIC
from bench.models.sequence import SEQUENCE
from bench.models.sharing import SHARING
from bench.registry import Entry

AXES: Mapping[str, Mapping[str, Entry[Any]]] = {
    "numeric": NUMERIC,
    "sequence": SEQUENCE,
    "interaction": INTERACTIONS,
    "sharing": SHARING,
    "funnel": FUNNELS,
    "balancing": BALANCING,
}
