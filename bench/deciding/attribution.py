"""Which part of a gain over single-task models is something else than sharing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.core.records import NETWORK, TREES, Point
from bench.deciding.aims import PolicyAim
from bench.deciding.words import verdict as words
from bench.ledger.effect import Effect
from bench.ledger.points import BASELINE, confirmed, network_that_shares, source_ids, twin_of

Gain = Callable[[str, str], Effect | None]
"""What one point gains over another, by their ids, each at its best weights; None where one of them
is not compared.
"""


def attributed(points: Sequence[Point], pick: str, gain: Gain, aim: PolicyAim) -> list[str]:
    """Sentences on the part of a pick's gain over single-task models that is not sharing; none
    where all of it may be.

    Single-task models with the pick's settings tell it, see `bench.search.confirm.twins`. A blend
    is explained part by part, and then its network.

    Args:
        points: of the run; the best single-task models are one of them.
        pick: id of the point that gains.
    """
    by_id = {point.id: point for point in points}
    picked = by_id.get(pick)
    if picked is None:  # a model from elsewhere
        return []
    if picked.kind == "trees":
        return [words.TREES_ALONE]
    if picked.trainer:
        return [words.another_trainer(picked.trainer)]
    network = network_that_shares(picked, points)
    if picked.kind != "blend":
        return [] if network is None else _of_network(points, network, "it", gain, aim)
    parts = [gain(str(picked.config[part]), BASELINE) for part in (NETWORK, TREES)]
    of_network, of_trees = parts
    trainer = _trainer_of(by_id.get(str(picked.config[NETWORK])))
    sentences = [words.part_of_trees(of_network, of_trees, trainer or "the network")]
    if network is not None:
        sentences += _of_network(points, network, "the network's gain", gain, aim)
    return sentences


def _trainer_of(point: Point | None) -> str:
    return "" if point is None else point.trainer


def _of_network(
    points: Sequence[Point], network: Point, gain_in_words: str, gain: Gain, aim: PolicyAim
) -> list[str]:
    """Of a network that shares; nothing where it gains nothing, or differs from single-task models
    in sharing alone.
    """
    whole = gain(network.id, BASELINE)
    settings = _different_settings(points, network)
    if whole is None or round(whole.value, 3) <= 0 or not settings:
        return []
    twin = twin_of(network, filter(confirmed, points))
    alone = None if twin is None else gain(twin.id, BASELINE)
    added = None if twin is None else gain(network.id, twin.id)
    if alone is None or added is None:
        return [words.part_unknown(gain_in_words, settings)]
    share = aim.share(alone, whole)
    return [words.part_of_settings(gain_in_words, settings, share, added)]


def _different_settings(points: Sequence[Point], network: Point) -> list[str]:
    """In words the settings beside sharing in which a network and one of the best single-task
    models differ.
    """
    point_of = {point.id: point for point in points}
    names: set[str] = set()
    for source in source_ids(point_of[BASELINE]):
        names |= _different_names(network, point_of[source])
    kinds = [name for name in words.KINDS_OF_SETTINGS if name in names]
    settings = [f"{words.KINDS_OF_SETTINGS[name]} ({network.config.get(name)})" for name in kinds]
    options_of_kinds = tuple(name.removesuffix("kind") for name in kinds)  # differ with the kind
    if any(not name.startswith(options_of_kinds) for name in names):
        settings.append(words.OTHERS if settings else words.SIZES)
    return settings


def _different_names(network: Point, single_task: Point) -> set[str]:
    names = network.unshared.keys() | single_task.unshared.keys()
    return {name for name in names if network.config.get(name) != single_task.config.get(name)}
