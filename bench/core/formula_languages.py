"""Formulas in other languages: as text, SQL and Python, and computed for the rows of a log."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known
from bench.core.formula import (
    COLUMN,
    LEAST_PREDICTION,
    NEAR,
    Call,
    Column,
    Expression,
    Number,
    Power,
    Product,
    Sum,
    is_product_of_powers,
    quoted,
)


@dataclass(frozen=True)
class _Language:
    """How an expression is written.

    Attributes:
        column, number: of a name or a value.
        times: between factors.
        power, call: of texts that stand for themselves, without parentheses around them.
    """

    column: Callable[[str], str]
    times: str
    power: Callable[[str, str], str]
    call: Callable[[str, str], str]


def number(value: float) -> str:
    """The shortest text, of three digits or more, for a number as exact as it takes to rank
    alike.
    """
    for digits in range(3, 16):
        rounded = float(f"{value:.{digits}g}")
        if math.isclose(rounded, value, rel_tol=1e-12):
            return repr(rounded).removesuffix(".0")
    return repr(float(value)).removesuffix(".0")


def text_of(expression: Expression) -> str:
    """The formula; `read` reads it."""
    return _written(expression, _FORMULA)


def sql_of(expression: Expression) -> str:
    """An SQL expression that ranks as the formula does, with GREATEST, LEAST, POWER, LN and EXP."""
    return _written(_with_floors(expression), _SQL)


def python_of(expression: Expression) -> str:
    """A numpy expression that ranks as the formula does, of columns of `log`, such as a data
    frame.
    """
    return _written(_with_floors(expression), _PYTHON)


def _with_floors(expression: Expression) -> Expression:
    """A product of powers with all of its factors as powers, so that all count as at least
    `LEAST_PREDICTION`.
    """
    if not isinstance(expression, Product) or not is_product_of_powers(expression):
        return expression
    factors: list[Expression] = []
    for factor in expression.factors:
        factors.append(factor if isinstance(factor, Number | Power) else Power(factor, 1.0))
    return Product(tuple(factors))


def _written(expression: Expression, language: _Language) -> str:
    match expression:
        case Number(value):
            return number(value)
        case Column(name):
            return language.column(name)
        case Sum(terms):
            text = _written(terms[0], language)
            for term in terms[1:]:
                term_text = _written(term, language)
                minus = term_text.startswith("-")
                text += f" - {term_text[1:]}" if minus else f" + {term_text}"
            return text
        case Product(factors):
            texts = []
            for factor in factors:
                factor_text = _written(factor, language)
                texts.append(f"({factor_text})" if isinstance(factor, Sum) else factor_text)
            times = " * " if is_product_of_powers(expression) else language.times
            return times.join(texts)
        case Power(base, exponent):
            return language.power(_written(base, language), number(exponent))
        case Call(function, argument):
            return language.call(function, _written(argument, language))


def _formula_power(base: str, exponent: str) -> str:
    if not COLUMN.fullmatch(base):
        base = f"({base})"
    return f"{base}^{exponent}"


def _formula_call(function: str, argument: str) -> str:
    return f"{function}({argument})"


def _sql_column(name: str) -> str:
    """A name in standard SQL, in quotes, as it may be a word of the language."""
    return '"' + name.replace('"', '""') + '"'


def _sql_call(function: str, argument: str) -> str:
    if function == "sigmoid":
        return f"(1.0 / (1.0 + EXP(-({argument}))))"
    if function == "log":
        return f"LN(GREATEST({argument}, {number(LEAST_PREDICTION)}))"
    chance = f"LEAST(GREATEST({argument}, {number(NEAR)}), {number(1 - NEAR)})"
    return f"LN({chance} / (1.0 - {chance}))"


def _python_call(function: str, argument: str) -> str:
    if function == "sigmoid":
        return f"(1 / (1 + np.exp(-({argument}))))"
    if function == "log":
        return f"np.log(np.maximum({argument}, {number(LEAST_PREDICTION)}))"
    chance = f"np.clip({argument}, {number(NEAR)}, {number(1 - NEAR)})"
    return f"np.log({chance} / (1 - {chance}))"


def _sql_power(base: str, exponent: str) -> str:
    return f"POWER(GREATEST({base}, {number(LEAST_PREDICTION)}), {exponent})"


def _python_column(name: str) -> str:
    return f"log[{name!r}]"


def _python_power(base: str, exponent: str) -> str:
    return f"np.maximum({base}, {number(LEAST_PREDICTION)}) ** {exponent}"


_FORMULA = _Language(quoted, " ", _formula_power, _formula_call)
_SQL = _Language(_sql_column, " * ", _sql_power, _sql_call)
_PYTHON = _Language(_python_column, " * ", _python_power, _python_call)
FormulaLanguage = Literal["sql", "python"]
LANGUAGES: Mapping[FormulaLanguage, Callable[[Expression], str]] = {
    "sql": sql_of,
    "python": python_of,
}


def language_of(name: str, where: str) -> FormulaLanguage:
    """A language of formulas by its name; a UserError that lists them where it is another word."""
    check_known(where, name, LANGUAGES)
    return cast(FormulaLanguage, name)


# computing


def computed(expression: Expression, columns: Mapping[str, NDArray[Any]], where: str) -> Floats:
    """(N,), what ranks rows as the formula does: of a product of powers its logarithm, which no row
    is too small for.

    Args:
        columns: (N,) by name.

    Raises:
        UserError: what stands under a power or a logarithm is below 0, log odds are of no
            probability, or a row has no finite score.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(expression, Product) and is_product_of_powers(expression):
            score = _signed_log(expression, columns, where)
        else:
            score = np.asarray(_value(expression, columns, where), dtype=np.float64)
    if not np.isfinite(score).all():
        raise UserError(
            f"{where}: expected a finite score in each row, found {score[~np.isfinite(score)][0]:g}"
        )
    return score


