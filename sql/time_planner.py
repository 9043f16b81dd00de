"""The times that AS OF and UP TO name: constants, or what depends on the session alone."""

from core.errors import (
    DATATYPE_MISMATCH,
    FEATURE_NOT_SUPPORTED,
    INVALID_COLUMN_REFERENCE,
    INVALID_TEXT_REPRESENTATION,
    SqlError,
)
from core.sql_types import MZ_TIMESTAMP, TIMESTAMPTZ, UNKNOWN
from expr.fold import fold
from expr.registry import CastContext
from expr.scalar import Literal, Scalar
from sql import syntax as ast
from sql.pending import Pending
from sql.positions import position
from sql.query_planner import QueryPlanner
from sql.scope import Scope, names_column


def plan_time(node: ast.Expression, clause: str, queries: QueryPlanner) -> Scalar:
    """The time that an expression of `clause` means, of type mz_timestamp: a number of
    microseconds since the Unix epoch, or a time with or without zone.

    Parameters and session calls may stand in it. Raises SqlError.
    """
    pending = Pending(queries.indices)
    scalar = queries.scalars(Scope(), pending, clause).plan(node)
    if pending.subqueries:
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            f"{clause} does not allow subqueries",
            position=position(node),
        )
    if names_column(scalar):
        raise SqlError(
            INVALID_COLUMN_REFERENCE,
            f"argument of {clause} must not contain variables",
            position=position(node),
        )
    return fold(_as_time(scalar, node, clause, queries), queries.context.session.context)


def _as_time(scalar: Scalar, node: ast.Expression, clause: str, queries: QueryPlanner) -> Scalar:
    coercer = queries.context.coercer
    if isinstance(scalar, Literal) and scalar.type.oid == UNKNOWN.oid:
        try:
            return coercer.coerce(scalar, MZ_TIMESTAMP)
        except SqlError as error:
            if error.sqlstate != INVALID_TEXT_REPRESENTATION:
                raise
            scalar = coercer.coerce(scalar, TIMESTAMPTZ, position=position(node))
    time = coercer.try_coerce(scalar, MZ_TIMESTAMP, CastContext.ASSIGNMENT, position(node))
    if time is None:
        raise SqlError(
            DATATYPE_MISMATCH,
            f"can't use {scalar.type.info.sql_name} as a mz_timestamp for {clause}",
            position=position(node),
        )
    return time
