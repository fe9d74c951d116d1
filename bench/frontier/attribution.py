"""Which part of a gain over single-task models is something else than sharing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.core.records import NETWORK, TREES, Point, Scalar
from bench.frontier.words import verdict as words
from bench.results.effect import Effect
from bench.results.points import BASELINE, confirmed, source_ids, twin_of

Gain = Callable[[str], Effect | None]
"""What a point, by its id, gains over the reference, each at its best weights; None where it is not compared."""


def attributed(points: Sequence[Point], pick: str, gain: Gain) -> str:
    """A sentence on the part of a pick's gain over single-task models that is not sharing; empty where all may be.

    Single-task models with the pick's settings tell it, see `bench.confirm.twins`. Where the reference itself has these
    settings, nothing else differs.

    Args:
        pick: id of the point that gains.
    """
    by_id = {point.id: point for point in points}
    picked, whole = by_id.get(pick), gain(pick)
    if picked is None or whole is None or BASELINE not in by_id:
        return ""
    if picked.kind == "trees":
        return words.TREES_ALONE
    if picked.kind == "blend":
        parts = [gain(str(picked.config[part])) for part in (NETWORK, TREES)]
        return words.part_of_trees(*parts)
    if "sharing.kind" not in picked.config or picked.sharing == BASELINE:
        return ""
    sources = [by_id[name] for name in source_ids(by_id[BASELINE]) if name in by_id]
    differing = [source for source in sources if source.unshared != picked.unshared]
    kinds, others = _differences(picked, differing)
    if not kinds and not others:
        return ""
    twin = twin_of(picked, filter(confirmed, points))
    part = None if twin is None else gain(twin.id)
    return words.not_sharing(whole, part, kinds, others)


def _differences(picked: Point, sources: Sequence[Point]) -> tuple[Mapping[str, Scalar], bool]:
    """The kinds of the pick that a single-task model has otherwise, and whether other settings differ, too."""
    keys = {key for source in sources for key in picked.unshared.keys() | source.unshared.keys()}
    differing = {key for key in keys if any(source.config.get(key) != picked.config.get(key) for source in sources)}
    kinds = {key: picked.config.get(key) for key in words.KINDS_OF_SETTINGS if key in differing}
    options = tuple(key.removesuffix("kind") for key in kinds)  # those of another kind differ with it
    return kinds, any(not key.startswith(options) for key in differing)
