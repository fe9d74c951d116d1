"""The grid of weights that all candidates share, denser where their front bends or has gaps.

Weights are w_t ~ u_t^2 with u on a lattice of the simplex: even steps of u are steps of the logarithm near the ends,
where a rare task is won, and both ends (one task alone) are on the lattice. A refinement halves edges of that lattice,
so that the same front always asks for the same weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.results.fusion import FUSION_KINDS, Fusion, FusionKind
from bench.results.pareto import lattice

STEPS = {2: 16, 3: 5, 4: 4, 5: 3, 6: 2, 7: 2, 8: 2}
"""Steps of the first lattice, by number of tasks: 30 to 66 settings of both kinds together."""
POWER = 2
"""w_t ~ u_t^POWER: with two tasks and 16 steps the smallest weight is 1/226."""
ROUNDS, MOST_HALVED = 3, 8
"""Rounds in which a sweep is refined, and the most settings that each round adds."""
BEND = 4.0
"""How much a bend counts against a gap, both in parts of the front's range."""
GAP = 0.02
"""Nearer neighbours on the front are not refined, in the same unit."""


class Sweep:
    """The settings so far, and the edges between neighbours on each kind's lattice.

    Attributes:
        settings: in the order in which they were asked for.
    """

    def __init__(self, tasks: int, kinds: Sequence[FusionKind] = FUSION_KINDS, also: Sequence[Fusion] = ()) -> None:
        """Begins with single settings and the lattices of all kinds."""
        self.settings: list[Fusion] = []
        self._places: dict[Fusion, int] = {}
        self._edges: dict[tuple[int, int], tuple[FusionKind, NDArray[np.int64], NDArray[np.int64]]] = {}
        for setting in also:
            self._add(setting)
        steps = STEPS[tasks]
        nodes = lattice(tasks, steps) * 2**ROUNDS
        apart = np.abs(nodes[:, None] - nodes[None]).sum(axis=-1)
        for kind in kinds:
            for node in nodes:
                self._place(kind, node)
            for i, j in np.argwhere(apart == 2 * 2**ROUNDS).tolist():
                if i < j:
                    self._edge(kind, nodes[i], nodes[j])

    def refine(self, values: Floats, front: NDArray[np.bool_]) -> list[Fusion]:
        """The settings that are added where the front bends or has gaps; none where it is even.

        Args:
            values: (C, K, M) outcomes, more is better, of C candidates under the K settings so far.
            front: (C, K), which of them are on the front of all.
        """
        known = values[front]
        if not len(known):
            return []
        unit = np.ptp(known, axis=0)
        scaled = np.nan_to_num(values / np.where(unit > 0, unit, np.inf))
        bends = self._bends(scaled)
        urgent: list[tuple[float, tuple[int, int]]] = []
        for (i, j), (_, first, last) in self._edges.items():
            touched = front[:, i] | front[:, j]
            if touched.any() and (np.abs(first - last) > 1).any():
                gap = np.sqrt(((scaled[touched, i] - scaled[touched, j]) ** 2).sum(axis=-1))
                bend = np.maximum(bends[touched, i], bends[touched, j])
                if gap.max() > GAP:
                    urgent.append((float((gap + BEND * bend).max()), (i, j)))
        before = len(self.settings)
        for _, edge in sorted(urgent, key=lambda each: (-each[0], each[1]))[:MOST_HALVED]:
            kind, first, last = self._edges.pop(edge)
            middle = (first + last) // 2
            self._place(kind, middle)
            self._edge(kind, first, middle)
            self._edge(kind, middle, last)
        return self.settings[before:]

    def add(self, settings: Iterable[Fusion]) -> list[Fusion]:
        """The settings that are new, which are added."""
        before = len(self.settings)
        for each in settings:
            self._add(each)
        return self.settings[before:]

    def _bends(self, scaled: Floats) -> Floats:
        """(C, K), how far a setting's outcomes lie from the chord of its two neighbours; 0 with more than two tasks."""
        bends = np.zeros(scaled.shape[:2])
        if len(self.settings[0].weights) == 2:
            of_kind: dict[FusionKind, set[int]] = {}
            for edge, (kind, *_) in self._edges.items():
                of_kind.setdefault(kind, set()).update(edge)
            for places in of_kind.values():
                line = sorted(places, key=lambda at: self.settings[at].weights[0])
                for before, at, after in zip(line, line[1:], line[2:], strict=False):
                    chord = scaled[:, after] - scaled[:, before]
                    length = np.maximum((chord**2).sum(axis=-1, keepdims=True), 1e-12)
                    share = ((scaled[:, at] - scaled[:, before]) * chord).sum(axis=-1, keepdims=True) / length
                    off = scaled[:, at] - scaled[:, before] - share.clip(0, 1) * chord
                    bends[:, at] = np.maximum(bends[:, at], np.sqrt((off**2).sum(axis=-1)))
        return bends

    def _edge(self, kind: FusionKind, first: NDArray[np.int64], last: NDArray[np.int64]) -> None:
        self._edges[self._place(kind, first), self._place(kind, last)] = kind, first, last

    def _place(self, kind: FusionKind, node: NDArray[np.int64]) -> int:
        raised = node.astype(float) ** POWER
        return self._add(Fusion.of(kind, raised.tolist()))

    def _add(self, setting: Fusion) -> int:
        if setting not in self._places:
            self._places[setting] = len(self.settings)
            self.settings.append(setting)
        return self._places[setting]
