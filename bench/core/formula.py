"""Formulas of scores: one grammar, in which they are read, written, computed, and turned into SQL
and Python.

    3 p_click + 40 p_click p_buy
    (price p_buy)^0.6 * p_click^0.4
    sigmoid(-0.4 + 1.3 logit(p_click))

A formula has columns, numbers, sums, products (a space or `*`), powers (`^` or `**`) with a number
as exponent, `log`, `logit`, `sigmoid` and parentheses. A column with other characters than letters,
digits and `_.#@:` stands in square brackets, `[p-click]`, with each `]` of its name doubled.
Backticks would not do: a shell runs what stands in them.

Arguments of powers and logarithms count as at least `LEAST_PREDICTION`, and log odds are of `NEAR`
to 1 - `NEAR`, as where weights are chosen.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known, shortened

LEAST_PREDICTION = 1e-12
"""Predictions are at least this under a logarithm or a power."""
NEAR = 1e-6
"""Predictions are at least so far from 0 and 1 before their log odds are taken."""
FUNCTIONS = ("log", "logit", "sigmoid")
MOST_CHARACTERS, MOST_TOKENS, MOST_BRACKETS, MOST_MONOMIALS = 10_000, 400, 32, 64
LARGEST_NUMBER, SMALLEST_NUMBER, LARGEST_EXPONENT = 1e100, 1e-100, 100.0
_KEYWORDS = ("and", "or", "not", "if", "else", "in", "is")
_BARE = r"[^\W\d][\w.#@:]*"
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    rf"|(?P<name>{_BARE})"
    r"|\[(?P<quoted>(?:[^\]]|\]\])+)\]"
    r"|(?P<operator>\*\*|[-+*/^()])"
)


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Column:
    """A column's value in each row."""

    name: str


@dataclass(frozen=True)
class Sum:
    """Terms that are added up."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True)
class Product:
    """Factors; a number, of which there is one at most, comes first."""

    factors: tuple[Expression, ...]


@dataclass(frozen=True)
class Power:
    """A base, which must not be below 0, to the power of a number."""

    base: Expression
    exponent: float


@dataclass(frozen=True)
class Call:
    """One of `FUNCTIONS` of its argument."""

    function: str
    argument: Expression


Expression = Number | Column | Sum | Product | Power | Call
Monomial = frozenset[tuple[Hashable, float]]
"""A product of powers: columns, or whatever else cannot be multiplied out, with their exponents."""


def columns_of(expression: Expression) -> dict[str, None]:
    """The columns of an expression, in its order."""
    match expression:
        case Column(name):
            return {name: None}
        case Sum(parts) | Product(parts):
            return {name: None for part in parts for name in columns_of(part)}
        case Power(part, _) | Call(_, part):
            return columns_of(part)
        case Number():
            return {}


def replaced(expression: Expression, columns: Mapping[str, Expression]) -> Expression:
    """The expression with others in place of some columns."""
    match expression:
        case Column(name):
            return columns.get(name, expression)
        case Sum(terms):
            return total(replaced(term, columns) for term in terms)
        case Product(factors):
            return product(replaced(factor, columns) for factor in factors)
        case Power(base, exponent):
            return Power(replaced(base, columns), exponent)
        case Call(function, argument):
            return Call(function, replaced(argument, columns))
        case Number():
            return expression


# reading


class _Refused(Exception):
    """What was expected instead, and found."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    spaced: bool
    """Whether a space stands before it."""


