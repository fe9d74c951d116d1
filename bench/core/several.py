"""Configurations of several models that are trained and served as one, such as an ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.core.records import Scalar

PART, PART_SHARE = "part.", "share."
"""Prefixes in such a configuration: of a model's number and, after it, of its share by task."""


def as_one(models: Iterable[tuple[Mapping[str, Scalar], Mapping[str, float]]]) -> dict[str, Scalar]:
    """Joins the configurations of several models, each with its share by task."""
    joined: dict[str, Scalar] = {}
    for number, (config, shares) in enumerate(models):
        for name, value in config.items():
            joined[f"{PART}{number}.{name}"] = value
        for task, share in shares.items():
            joined[f"{PART}{number}.{PART_SHARE}{task}"] = share
    return joined


def models_in(config: Mapping[str, Scalar]) -> list[tuple[dict[str, Scalar], dict[str, float]]]:
    """The models joined by `as_one`; none in any other configuration."""
    models: dict[int, tuple[dict[str, Scalar], dict[str, float]]] = {}
    for name, value in config.items():
        number, dot, rest = name.removeprefix(PART).partition(".")
        if name.startswith(PART) and dot and number.isdecimal():
            config_of_model, shares = models.setdefault(int(number), ({}, {}))
            if rest.startswith(PART_SHARE):
                shares[rest.removeprefix(PART_SHARE)] = float(str(value))
            else:
                config_of_model[rest] = value
    return [models[number] for number in sorted(models)]
