"""Scalar expressions: the IR that plans carry from the planner to a replica.

Expressions are immutable, hashable and encodable as msgpack. They know columns by position, values
by canonical encoding and functions by registry id (`expr.registry`); they know no catalog, no names
and no session. Whatever depends on the session at evaluation time is in `EvaluationContext`;
calls of kind SESSION (`now()`, `current_user`) are replaced by literals before a plan is run, as
parameters are, so that a cached plan holds neither.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from core.rows import Datum, codec_for
from core.sql_types import BOOL, SqlType


class Node(msgspec.Struct, frozen=True, array_like=True, tag_field="node"):
    """An immutable node of an expression tree, msgpack-encodable."""


class ColumnRef(Node, frozen=True, tag="column"):
    """Column `index` of the input row, counted from 0."""

    index: int
    type: SqlType


class Literal(Node, frozen=True, tag="literal"):
    """A constant, held as the canonical encoding of a row of one column."""

    data: bytes
    type: SqlType

    @property
    def value(self) -> Datum:
        return codec_for((self.type.base,)).decode(self.data)[0]

    @property
    def is_null(self) -> bool:
        return self.data == NULL_ROW


class Parameter(Node, frozen=True, tag="parameter"):
    """Parameter `$index`, counted from 1; replaced by a literal before a plan is run."""

    index: int
    type: SqlType


class Call(Node, frozen=True, tag="call"):
    """A call of the function whose registry id is `function`.

    `type` is the call's resolved result type (polymorphic functions have no type of their own).
    """

    function: str
    args: tuple["Scalar", ...]
    type: SqlType


class Case(Node, frozen=True, tag="case"):
    """The result of the first branch whose condition is true; only that result is evaluated."""

    branches: tuple[tuple["Scalar", "Scalar"], ...]
    otherwise: "Scalar"
    type: SqlType


class And(Node, frozen=True, tag="and"):
    """Three-valued AND, evaluated left to right, ending at the first false."""

    args: tuple["Scalar", ...]

    @property
    def type(self) -> SqlType:
        return BOOL


class Or(Node, frozen=True, tag="or"):
    """Three-valued OR, evaluated left to right, ending at the first true."""

    args: tuple["Scalar", ...]

    @property
    def type(self) -> SqlType:
        return BOOL


class Coalesce(Node, frozen=True, tag="coalesce"):
    """The first argument that is not null; later ones are not evaluated."""

    args: tuple["Scalar", ...]
    type: SqlType


Scalar = ColumnRef | Literal | Parameter | Call | Case | And | Or | Coalesce

NULL_ROW: Final = b"\x91\xc0"


def literal(value: Datum, sql_type: SqlType) -> Literal:
    """The literal of `value`, which must be a datum of `sql_type` (see `core.rows`)."""
    return Literal(codec_for((sql_type.base,)).encode((value,)), sql_type)


class EvaluationContext(msgspec.Struct, frozen=True, array_like=True):
    """Session settings that scalar functions and output formats read."""

    time_zone: str = "UTC"
    date_style: str = "ISO, MDY"
    interval_style: str = "postgres"
    extra_float_digits: int = 1
    bytea_output: str = "hex"


def children(scalar: Scalar) -> tuple[Scalar, ...]:
    """The direct operands of `scalar`, in evaluation order."""
    match scalar:
        case ColumnRef() | Literal() | Parameter():
            return ()
        case Call(args=args) | And(args=args) | Or(args=args) | Coalesce(args=args):
            return args
        case Case(branches=branches, otherwise=otherwise):
            return (*(part for branch in branches for part in branch), otherwise)


def with_children(scalar: Scalar, new: tuple[Scalar, ...]) -> Scalar:
    """`scalar` with its operands replaced, in the order of `children`."""
    match scalar:
        case ColumnRef() | Literal() | Parameter():
            return scalar
        case Call(function=function, type=result):
            return Call(function, new, result)
        case And():
            return And(new)
        case Or():
            return Or(new)
        case Coalesce(type=result):
            return Coalesce(new, result)
        case Case(branches=branches, type=result):
            pairs = tuple((new[2 * i], new[2 * i + 1]) for i in range(len(branches)))
            return Case(pairs, new[-1], result)


def substitute(
    scalar: Scalar,
    parameters: tuple[Literal, ...],
    session: Callable[[Call], Literal | None],
) -> Scalar:
    """`scalar` with each parameter and each call that `session` answers replaced by its literal.

    `parameters[0]` is `$1`. `session` is asked about every call, innermost first; it returns None
    for calls that are not of kind SESSION. Unchanged subtrees are returned as they are.
    """
    if isinstance(scalar, Parameter):
        return parameters[scalar.index - 1]
    operands = children(scalar)
    if operands:
        replaced = tuple(substitute(operand, parameters, session) for operand in operands)
        if any(new is not old for new, old in zip(replaced, operands, strict=True)):
            scalar = with_children(scalar, replaced)
    if isinstance(scalar, Call):
        answer = session(scalar)
        return scalar if answer is None else answer
    return scalar
