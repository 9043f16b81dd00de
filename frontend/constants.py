"""Queries that read nothing, evaluated by the session itself within a budget.

Only rows that are already constant, and projections, maps and filters of few of them, are done
here; whatever else (or whatever does not fold to a value) is for a replica. Errors are never raised
here: an expression that fails does not fold, and the replica raises its error.
"""

from typing import Final

from core.errors import SqlError
from core.rows import Row, codec_for
from core.sql_types import SqlType
from expr.compile import compile_scalar
from expr.fold import fold
from expr.relation import (
    Constant,
    Filter,
    Finishing,
    Map,
    Project,
    Relation,
)
from expr.scalar import ColumnRef, EvaluationContext, Literal, Scalar, children, with_children
from expr.scalar import literal as make_literal

MAX_ROWS: Final = 1_000
MAX_EVALUATIONS: Final = 2_000


def constant_rows(
    relation: Relation, finishing: Finishing, context: EvaluationContext
) -> list[Row] | None:
    """The query's rows in order, or None when it is for a replica."""
    if isinstance(relation, Constant) and not relation.rows:
        return []
    rows = _rows(relation, context, [MAX_EVALUATIONS])
    if rows is None or (finishing.order_by and len(rows) > 1):
        return None
    end = None if finishing.limit is None else finishing.offset + finishing.limit
    if finishing.offset or end is not None:
        rows = rows[finishing.offset : end]
    if finishing.project is not None:
        rows = [tuple(row[index] for index in finishing.project) for row in rows]
    return rows


def encoded_constant_rows(
    relation: Relation, types: tuple[SqlType, ...], context: EvaluationContext, limit: int
) -> list[bytes] | None:
    """The canonical encodings of at most `limit` constant rows of `types`, else None."""
    if isinstance(relation, Constant):
        if len(relation.rows) > limit or _base(relation.types) != _base(types):
            return None
        encoded: list[bytes] = []
        for data, diff in relation.rows:
            if diff < 0 or len(encoded) + diff > limit:
                return None
            encoded.extend([data] * diff)
        return encoded
    rows = constant_rows(relation, Finishing(), context)
    if rows is None or len(rows) > limit:
        return None
    encode = codec_for(_base(types)).encode
    return [encode(row) for row in rows]


def evaluate(scalar: Scalar, context: EvaluationContext) -> Literal:
    """The value of a scalar without columns, parameters or session calls. Raises its SqlError."""
    folded = fold(scalar, context)
    if isinstance(folded, Literal):
        return folded
    return make_literal(compile_scalar(folded, context)(()), folded.type)


def _base(types: tuple[SqlType, ...]) -> tuple[SqlType, ...]:
    return tuple(sql_type.base for sql_type in types)


def _rows(relation: Relation, context: EvaluationContext, budget: list[int]) -> list[Row] | None:
    match relation:
        case Constant(rows=encoded, types=types):
            if len(encoded) > MAX_ROWS:
                return None
            decode = codec_for(_base(types)).decode
            rows: list[Row] = []
            for data, diff in encoded:
                if diff < 0 or len(rows) + diff > MAX_ROWS:
                    return None
                rows.extend([decode(data)] * diff)
            return rows
        case Project(input=source, outputs=outputs):
            below = _rows(source, context, budget)
            if below is None:
                return None
            return [tuple(row[index] for index in outputs) for row in below]
        case Map(input=source, scalars=scalars):
            below = _rows(source, context, budget)
            return None if below is None else _map(below, scalars, context, budget)
        case Filter(input=source, predicates=predicates):
            below = _rows(source, context, budget)
            return None if below is None else _filter(below, predicates, context, budget)
        case _:
            return None


def _map(
    rows: list[Row], scalars: tuple[Scalar, ...], context: EvaluationContext, budget: list[int]
) -> list[Row] | None:
    mapped: list[Row] = []
    for row in rows:
        for scalar in scalars:
            value = _value(scalar, row, context, budget)
            if value is None:
                return None
            row = (*row, value.value)
        mapped.append(row)
    return mapped


def _filter(
    rows: list[Row], predicates: tuple[Scalar, ...], context: EvaluationContext, budget: list[int]
) -> list[Row] | None:
    kept: list[Row] = []
    for row in rows:
        for predicate in predicates:
            value = _value(predicate, row, context, budget)
            if value is None:
                return None
            if value.value is not True:
                break
        else:
            kept.append(row)
    return kept


def _value(
    scalar: Scalar, row: Row, context: EvaluationContext, budget: list[int]
) -> Literal | None:
    if isinstance(scalar, Literal):
        return scalar
    budget[0] -= 1
    if budget[0] < 0:
        return None
    try:
        folded = fold(_with_columns(scalar, row), context)
    except SqlError:
        return None
    return folded if isinstance(folded, Literal) else None


def _with_columns(scalar: Scalar, row: Row) -> Scalar:
    if isinstance(scalar, ColumnRef):
        return make_literal(row[scalar.index], scalar.type)
    operands = children(scalar)
    if not operands:
        return scalar
    return with_children(scalar, tuple(_with_columns(operand, row) for operand in operands))
