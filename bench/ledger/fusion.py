"""Fusion: from the heads' predictions to the one score that ranks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
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
        shares = tuple(float(weight) / whole for weight in weights)
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
        self._terms: dict[tuple[FusionKind, int], Floats] = {}

    def fused(self, kind: FusionKind, weights: Sequence[float]) -> Floats:
        """(N,), the score of each row; see `fused`."""
        score = np.zeros(len(self.predictions))
        for task, weight in enumerate(weights):
            if weight:
                score += weight * self._term(kind, task)
        return score

    def _term(self, kind: FusionKind, task: int) -> Floats:
        if (kind, task) in self._terms:
            return self._terms[kind, task]
        values = np.maximum(self.predictions[:, task].astype(np.float64), 0.0)
        if kind == "power":
            term = np.log(np.maximum(values, LEAST_PREDICTION))
        else:
            term = values / self._rates[task]
        if len(term) <= MOST_KEPT:
            self._terms[kind, task] = term
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
    scores = values.astype(np.float64)
    lowest = float(np.nanmin(scores)) if np.isfinite(scores).any() else 0.0
    return np.nan_to_num(scores, nan=lowest - 1.0)


def in_formula(kind: FusionKind, terms: Mapping[str, float], rates: Sequence[float]) -> str:
    """A fusion as a formula of predictions, by weights of their terms: `1 p_click + 12.8 p_buy`.

    Args:
        terms: by formula of a prediction its weight, which is written with three digits.
    """
    weights = {read(term, "a prediction"): weight for term, weight in terms.items()}
    if kind == "power":
        powers = []
        for term, weight in weights.items():
            if weight:
                powers.append(Power(term, float(f"{weight:.3g}")))
        if len(powers) == 1:
            return text_of(powers[0].base)
        return text_of(Product(tuple(powers)))
    raw_weights = {}
    for (term, weight), rate in zip(weights.items(), rates, strict=True):
        if weight:
            raw_weights[term] = weight / rate
    smallest = min(map(abs, raw_weights.values()), default=1.0)
    summands: list[Expression] = []
    for term, weight in raw_weights.items():
        factors = term.factors if isinstance(term, Product) else (term,)
        summands.append(Product((Number(float(f"{weight / smallest:.3g}")), *factors)))
    return text_of(Sum(tuple(summands)))


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
    if products is None or not all(map(_is_monomial, predictions)):
        return None
    products.pop(frozenset(), None)  # a constant changes no order
    monomials = [next(iter(prediction)) for prediction in predictions if prediction]
    weights = [products.get(monomial, 0.0) for monomial in monomials]
    distinct = set(monomials)
    if "sum" in kinds and products.keys() <= distinct and len(distinct) == len(monomials):
        return ("sum", weights) if min(weights) >= 0 and max(weights) > 0 else None
    if "power" not in kinds:
        return None
    powers = _without_logarithms(products)
    if len(powers) != 1:
        return None
    [(product, coefficient)] = powers.items()
    exponents = _exponents_of(product, monomials)
    if exponents is None or coefficient <= 0:
        return None
    return "power", exponents


def _is_monomial(products: Mapping[Monomial, float] | None) -> bool:
    """Whether it is one product with the factor 1."""
    return products is not None and list(products.values()) == [1.0]


def _exponents_of(product: Monomial, monomials: Sequence[Monomial]) -> list[float] | None:
    """Exponents (T,), at least 0 and one above, with which monomials multiply to a product; None
    where there are none.
    """
    atoms: dict[Hashable, None] = {}
    for monomial in (*monomials, product):
        atoms |= dict.fromkeys(dict(monomial))
    matrix = np.array([_powers_of(atoms, monomial) for monomial in monomials]).T
    target = np.array(_powers_of(atoms, product))
    exponents, *_ = np.linalg.lstsq(matrix, target, rcond=None)
    exponents = np.where(np.abs(exponents) < 1e-9, 0.0, exponents)
    fits = np.allclose(matrix @ exponents, target, atol=1e-9)
    if not fits or (exponents < 0).any() or not (exponents > 0).any():
        return None
    return list(exponents.tolist())


def _powers_of(atoms: Iterable[Hashable], monomial: Monomial) -> list[float]:
    power_of = dict(monomial)
    return [power_of.get(atom, 0.0) for atom in atoms]


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
    factors = filter(itemgetter(1), exponents.items())  # without exponents of 0
    return {frozenset(factors): 1.0}


def in_words(weights: Mapping[str, float]) -> str:
    """Weights by task as sentences and tables have them: `click 0.8, like 0.2`."""
    return ", ".join(f"{task} {weight:.3g}" for task, weight in weights.items())
