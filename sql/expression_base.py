"""What the parts of the scalar planner share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from core.sql_types import SqlType
from expr.registry import CastContext
from expr.relation import ColumnOrder
from expr.scalar import Scalar
from sql import syntax as ast
from sql.hir import Hir
from sql.pending import Pending
from sql.scope import Scope
from sql.statement_context import StatementContext


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A named column of a query's result."""

    name: str
    type: SqlType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """A query: the first columns of `hir` are `columns`, the others only serve `order_by`.

    `constants` has, for the columns that are mere constants of unknown type, the constant: its
    type is decided by what surrounds the query.
    """

    hir: Hir
    columns: tuple[OutputColumn, ...]
    order_by: tuple[ColumnOrder, ...] = ()
    limit: Scalar | None = None
    offset: Scalar | None = None
    constants: tuple[Scalar | None, ...] = ()


class QuerySource(Protocol):
    """What expressions need of the query planner."""

    def plan_query(
        self, query: ast.Query, scope: Scope, *, keep_unknown: bool = False
    ) -> PlannedQuery:
        """Plan a query whose names may also mean those of `scope`."""

    def as_relation(self, planned: PlannedQuery) -> Hir:
        """The rows of a planned query, LIMIT applied, order and hidden columns dropped."""


class ExpressionBase:
    """The state and the entry points of a scalar planner."""

    def __init__(
        self,
        context: StatementContext,
        queries: QuerySource,
        scope: Scope,
        pending: Pending,
        place: str,
    ) -> None:
        self.context = context
        self.coercer = context.coercer
        self.queries = queries
        self.scope = scope
        self.pending = pending
        self.place = place

    def plan(self, node: ast.Expression) -> Scalar:
        """The scalar of an expression; its type may still be unknown."""
        raise NotImplementedError

    def condition(self, node: ast.Expression, construct: str) -> Scalar:
        """An expression that must be boolean, named in errors by `construct`."""
        raise NotImplementedError

    def plan_as(
        self, node: ast.Expression, target: SqlType, context: CastContext = CastContext.IMPLICIT
    ) -> Scalar:
        """An expression coerced to a type."""
        raise NotImplementedError

    def compare(
        self,
        operator: str,
        left: Scalar,
        right: Scalar,
        pos: int,
        places: Sequence[int | None] = (),
    ) -> Scalar:
        """One comparison, by operator name; `places` are the positions of its sides."""
        raise NotImplementedError

    def compare_rows(
        self, operator: str, lefts: Sequence[Scalar], rights: Sequence[Scalar], pos: int
    ) -> Scalar:
        """A comparison of rows, field by field."""
        raise NotImplementedError

    def cast(self, arg: Scalar, target: SqlType, pos: int) -> Scalar:
        """An explicit cast."""
        raise NotImplementedError

    def elsewhere(
        self,
        scope: Scope | None = None,
        pending: Pending | None = None,
        place: str | None = None,
    ) -> Self:
        """A planner like this one, for another scope or place."""
        return type(self)(
            self.context,
            self.queries,
            self.scope if scope is None else scope,
            self.pending if pending is None else pending,
            self.place if place is None else place,
        )
