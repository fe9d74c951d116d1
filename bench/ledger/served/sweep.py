"""The grid of weights that all candidates share, denser where their front bends or has gaps.

Weights are w_t ~ u_t^2 with u on a lattice of the simplex: even steps of u are steps of the
logarithm near the ends, where a rare task is won, and both ends (one task alone) are on the
lattice. A refinement halves edges of that lattice, so that the same front always asks for the same
weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.arrays import Floats, Ints, Mask
from bench.core.objectives import Objective
from bench.ledger.fusion import FUSION_KINDS, Fusion, FusionKind
from bench.ledger.pareto import lattice
from bench.ledger.served.front import on_front, unequal
from bench.ledger.served.measuring import Meter, Place

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


@dataclass(frozen=True)
class Edge:
    """Two neighbours on the lattice of a kind: nodes (T,), and the places of their settings."""

    kind: FusionKind
    first: Ints
    last: Ints
    places: tuple[int, int]

    @property
    def divisible(self) -> bool:
        """Whether a node lies between them."""
        return bool((np.abs(self.first - self.last) > 1).any())


class Sweep:
    """The settings so far, and the edges between neighbours on each kind's lattice.

    Attributes:
        settings: in the order in which they were asked for.
    """

    def __init__(
        self, tasks: int, kinds: Sequence[FusionKind] = FUSION_KINDS, first: Sequence[Fusion] = ()
    ) -> None:
        """Begins with single settings and the lattices of all kinds."""
        self.settings: list[Fusion] = []
        self._places: dict[Fusion, int] = {}
        self._edges: dict[tuple[int, int], Edge] = {}
        self.add(first)
        nodes = lattice(tasks, STEPS[tasks]) * 2**ROUNDS
        distances = np.abs(nodes[:, None] - nodes[None]).sum(axis=-1)
        neighbours = np.argwhere(np.triu(distances == 2 * 2**ROUNDS)).tolist()
        for kind in kinds:
            for node in nodes:
                self._place(kind, node)
            for i, j in neighbours:
                self._connect(kind, nodes[i], nodes[j])

    def refine(self, values: Floats, front: Mask) -> list[Fusion]:
        """The settings that are added where the front bends or has gaps; none where it is even.

        Args:
            values: (C, K, M) outcomes, more is better, of C candidates under the K settings so far.
            front: (C, K), which of them are on the front of all.
        """
        if not front.any():
            return []
        reach = np.ptp(values[front], axis=0)
        scaled = np.nan_to_num(values / np.where(reach > 0, reach, np.inf))
        before = len(self.settings)
        for edge in self._urgent(scaled, front)[:MOST_HALVED]:
            del self._edges[edge.places]
            middle = (edge.first + edge.last) // 2
            self._place(edge.kind, middle)
            self._connect(edge.kind, edge.first, middle)
            self._connect(edge.kind, middle, edge.last)
        return self.settings[before:]

    def add(self, settings: Iterable[Fusion]) -> list[Fusion]:
        """The settings that are new, which are added."""
        before = len(self.settings)
        for setting in settings:
            self._add(setting)
        return self.settings[before:]

    def _urgent(self, scaled: Floats, front: Mask) -> list[Edge]:
        """The edges that touch the front where it bends or has gaps, the most urgent first."""
        bends = self._bends(scaled)
        urgencies: list[tuple[float, tuple[int, int]]] = []
        for (i, j), edge in self._edges.items():
            touched = front[:, i] | front[:, j]
            if touched.any() and edge.divisible:
                gaps = np.sqrt(((scaled[touched, i] - scaled[touched, j]) ** 2).sum(axis=-1))
                edge_bends = np.maximum(bends[touched, i], bends[touched, j])
                if gaps.max() > GAP:
                    urgency = float((gaps + BEND * edge_bends).max())
                    urgencies.append((-urgency, edge.places))
        return [self._edges[places] for _, places in sorted(urgencies)]

    def _bends(self, scaled: Floats) -> Floats:
        """(C, K), how far a setting's outcomes lie from the chord of its two neighbours; 0 with
        more than two tasks.
        """
        bends = np.zeros(scaled.shape[:2])
        if len(self.settings[0].weights) != 2:
            return bends
        places_of_kind: dict[FusionKind, set[int]] = {}
        for edge in self._edges.values():
            places_of_kind.setdefault(edge.kind, set()).update(edge.places)
        for places in places_of_kind.values():
            line = sorted(places, key=lambda place: (self.settings[place].weights[0], place))
            for before, place, after in zip(line, line[1:], line[2:], strict=False):
                distances = _from_chord(scaled[:, place], scaled[:, before], scaled[:, after])
                bends[:, place] = np.maximum(bends[:, place], distances)
        return bends

    def _connect(self, kind: FusionKind, first: Ints, last: Ints) -> None:
        places = self._place(kind, first), self._place(kind, last)
        self._edges[places] = Edge(kind, first, last, places)

    def _place(self, kind: FusionKind, node: Ints) -> int:
        raised = node.astype(float) ** POWER
        return self._add(Fusion.of(kind, raised.tolist()))

    def _add(self, setting: Fusion) -> int:
        if setting not in self._places:
            self._places[setting] = len(self.settings)
            self.settings.append(setting)
        return self._places[setting]


def _from_chord(points: Floats, before: Floats, after: Floats) -> Floats:
    """(C,), distances of points (C, M) from the chords between two others each."""
    chords = after - before
    lengths = np.maximum((chords**2).sum(axis=-1, keepdims=True), 1e-12)
    shares = ((points - before) * chords).sum(axis=-1, keepdims=True) / lengths
    distances = points - before - shares.clip(0, 1) * chords
    return np.asarray(np.sqrt((distances**2).sum(axis=-1)))


class Swept:
    """All settings that were tried, and what all candidates have under them.

    Attributes:
        meter: measures them.
        values: by candidate the outcomes (n, K, M) of its replicates.
    """

    def __init__(self, meter: Meter, sweep: Sweep) -> None:
        self.meter, self._sweep = meter, sweep
        self.values = meter.sweep(sweep.settings)

    @property
    def settings(self) -> list[Fusion]:
        """(K,), in the order in which they were tried."""
        return self._sweep.settings

    @property
    def means(self) -> Floats:
        """(C, K, M), over replicates."""
        return np.array([outcomes.mean(axis=0) for outcomes in self.values])

    def refine(self, outcomes: Sequence[Objective]) -> bool:
        """Measures settings where the front bends or has gaps; whether there are any."""
        means = self.means
        return self._measured(
            self._sweep.refine(means, on_front(means, unequal(self.values), outcomes))
        )

    def add(self, settings: Iterable[Fusion]) -> None:
        """Measures those that are new."""
        self._measured(self._sweep.add(settings))

    def place(self, candidate: int, setting: Fusion) -> Place:
        """The first setting with the same outcomes, in all replicates, as one that was tried."""
        outcomes, tried = self.values[candidate], self.settings.index(setting)
        same = (outcomes == outcomes[:, tried : tried + 1]).all(axis=(0, 2))
        return Place(candidate, int(np.flatnonzero(same)[0]))

    def _measured(self, new: Sequence[Fusion]) -> bool:
        if new:
            values_of_new = self.meter.sweep(new)
            for candidate, pair in enumerate(zip(self.values, values_of_new, strict=True)):
                self.values[candidate] = np.concatenate(pair, axis=1)
        return bool(new)


def swept(
    meter: Meter, rates: Sequence[float], outcomes: Sequence[Objective], current: Fusion
) -> Swept:
    """Measures candidates under all settings, that of the current point first.

    Args:
        rates: (T,), of tasks on train.
    """
    # a sum divides by the rates
    kinds = FUSION_KINDS if min(rates) > 0 else FUSION_KINDS[:1]
    # no coarse lattice has them
    equal_weights = [Fusion.of(kind, [1.0] * len(rates)) for kind in kinds]
    tried = Swept(meter, Sweep(len(rates), kinds, [current, *equal_weights]))
    for _ in range(ROUNDS):
        if not tried.refine(outcomes):
            break
    return tried
