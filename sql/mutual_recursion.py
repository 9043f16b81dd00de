"""WITH MUTUALLY RECURSIVE: tables that refer to each other and to themselves, to a fixpoint.

Unlike WITH RECURSIVE, a name stands for all rows of its table, not for those found last, may stand
anywhere, and each table says its columns' types. Syntax and meaning are Materialize's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.errors import DATATYPE_MISMATCH, DUPLICATE_ALIAS, DUPLICATE_COLUMN, SqlError
from core.sql_types import SqlType
from core.type_names import format_type
from expr.casting import can_cast
from expr.registry import CastContext
from sql import hir
from sql import syntax as ast
from sql.expression_base import OutputColumn, PlannedQuery
from sql.hir import Hir
from sql.planner_base import CommonTable, PlannerBase
from sql.scope import Scope
from sql.type_names import resolve_storable_type


@dataclass(frozen=True, slots=True)
class PlannedRecursion:
    """The bindings of a WITH MUTUALLY RECURSIVE clause."""

    variables: tuple[int, ...]
    values: tuple[Hir, ...]
    limit: int | None
    returns_at_limit: bool

    def around(self, planned: PlannedQuery) -> PlannedQuery:
        """The query that the clause stands before."""
        fixpoint = hir.Fixpoint(
            self.variables, self.values, planned.hir, self.limit, self.returns_at_limit
        )
        return replace(planned, hir=fixpoint)


class MutualRecursionPlanner(PlannerBase):
    """Plans WITH MUTUALLY RECURSIVE."""

    def plan_mutual_recursion(self, with_: ast.MutualRecursion, scope: Scope) -> PlannedRecursion:
        """Plan the clause; its names become `common_tables`."""
        self._check_names(with_)
        variables: list[int] = []
        declared: list[list[SqlType]] = []
        for binding in with_.bindings:
            types = [resolve_storable_type(name) for _, name in binding.columns]
            columns = tuple(
                OutputColumn(name, t) for (name, _), t in zip(binding.columns, types, strict=True)
            )
            variable = next(self.context.variables)
            self.common_tables[binding.name] = CommonTable(
                hir.RecursiveGet(variable, tuple(types)), columns
            )
            variables.append(variable)
            declared.append(types)
        values = []
        for binding, types in zip(with_.bindings, declared, strict=True):
            inner = Scope(parent=scope.parent, boundary=scope.boundary)
            planned = self.plan_query(binding.query, inner, keep_unknown=True)
            values.append(self._as_declared(binding, planned, types))
        return PlannedRecursion(
            tuple(variables), tuple(values), with_.limit, with_.returns_at_limit
        )

    def _check_names(self, with_: ast.MutualRecursion) -> None:
        seen: set[str] = set()
        for binding in with_.bindings:
            if binding.name in seen:
                raise SqlError(
                    DUPLICATE_ALIAS,
                    f'WITH query name "{binding.name}" specified more than once',
                    position=binding.pos + 1,
                )
            seen.add(binding.name)
            names = [name for name, _ in binding.columns]
            for name in names:
                if names.count(name) > 1:
                    raise SqlError(DUPLICATE_COLUMN, f'column "{name}" specified more than once')

    def _as_declared(
        self, binding: ast.Binding, planned: PlannedQuery, types: Sequence[SqlType]
    ) -> Hir:
        """The binding's query, of the types that it declares."""
        found = [column.type for column in planned.columns]
        if len(found) != len(types) or not all(
            can_cast(have, want, CastContext.ASSIGNMENT)
            for have, want in zip(found, types, strict=True)
        ):
            raise SqlError(
                DATATYPE_MISMATCH,
                f'WITH MUTUALLY RECURSIVE query "{binding.name}" declared types '
                f"({_names(types)}), but query returns types ({_names(found)})",
                position=binding.pos + 1,
            )
        return self.as_relation(self.cast_columns(planned, types, CastContext.ASSIGNMENT))


def _names(types: Sequence[SqlType]) -> str:
    return ", ".join(format_type(t.oid, t.modifier) for t in types)