def read(text: str, where: str) -> Expression:
    """Reads a formula.

    Args:
        where: the option or key that it was given as, for the sentence on a mistake.

    Raises:
        UserError: it is no formula, has no column, or is longer, deeper or has larger numbers than
            allowed.
    """
    try:
        if len(text) > MOST_CHARACTERS:
            raise _Refused(
                f"expected a formula of at most {MOST_CHARACTERS:,} characters, found {len(text):,}"
            )
        source, columns = _as_python(list(_tokens(text)))
        try:
            tree = ast.parse(source, mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise _Refused(_expected(text)) from None
        expression = _built(tree.body, columns)
        if not columns_of(expression):
            raise _Refused(f"expected a formula of columns, found '{shortened(text)}'")
    except _Refused as refused:
        raise UserError(f"{where}: {refused}") from None
    return expression


def _expected(text: str) -> str:
    return (
        "expected a sum such as '3 p_click + 40 p_click p_buy', or a product such as 'p_click^0.8 "
        f"* p_buy^0.2', found '{shortened(text)}'"
    )


def _tokens(text: str) -> Iterator[_Token]:
    place, open_brackets, count = 0, 0, 0
    while place < len(text):
        start = place
        while place < len(text) and text[place].isspace():
            place += 1
        if place == len(text):
            return
        match = _TOKEN.match(text, place)
        if match is None:
            raise _Refused(
                f"expected columns, numbers and + - * ^ ( ), found '{text[place]}' in "
                f"'{shortened(text)}'; a column with other characters stands in square brackets, "
                "as in [p-click]"
            )
        kind = str(match.lastgroup)
        if kind == "name" and match[0] in _KEYWORDS:
            raise _Refused(_expected(text))
        open_brackets += (match[0] == "(") - (match[0] == ")")
        count += 1
        if open_brackets > MOST_BRACKETS:
            raise _Refused(f"expected brackets at most {MOST_BRACKETS} deep, found more")
        if count > MOST_TOKENS:
            raise _Refused(f"expected at most {MOST_TOKENS} numbers, columns and signs, found more")
        yield _Token(kind, match[match.lastgroup or 0], place > start)
        place = match.end()


def _as_python(tokens: list[_Token]) -> tuple[str, list[str]]:
    """The same as a Python expression, whose name `_3` is the column at place 3."""
    pieces: list[str] = []
    columns: list[str] = []
    before: _Token | None = None
    for place, token in enumerate(tokens):
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        opens = (
            token.kind == "name"
            and after is not None
            and after.kind == "operator"
            and after.text == "("
        )
        called = opens and after is not None and (token.text in FUNCTIONS or not after.spaced)
        if called and token.text not in FUNCTIONS:
            raise _Refused(
                f"unknown function '{shortened(token.text)}'; known are {', '.join(FUNCTIONS)}"
            )
        begins = token.kind in ("name", "quoted", "number") or token.text == "("
        ends = before is not None and (
            before.kind in ("name", "quoted", "number") or before.text == ")"
        )
        if begins and ends and not (pieces[-1] in FUNCTIONS and token.text == "("):
            if token.kind == "number":
                raise _Refused(
                    f"expected a sign before the number {shortened(token.text)}, as in p^0.8 or "
                    "0.8 p"
                )
            pieces.append("*")
        if called:
            pieces.append(token.text)
        elif token.kind in ("name", "quoted"):
            pieces.append(f"_{len(columns)}")
            columns.append(token.text.replace("]]", "]") if token.kind == "quoted" else token.text)
        elif token.kind == "number":
            pieces.append(repr(_checked(float(token.text), token.text)))
        else:
            pieces.append("**" if token.text == "^" else token.text)
        before = token
    return " ".join(pieces), columns


def _checked(value: float, text: str = "") -> float:
    """A number that is neither too large nor too small."""
    if not abs(value) <= LARGEST_NUMBER:
        raise _Refused(
            f"expected numbers up to {LARGEST_NUMBER:g}, found {shortened(text or f'{value:g}')}"
        )
    if 0 < abs(value) < SMALLEST_NUMBER:
        raise _Refused(
            f"expected 0 or numbers from {SMALLEST_NUMBER:g} on, found "
            f"{shortened(text or f'{value:g}')}"
        )
    return value


def _built(node: ast.expr, columns: list[str]) -> Expression:
    """An expression of what the grammar has, and of nothing else that Python has."""
    match node:
        case ast.Constant(float() as value):
            return Number(value)
        case ast.Name(name):
            return Column(columns[int(name.removeprefix("_"))])
        case ast.UnaryOp(ast.UAdd(), operand):
            return _built(operand, columns)
        case ast.UnaryOp(ast.USub(), operand):
            return product([Number(-1.0), _built(operand, columns)])
        case ast.BinOp(left, ast.Add(), right):
            return total([_built(left, columns), _built(right, columns)])
        case ast.BinOp(left, ast.Sub(), right):
            return total([_built(left, columns), product([Number(-1.0), _built(right, columns)])])
        case ast.BinOp(left, ast.Mult(), right):
            return product([_built(left, columns), _built(right, columns)])
        case ast.BinOp(left, ast.Div(), right):
            return product([_built(left, columns), _inverse(_built(right, columns))])
        case ast.BinOp(left, ast.Pow(), right):
            return power(_built(left, columns), _built(right, columns))
        case ast.Call(ast.Name(function), [argument], []) if function in FUNCTIONS:
            return Call(function, _built(argument, columns))
    raise _Refused(
        "expected sums, products and powers of columns, log, logit and sigmoid, found something "
        "else"
    )


def _inverse(divisor: Expression) -> Expression:
    if not isinstance(divisor, Number) or divisor.value == 0:
        raise _Refused(
            "expected a number other than 0 after '/', found something else; 1 / price is price^-1"
        )
    return Number(_checked(1 / divisor.value))


def total(terms: Iterable[Expression]) -> Expression:
    """Their sum, without sums inside it."""
    flat: list[Expression] = []
    for term in terms:
        flat += term.terms if isinstance(term, Sum) else [term]
    if all(isinstance(term, Number) for term in flat):
        return Number(_checked(sum(term.value for term in flat if isinstance(term, Number))))
    return Sum(tuple(flat))


def product(factors: Iterable[Expression]) -> Expression:
    """Their product, without products inside it, and with one number at most."""
    coefficient, others = 1.0, list[Expression]()
    for factor in factors:
        for part in factor.factors if isinstance(factor, Product) else [factor]:
            if isinstance(part, Number):
                coefficient = _checked(coefficient * part.value)
            else:
                others.append(part)
    if not others or coefficient != 1.0:
        others.insert(0, Number(coefficient))
    return others[0] if len(others) == 1 else Product(tuple(others))


def power(base: Expression, exponent: Expression) -> Expression:
    """A power, whose exponent has to be a number."""
    if not isinstance(exponent, Number) or abs(exponent.value) > LARGEST_EXPONENT:
        raise _Refused(
            f"expected a number from -{LARGEST_EXPONENT:g} to {LARGEST_EXPONENT:g} after '^', "
            "found another"
        )
    if isinstance(base, Number):
        if base.value <= 0:
            raise _Refused(f"expected a number above 0 before '^', found {base.value:g}")
        try:
            return Number(_checked(base.value**exponent.value))
        except OverflowError:
            raise _Refused(
                f"expected numbers up to {LARGEST_NUMBER:g}, found a larger one"
            ) from None
    return Power(base, exponent.value)


# writing


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


def quoted(column: str) -> str:
    """A column's name as formulas have it."""
    bare = re.fullmatch(_BARE, column) and column not in (*FUNCTIONS, *_KEYWORDS)
    return column if bare else f"[{column.replace(']', ']]')}]"


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
    if not _of_powers(expression):
        return expression
    assert isinstance(expression, Product)
    plain = (Number, Power)
    return Product(tuple(f if isinstance(f, plain) else Power(f, 1.0) for f in expression.factors))


def _of_powers(expression: Expression) -> bool:
    """Whether it is a product with a power in it."""
    return isinstance(expression, Product) and any(
        isinstance(factor, Power) for factor in expression.factors
    )


def _written(expression: Expression, language: _Language) -> str:
    match expression:
        case Number(value):
            return number(value)
        case Column(name):
            return language.column(name)
        case Sum(terms):
            texts = [_written(term, language) for term in terms]
            signed = [
                f" - {text[1:]}" if text.startswith("-") else f" + {text}" for text in texts[1:]
            ]
            return texts[0] + "".join(signed)
        case Product(factors):
            times = " * " if _of_powers(expression) else language.times
            return times.join(
                f"({_written(factor, language)})"
                if isinstance(factor, Sum)
                else _written(factor, language)
                for factor in factors
            )
        case Power(base, exponent):
            return language.power(_written(base, language), number(exponent))
        case Call(function, argument):
            return language.call(function, _written(argument, language))


def _formula_power(base: str, exponent: str) -> str:
    single = re.fullmatch(rf"{_BARE}|\[(?:[^\]]|\]\])+\]", base)
    return f"{base}^{exponent}" if single else f"({base})^{exponent}"


def _sql_column(name: str) -> str:
    """A name in standard SQL, in quotes, as it may be a word of the language."""
    return '"' + name.replace('"', '""') + '"'


def _sql_call(function: str, argument: str) -> str:
    if function == "sigmoid":
        return f"(1.0 / (1.0 + EXP(-({argument}))))"
    if function == "log":
        return f"LN(GREATEST({argument}, {number(LEAST_PREDICTION)}))"
    within = f"LEAST(GREATEST({argument}, {number(NEAR)}), {number(1 - NEAR)})"
    return f"LN({within} / (1.0 - {within}))"


def _python_call(function: str, argument: str) -> str:
    if function == "sigmoid":
        return f"(1 / (1 + np.exp(-({argument}))))"
    if function == "log":
        return f"np.log(np.maximum({argument}, {number(LEAST_PREDICTION)}))"
    within = f"np.clip({argument}, {number(NEAR)}, {number(1 - NEAR)})"
    return f"np.log({within} / (1 - {within}))"


_FORMULA = _Language(
    quoted, " ", _formula_power, lambda function, argument: f"{function}({argument})"
)
_SQL = _Language(
    _sql_column,
    " * ",
    lambda base, e: f"POWER(GREATEST({base}, {number(LEAST_PREDICTION)}), {e})",
    _sql_call,
)
_PYTHON = _Language(
    lambda name: f"log[{name!r}]",
    " * ",
    lambda base, e: f"np.maximum({base}, {number(LEAST_PREDICTION)}) ** {e}",
    _python_call,
)
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
        if _of_powers(expression):
            assert isinstance(expression, Product)
            rows = len(next(iter(columns.values())))
            score = np.zeros(rows)
            sign = 1.0
            for factor in expression.factors:
                if isinstance(factor, Number):
                    sign = float(np.sign(factor.value))
                else:
                    base, exponent = (
                        (factor.base, factor.exponent)
                        if isinstance(factor, Power)
                        else (factor, 1.0)
                    )
                    score += exponent * np.log(_floored(base, columns, where))
            score = score * sign
        else:
            score = np.asarray(_value(expression, columns, where), dtype=np.float64)
    if not np.isfinite(score).all():
        raise UserError(
            f"{where}: expected a finite score in each row, found {score[~np.isfinite(score)][0]:g}"
        )
    return score


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
            if ((p < 0) | (p > 1)).any():
                off = p[(p < 0) | (p > 1)][0]
                raise UserError(
                    f"{where}: expected '{text_of(argument)}' within 0 and 1 in logit, found "
                    f"{off:g}"
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


# multiplying out


class _TooMany(Exception):
    """An expression that has more than `MOST_MONOMIALS` where it is multiplied out."""


def multiplied_out(expression: Expression) -> dict[Monomial, float] | None:
    """The expression as a sum of products: by product of powers its coefficient; None of more than
    `MOST_MONOMIALS`.
    """
    try:
        return _monomials(expression)
    except _TooMany:
        return None


def _monomials(expression: Expression) -> dict[Monomial, float]:
    match expression:
        case Number(value):
            return {frozenset(): value}
        case Column(name):
            return {frozenset({(name, 1.0)}): 1.0}
        case Sum(terms):
            added: dict[Monomial, float] = {}
            for term in terms:
                for monomial, coefficient in _monomials(term).items():
                    added[monomial] = added.get(monomial, 0.0) + coefficient
            return added
        case Product(factors):
            found: dict[Monomial, float] = {frozenset(): 1.0}
            for factor in factors:
                found = _multiplied(found, _monomials(factor))
            return found
        case Power(base, exponent):
            inside = _monomials(base)
            if len(inside) == 1:
                ((monomial, coefficient),) = inside.items()
                if coefficient == 1.0:
                    return {frozenset((atom, e * exponent) for atom, e in monomial): 1.0}
            return {frozenset({(("power", frozenset(inside.items())), exponent)}): 1.0}
        case Call(function, argument):
            return {frozenset({((function, frozenset(_monomials(argument).items())), 1.0)}): 1.0}


def _multiplied(one: dict[Monomial, float], other: dict[Monomial, float]) -> dict[Monomial, float]:
    found: dict[Monomial, float] = {}
    if len(one) * len(other) > MOST_MONOMIALS:
        raise _TooMany
    for first, its_coefficient in one.items():
        for second, coefficient in other.items():
            exponents = dict(first)
            for atom, exponent in second:
                exponents[atom] = exponents.get(atom, 0.0) + exponent
            both = frozenset((atom, exponent) for atom, exponent in exponents.items() if exponent)
            found[both] = found.get(both, 0.0) + its_coefficient * coefficient
    return found
