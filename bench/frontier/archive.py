"""The hypervolume of a set of points that grows and changes one point at a time, without looking at all of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.dominance import nondominated
from bench.frontier.hypervolume import hypervolume
from bench.objectives import Objective

Floats = NDArray[np.float64]


class Archive:
    """Points by key, and their front.

    A point costs a comparison with the front, and a hypervolume of the front where it joins it. Only where a point of
    the front is replaced, all points are looked at.

    Args:
        reference: of the hypervolume, complete, by objective name.
    """

    def __init__(self, objectives: Sequence[Objective], reference: Mapping[str, float]) -> None:
        self._objectives = tuple(objectives)
        self._reference = dict(reference)
        self._sign = np.array([objective.sign for objective in objectives])
        self._points: dict[Hashable, Floats] = {}
        self._keys: list[Hashable] = []
        self._front: Floats = np.empty((0, len(self._objectives)))
        self.hypervolume = 0.0
        """Of all points."""

    def put(self, key: Hashable, values: Floats) -> float:
        """Adds a point (M,), instead of the one that the key had; gives the hypervolume then.

        A point with a value that is not finite adds nothing.
        """
        replaces = key in self._keys
        self._points[key] = values
        if replaces:
            self._set(list(self._points), np.array(list(self._points.values())))
        elif np.isfinite(values).all() and not self._dominated(values):
            self._set([*self._keys, key], np.vstack([self._front, values]))
        return self.hypervolume

    def _dominated(self, values: Floats) -> bool:
        ahead = (self._front - values) * self._sign
        return bool(((ahead >= 0).all(axis=1) & (ahead > 0).any(axis=1)).any())

    def _set(self, keys: list[Hashable], points: Floats) -> None:
        stays = nondominated(points, self._objectives)
        self._front = points[stays]
        self._keys = [key for key, on in zip(keys, stays, strict=True) if on]
        self.hypervolume = hypervolume(self._front, self._objectives, self._reference)
