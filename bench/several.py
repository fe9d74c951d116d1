"""The configuration of several models that are trained and served as one, such as an ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.records import Scalar

PART, PART_SHARE = "part.", "share."
"""In a configuration of several models: before a model's number; and behind it, before a task's name, of its share."""


def as_one(models: Iterable[tuple[Mapping[str, Scalar], Mapping[str, float]]]) -> dict[str, Scalar]:
    """The configuration of several models, from that of each and its share by task."""
    found: dict[str, Scalar] = {}
    for at, (config, shares) in enumerate(models):
        own = {**config, **{f"{PART_SHARE}{task}": share for task, share in shares.items()}}
        found |= {f"{PART}{at}.{name}": value for name, value in own.items()}
    return found


def models_in(config: Mapping[str, Scalar]) -> list[tuple[dict[str, Scalar], dict[str, float]]]:
    """The models of `as_one`; none where a configuration is of one model."""
    found: dict[int, tuple[dict[str, Scalar], dict[str, float]]] = {}
    for name, value in config.items():
        number, dot, rest = name.removeprefix(PART).partition(".")
        if name.startswith(PART) and dot and number.isdecimal():
            own, shares = found.setdefault(int(number), ({}, {}))
            if rest.startswith(PART_SHARE):
                shares[rest.removeprefix(PART_SHARE)] = float(str(value))
            else:
                own[rest] = value
    return [found[number] for number in sorted(found)]
