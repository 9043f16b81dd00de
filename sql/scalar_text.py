"""Scalars as EXPLAIN shows them, columns as `#0`, in the manner of Materialize."""

from collections.abc import Iterable

from core.sql_types import SqlType
from expr.relation import Aggregate, ColumnOrder
from expr.scalar import (
    And,
    Call,
    Case,
    Coalesce,
    ColumnRef,
    EvaluationContext,
    Literal,
    Or,
    Parameter,
    Scalar,
)
from expr.text_format import text_output

_DEFAULTS = EvaluationContext()


def value_text(value: object, sql_type: SqlType) -> str:
    """A datum as EXPLAIN shows it."""
    if value is None:
        return "null"
    text = text_output(sql_type, _DEFAULTS)(value)
    return text if sql_type.info.category in "NB" else f'"{text}"'


def columns_text(outputs: Iterable[int]) -> str:
    """Column positions."""
    return ", ".join(f"#{index}" for index in outputs)


def orders_text(orders: tuple[ColumnOrder, ...]) -> str:
    """An order of columns."""
    return ", ".join(
        f"#{o.column} {'desc' if o.descending else 'asc'} "
        f"nulls_{'last' if o.nulls_last else 'first'}"
        for o in orders
    )


def scalars_text(scalars: Iterable[Scalar]) -> str:
    """Scalars with commas between them."""
    return ", ".join(map(scalar_text, scalars))


def aggregate_text(aggregate: Aggregate) -> str:
    """A call of an aggregate."""
    distinct = "distinct " if aggregate.distinct else ""
    args = scalars_text(aggregate.args) if aggregate.args else "*"
    order = ""
    if aggregate.order_by:
        order = (
            " order_by=["
            + ", ".join(
                f"{scalar_text(o.scalar)} {'desc' if o.descending else 'asc'}"
                for o in aggregate.order_by
            )
            + "]"
        )
    condition = "" if aggregate.filter is None else f" filter={scalar_text(aggregate.filter)}"
    return f"{call_name(aggregate.function)}({distinct}{args}){order}{condition}"


def call_name(function: str) -> str:
    """The name in a function's registry id."""
    return function.partition("(")[0]


def scalar_text(scalar: Scalar) -> str:
    """A scalar as EXPLAIN shows it."""
    match scalar:
        case ColumnRef(index=index):
            return f"#{index}"
        case Literal(type=sql_type):
            return value_text(scalar.value, sql_type)
        case Parameter(index=index):
            return f"${index}"
        case Call():
            return _call(scalar)
        case And(args=args):
            return " AND ".join(map(operand_text, args))
        case Or(args=args):
            return " OR ".join(map(operand_text, args))
        case Coalesce(args=args):
            return f"coalesce({scalars_text(args)})"
        case Case(branches=branches, otherwise=otherwise):
            shown = " ".join(
                f"when {scalar_text(test)} then {scalar_text(result)}" for test, result in branches
            )
            return f"case {shown} else {scalar_text(otherwise)} end"


def operand_text(scalar: Scalar) -> str:
    """A scalar in brackets where an operation needs them."""
    text = scalar_text(scalar)
    is_operation = isinstance(scalar, (And, Or)) or (
        isinstance(scalar, Call) and not scalar.function[0].isalpha()
    )
    return f"({text})" if is_operation else text


def _call(call: Call) -> str:
    name = call_name(call.function)
    if name == "cast":
        return f"{operand_text(call.args[0])}::{call.type.info.sql_name}"
    quantifier, _, operator = name.partition(":")
    if operator and quantifier in ("any", "all"):
        return f"{operand_text(call.args[0])} {operator} {quantifier}({scalar_text(call.args[1])})"
    if name == "is_null":
        return f"{operand_text(call.args[0])} IS NULL"
    if name and not name[0].isalpha():
        if len(call.args) == 1:
            return f"{name}{operand_text(call.args[0])}"
        return f"{operand_text(call.args[0])} {name} {operand_text(call.args[1])}"
    return f"{name}({scalars_text(call.args)})"
