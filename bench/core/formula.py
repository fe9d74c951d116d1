"""Formulas of scores: one grammar, in which they are read; `formula_languages` writes and computes
them.

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
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from bench.core.errors import UserError, shortened

LEAST_PREDICTION = 1e-12
"""Predictions are at least this under a logarithm or a power."""
NEAR = 1e-6
"""Predictions are at least so far from 0 and 1 before their log odds are taken."""
FUNCTIONS = ("log", "logit", "sigmoid")
MOST_CHARACTERS, MOST_TOKENS, MOST_BRACKETS, MOST_MONOMIALS = 10_000, 400, 32, 64
LARGEST_NUMBER, SMALLEST_NUMBER, LARGEST_EXPONENT = 1e100, 1e-100, 100.0
_KEYWORDS = ("and", "or", "not", "if", "else", "in", "is")
_BARE = r"[^\W\d][\w.#@:]*"
COLUMN = re.compile(rf"{_BARE}|\[(?:[^\]]|\]\])+\]")
"""A column as formulas have it."""
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
            columns: dict[str, None] = {}
            for part in parts:
                columns |= columns_of(part)
            return columns
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


def is_product_of_powers(expression: Expression) -> bool:
    """Whether it is a product with a power in it."""
    if not isinstance(expression, Product):
        return False
    return any(isinstance(factor, Power) for factor in expression.factors)


def quoted(column: str) -> str:
    """A column's name as formulas have it."""
    if re.fullmatch(_BARE, column) and column not in (*FUNCTIONS, *_KEYWORDS):
        return column
    return f"[{column.replace(']', ']]')}]"


# reading


