"""Which part of a gain over single-task models is something else than sharing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
    sentences, gain_in_words = [], "it"
    if picked.kind == "blend":
        sentences, gain_in_words = [_of_blend(by_id, picked, gain)], "the network's gain"
    network = network_that_shares(picked, points)
    if network is not None:
        sentences += _of_network(points, network, gain_in_words, gain, aim)
    return sentences


def _of_blend(by_id: Mapping[str, Point], blend: Point, gain: Gain) -> str:
    network_id, trees_id = str(blend.config[NETWORK]), str(blend.config[TREES])
    of_network = gain(network_id, BASELINE)
    of_trees = gain(trees_id, BASELINE)
    network = by_id.get(network_id)
    name = "the network"
    if network is not None and network.trainer:
        name = network.trainer
    return words.part_of_trees(of_network, of_trees, name)


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
    alone = added = None
    twin = twin_of(network, filter(confirmed, points))
    if twin is not None:
        alone = gain(twin.id, BASELINE)
        added = gain(network.id, twin.id)
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

    settings, options_of_kinds = [], []
    for name, in_words in words.KINDS_OF_SETTINGS.items():
        if name in names:
            settings.append(f"{in_words} ({network.config.get(name)})")
            options_of_kinds.append(name.removesuffix("kind"))
    # options of a kind differ with it
    has_more = any(not name.startswith(tuple(options_of_kinds)) for name in names)
    if has_more:
        settings.append(words.OTHERS if settings else words.SIZES)
    return settings


def _different_names(network: Point, single_task: Point) -> set[str]:
    names = network.unshared.keys() | single_task.unshared.keys()
    return {name for name in names if network.config.get(name) != single_task.config.get(name)}