def _signed_log(expression: Product, columns: Mapping[str, NDArray[Any]], where: str) -> Floats:
    """(N,) the logarithm of a product of powers, without its number; negative where that is below
    0.
    """
    score = np.zeros(len(next(iter(columns.values()))))
    sign = 1.0
    for factor in expression.factors:
        if isinstance(factor, Number):
            sign = float(np.sign(factor.value))
        elif isinstance(factor, Power):
            score += factor.exponent * np.log(_floored(factor.base, columns, where))
        else:
            score += np.log(_floored(factor, columns, where))
    return score * sign


def _value(expression: Expression, columns: Mapping[str, NDArray[Any]], where: str) -> Any:
    match expression:
        case Number(value):
            return value
        case Column(name):
            return columns[name].astype(np.float64)
        case Sum(terms):
            score = _value(terms[0], columns, where)
            for term in terms[1:]:
                score = score + _value(term, columns, where)
            return score
        case Product(factors):
            score = _value(factors[0], columns, where)
            for factor in factors[1:]:
                score = score * _value(factor, columns, where)
            return score
        case Power(base, exponent):
            return _floored(base, columns, where) ** exponent
        case Call("log", argument):
            return np.log(_floored(argument, columns, where))
        case Call("sigmoid", argument):
            return 1 / (1 + np.exp(-np.asarray(_value(argument, columns, where))))
        case Call(_, argument):
            p = np.asarray(_value(argument, columns, where))
            outside = p[(p < 0) | (p > 1)]
            if len(outside):
                raise UserError(
                    f"{where}: expected '{text_of(argument)}' within 0 and 1 in logit, found "
                    f"{outside[0]:g}"
                )
            p = np.clip(p, NEAR, 1 - NEAR)
            return np.log(p / (1 - p))


def _floored(base: Expression, columns: Mapping[str, NDArray[Any]], where: str) -> Any:
    values = np.asarray(_value(base, columns, where))
    if (values < 0).any():
        raise UserError(
            f"{where}: expected '{text_of(base)}' of at least 0 in a product of powers or a "
            f"logarithm, found {values.min():g}"
        )
    return np.maximum(values, LEAST_PREDICTION)
