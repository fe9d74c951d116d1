"""Fusion: from the heads' predictions to the one score that ranks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.formula import (
    LEAST_PREDICTION,
    Expression,
    Monomial,
    Number,
    Power,
    Product,
    Sum,
    multiplied_out,
    read,
)
from bench.core.formula_languages import text_of

FusionKind = Literal["power", "sum"]
FUSION_KINDS: tuple[FusionKind, ...] = get_args(FusionKind)
MOST_KEPT = 200_000


@dataclass(frozen=True)
class Fusion:
    """How heads become a score: `kind` as for `fused`, and the weights of T tasks, which sum to
    1.
    """

    kind: FusionKind
    weights: tuple[float, ...]

    @staticmethod
    def of(kind: FusionKind, weights: Sequence[float]) -> Fusion:
        """The fusion in its usual form: one task alone ranks alike under both kinds and is called
        `power`.
        """
        whole = float(sum(weights))
        shares = tuple(float(each) / whole for each in weights)
        return Fusion("power" if np.count_nonzero(shares) == 1 else kind, shares)


class FusionTerms:
    """What fusions add up of one array of predictions: each term is computed once, however many
    weights are tried.

    Of more than `MOST_KEPT` rows no term is kept: memory would hold each task twice, in float64.

    Args:
        predictions, rates: as of `fused`.
    """

    def __init__(self, predictions: NDArray[Any], rates: Sequence[float]) -> None:
        self.predictions, self._rates = predictions, rates
        self._known: dict[tuple[FusionKind, int], Floats] = {}

    def fused(self, kind: FusionKind, weights: Sequence[float]) -> Floats:
        """(N,), the score of each row; see `fused`."""
        score = np.zeros(len(self.predictions))
        for task, weight in enumerate(weights):
            if weight:
                score += weight * self._term(kind, task)
        return score

    def _term(self, kind: FusionKind, task: int) -> Floats:
        if (kind, task) in self._known:
            return self._known[kind, task]
        values = np.maximum(self.predictions[:, task].astype(np.float64), 0.0)
        term = (
            np.log(np.maximum(values, LEAST_PREDICTION))
            if kind == "power"
            else values / self._rates[task]
        )
        if len(term) <= MOST_KEPT:
            self._known[kind, task] = term
        return term


def fused(
    kind: FusionKind, predictions: NDArray[Any], weights: Sequence[float], rates: Sequence[float]
) -> Floats:
    """The score of each row.

    `power`: sum_t w_t log max(p_t, LEAST_PREDICTION); only ratios of weights matter, and a constant
    factor of a task changes no order. `sum`: sum_t w_t max(p_t, 0) / b_t, so weights of tasks with
    different base rates are comparable.

    Args:
        predictions: (N, T): joint probabilities, or values of regressions; those below 0 count as
            0.
        weights: (T,), at least 0. A task of weight 0 takes no part.
        rates: (T,), b_t: mean label of each task on train, on all impressions.

    Returns:
        (N,) float64.
    """
    return FusionTerms(predictions, rates).fused(kind, weights)


def logged(values: NDArray[Any]) -> Floats:
    """A score of the log (N,) as it ranked: a row without one was ranked last."""
    known = values.astype(np.float64)
    least = float(np.nanmin(known)) if np.isfinite(known).any() else 0.0
    return np.nan_to_num(known, nan=least - 1.0)


def in_formula(kind: FusionKind, terms: Mapping[str, float], rates: Sequence[float]) -> str:
    """A fusion as a formula of predictions, by weights of their terms: `1 p_click + 12.8 p_buy`.

    Args:
        terms: by formula of a prediction its weight, which is written with three digits.
    """
    weights = {read(term, "a prediction"): weight for term, weight in terms.items()}
    if kind == "power":
        powers = [Power(term, float(f"{weight:.3g}")) for term, weight in weights.items() if weight]
        return text_of(powers[0].base if len(powers) == 1 else Product(tuple(powers)))
    raw = {
        term: weight / rate
        for (term, weight), rate in zip(weights.items(), rates, strict=True)
        if weight
    }
    least = min(map(abs, raw.values()), default=1.0)
    parts: list[Expression] = []
    for term, weight in raw.items():
        factors = term.factors if isinstance(term, Product) else (term,)
        parts.append(Product((Number(float(f"{weight / least:.3g}")), *factors)))
    return text_of(Sum(tuple(parts)))


def fusion_in(
    formula: Expression, terms: Sequence[str], kinds: Sequence[FusionKind] = FUSION_KINDS
) -> tuple[FusionKind, list[float]] | None:
    """The fusion of predictions that a formula is: its kind and raw weights (T,), at least 0; None
    where it is none.

    Both are multiplied out, so `p_click + 40 p_click p_buy` is a sum of the terms `p_click` and
    `p_click p_buy`.

    Args:
        terms: formulas of T predictions.
    """
    products = multiplied_out(formula)
    predictions = [multiplied_out(read(term, "a prediction")) for term in terms]
    if products is None or any(
        prediction is None or [*prediction.values()] != [1.0] for prediction in predictions
    ):
        return None
    products.pop(frozenset(), None)  # a constant changes no order
    monomials = [next(iter(prediction)) for prediction in predictions if prediction]
    weights = [products.get(monomial, 0.0) for monomial in monomials]
    if "sum" in kinds and products.keys() <= {*monomials} and len({*monomials}) == len(monomials):
        return ("sum", weights) if min(weights) >= 0 and max(weights) > 0 else None
    if "power" not in kinds:
        return None
    powers = _without_logarithms(products)
    if len(powers) != 1:
        return None
    ((wanted, coefficient),) = powers.items()
    atoms = list(dict.fromkeys(atom for monomial in (*monomials, wanted) for atom, _ in monomial))
    exponents = np.array(
        [[dict(monomial).get(atom, 0.0) for atom in atoms] for monomial in monomials]
    )
    target = np.array([dict(wanted).get(atom, 0.0) for atom in atoms])
    found, *_ = np.linalg.lstsq(exponents.T, target, rcond=None)
    found = np.where(np.abs(found) < 1e-9, 0.0, found)
    fits = (
        np.allclose(exponents.T @ found, target, atol=1e-9)
        and (found >= 0).all()
        and (found > 0).any()
    )
    return ("power", found.tolist()) if fits and coefficient > 0 else None


def _without_logarithms(products: Mapping[Monomial, float]) -> Mapping[Monomial, float]:
    """A weighted sum of logarithms as the product of powers that it ranks alike with; anything else
    as it is.
    """
    exponents: dict[Hashable, float] = {}
    for monomial, weight in products.items():
        match [*monomial]:
            case [(("log", frozenset() as inside), 1.0)] if len(inside) == 1:
                ((powers, coefficient),) = inside
            case _:
                return products
        if coefficient <= 0:
            return products
        for atom, exponent in powers:
            exponents[atom] = exponents.get(atom, 0.0) + weight * exponent
    return {frozenset((atom, exponent) for atom, exponent in exponents.items() if exponent): 1.0}


def in_words(weights: Mapping[str, float]) -> str:
    """Weights by task as sentences and tables have them: `click 0.8, like 0.2`."""
    return ", ".join(f"{task} {weight:.3g}" for task, weight in weights.items())
