"""Ali-CCP read line by line with dictionaries: the slow twin of `bench.data.readers.ali_ccp`, kept
plain.
"""

from typing import NamedTuple


class Row(NamedTuple):
    index: str
    click: int
    buy: int
    ids: dict[str, list[int]]
    """Field -> ids, heaviest first, each once; equal weights in the order of the line."""
    sums: dict[str, float]
    """Field -> sum of all its values."""


def features(text, slots):
    """The wanted ids of a feature list, at most `slots` a field, and the sums of the values of
    those fields.
    """
    weights_by_field: dict[str, dict[int, tuple[float, int]]] = {}
    sums: dict[str, float] = {}
    for place, feature in enumerate(text.split("\x01") if text else []):
        field, rest = feature.split("\x02")
        id_, value = rest.split("\x03")
        if field not in slots:
            continue
        weights, weight = weights_by_field.setdefault(field, {}), float(value)
        if int(id_) not in weights or weight > -weights[int(id_)][0]:
            weights[int(id_)] = (-weight, place)
        sums[field] = sums.get(field, 0.0) + weight if field in sums else weight
    ids = {
        field: sorted(weights, key=lambda i: weights[i])[: slots[field]]
        for field, weights in weights_by_field.items()
    }
    return ids, sums


def rows(skeleton, common, slots):
    """All impressions, dirty ones among them, joined to their common features."""
    shared = {}
    with common.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            index, _, text = line.rstrip("\r\n").split(",")
            shared[index] = features(text, slots)
    with skeleton.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            _, click, buy, index, _, text = line.rstrip("\r\n").split(",")
            ids, sums = features(text, slots)
            common_ids, common_sums = shared[index]
            yield Row(index, int(click), int(buy), common_ids | ids, common_sums | sums)