class _Refused(Exception):
    """What was expected instead, and found."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    spaced: bool
    """Whether a space stands before it."""

    @property
    def is_operand(self) -> bool:
        return self.kind in ("name", "quoted", "number")

    @property
    def opens(self) -> bool:
        return self.kind == "operator" and self.text == "("

    @property
    def closes(self) -> bool:
        return self.kind == "operator" and self.text == ")"


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
            raise _no_formula(text) from None
        expression = _expression_of(tree.body, columns)
        if not columns_of(expression):
            raise _Refused(f"expected a formula of columns, found '{shortened(text)}'")
    except _Refused as refused:
        raise UserError(f"{where}: {refused}") from None
    return expression


def _no_formula(text: str) -> _Refused:
    return _Refused(
        "expected a sum such as '3 p_click + 40 p_click p_buy', or a product such as 'p_click^0.8 "
        f"* p_buy^0.2', found '{shortened(text)}'"
    )


def _tokens(text: str) -> Iterator[_Token]:
    position = open_brackets = count = 0
    while position < len(text):
        start = position
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            return
        match = _TOKEN.match(text, position)
        if match is None:
            raise _Refused(
                f"expected columns, numbers and + - * ^ ( ), found '{text[position]}' in "
                f"'{shortened(text)}'; a column with other characters stands in square brackets, "
                "as in [p-click]"
            )
        kind = str(match.lastgroup)
        if kind == "name" and match[0] in _KEYWORDS:
            raise _no_formula(text)
        token = _Token(kind, match[kind], spaced=position > start)
        open_brackets += token.opens - token.closes
        count += 1
        if open_brackets > MOST_BRACKETS:
            raise _Refused(f"expected brackets at most {MOST_BRACKETS} deep, found more")
        if count > MOST_TOKENS:
            raise _Refused(f"expected at most {MOST_TOKENS} numbers, columns and signs, found more")
        yield token
        position = match.end()


def _as_python(tokens: list[_Token]) -> tuple[str, list[str]]:
    """The same as a Python expression, whose name `_3` is the column at place 3."""
    pieces: list[str] = []
    columns: list[str] = []
    after_operand = False  # where a further operand is multiplied
    for token, next_token in zip_longest(tokens, tokens[1:]):
        if after_operand and (token.is_operand or token.opens):
            if token.kind == "number":
                raise _Refused(
                    f"expected a sign before the number {shortened(token.text)}, as in p^0.8 or "
                    "0.8 p"
                )
            pieces.append("*")
        is_call = _is_call(token, next_token)
        if is_call:
            pieces.append(token.text)
        elif token.kind == "number":
            pieces.append(repr(_checked(float(token.text), token.text)))
        elif token.kind == "operator":
            pieces.append("**" if token.text == "^" else token.text)
        else:
            pieces.append(f"_{len(columns)}")
            columns.append(token.text.replace("]]", "]") if token.kind == "quoted" else token.text)
        after_operand = token.closes or (token.is_operand and not is_call)
    return " ".join(pieces), columns


def _is_call(token: _Token, next_token: _Token | None) -> bool:
    """Whether a token is a function that is called: `log (p)` is a call, and `price (p)` a
    product.
    """
    if token.kind != "name" or next_token is None or not next_token.opens:
        return False
    if token.text not in FUNCTIONS and not next_token.spaced:
        raise _Refused(
            f"unknown function '{shortened(token.text)}'; known are {', '.join(FUNCTIONS)}"
        )
    return token.text in FUNCTIONS


def _checked(value: float, text: str = "") -> float:
    """A number that is neither too large nor too small."""
    found = shortened(text or f"{value:g}")
    if not abs(value) <= LARGEST_NUMBER:
        raise _Refused(f"expected numbers up to {LARGEST_NUMBER:g}, found {found}")
    if 0 < abs(value) < SMALLEST_NUMBER:
        raise _Refused(f"expected 0 or numbers from {SMALLEST_NUMBER:g} on, found {found}")
    return value


def _expression_of(node: ast.expr, columns: list[str]) -> Expression:
    """An expression of what the grammar has, and of nothing else that Python has."""
    match node:
        case ast.Constant(float() as value):
            return Number(value)
        case ast.Name(name):
            return Column(columns[int(name.removeprefix("_"))])
        case ast.UnaryOp(ast.UAdd(), operand):
            return _expression_of(operand, columns)
        case ast.UnaryOp(ast.USub(), operand):
            return product([Number(-1.0), _expression_of(operand, columns)])
        case ast.BinOp(left, operator, right):
            return _binary(_expression_of(left, columns), operator, _expression_of(right, columns))
        case ast.Call(ast.Name(function), [argument], []) if function in FUNCTIONS:
            return Call(function, _expression_of(argument, columns))
    raise _unknown_part()


def _binary(left: Expression, operator: ast.operator, right: Expression) -> Expression:
    match operator:
        case ast.Add():
            return total([left, right])
        case ast.Sub():
            return total([left, product([Number(-1.0), right])])
        case ast.Mult():
            return product([left, right])
        case ast.Div():
            return product([left, _inverse(right)])
        case ast.Pow():
            return power(left, right)
    raise _unknown_part()


def _unknown_part() -> _Refused:
    return _Refused(
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
    numbers = [term.value for term in flat if isinstance(term, Number)]
    if len(numbers) == len(flat):
        return Number(_checked(sum(numbers)))
    return Sum(tuple(flat))


def product(factors: Iterable[Expression]) -> Expression:
    """Their product, without products inside it, and with one number at most."""
    coefficient = 1.0
    flat: list[Expression] = []
    for factor in factors:
        for part in factor.factors if isinstance(factor, Product) else [factor]:
            if isinstance(part, Number):
                coefficient = _checked(coefficient * part.value)
            else:
                flat.append(part)
    if not flat or coefficient != 1.0:
        flat.insert(0, Number(coefficient))
    return flat[0] if len(flat) == 1 else Product(tuple(flat))


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
            sum_of_terms: dict[Monomial, float] = {}
            for term in terms:
                for monomial, coefficient in _monomials(term).items():
                    sum_of_terms[monomial] = sum_of_terms.get(monomial, 0.0) + coefficient
            return sum_of_terms
        case Product(factors):
            multiplied: dict[Monomial, float] = {frozenset(): 1.0}
            for factor in factors:
                multiplied = _multiplied(multiplied, _monomials(factor))
            return multiplied
        case Power(base, exponent):
            return _raised(_monomials(base), exponent)
        case Call(function, argument):
            atom = (function, frozenset(_monomials(argument).items()))
            return {frozenset({(atom, 1.0)}): 1.0}


def _raised(base: dict[Monomial, float], exponent: float) -> dict[Monomial, float]:
    """The base to the power of a number: exponents are multiplied where it is one product."""
    if len(base) == 1:
        ((monomial, coefficient),) = base.items()
        if coefficient == 1.0:
            return {frozenset((atom, e * exponent) for atom, e in monomial): 1.0}
    atom = ("power", frozenset(base.items()))
    return {frozenset({(atom, exponent)}): 1.0}


def _multiplied(left: dict[Monomial, float], right: dict[Monomial, float]) -> dict[Monomial, float]:
    if len(left) * len(right) > MOST_MONOMIALS:
        raise _TooMany
    products: dict[Monomial, float] = {}
    for left_monomial, left_coefficient in left.items():
        for right_monomial, right_coefficient in right.items():
            exponents = dict(left_monomial)
            for atom, exponent in right_monomial:
                exponents[atom] = exponents.get(atom, 0.0) + exponent
            monomial = frozenset((atom, e) for atom, e in exponents.items() if e)
            coefficient = left_coefficient * right_coefficient
            products[monomial] = products.get(monomial, 0.0) + coefficient
    return products
