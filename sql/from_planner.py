"""FROM: tables, views, common tables, subqueries, functions, joins.

Each item is planned to a relation and the names it brings. An item that refers to items before it
(LATERAL, functions) is applied to them, all others are joined.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    SYNTAX_ERROR,
    UNDEFINED_COLUMN,
    UNDEFINED_TABLE,
    SqlError,
)
from core.sql_types import BOOL, INT8, SqlType
from expr.registry import Function, FunctionKind
from expr.scalar import Call, Coalesce, ColumnRef, Scalar, literal
from sql import hir, intrinsics
from sql import syntax as ast
from sql.call_planner import result_types
from sql.catalog_functions import CatalogFunction, CatalogTableFunction
from sql.catalog_view import CatalogItem, ItemKind
from sql.coercion import at
from sql.expression_base import PlannedQuery
from sql.functions import call_arguments, find, kinds_named, local_name, undefined_function
from sql.hir import ApplyKind, Hir, JoinKind, types_of
from sql.identifiers import quote_name
from sql.macros import macro_query
from sql.object_names import cannot_open, is_without_rows
from sql.operators import operator_call
from sql.pending import Pending, Substitution, attach_subqueries
from sql.planner_base import PlannerBase
from sql.scalar_planner import ScalarPlanner
from sql.scope import (
    Boundary,
    Scope,
    ScopeColumn,
    TableEntry,
    check_aliases,
    map_columns,
    shift_columns,
)
from sql.statement_context import Replacement
from sql.type_names import resolve_type


@dataclass(frozen=True, slots=True)
class FromResult:
    """A relation with what names mean in it."""

    hir: Hir
    width: int
    columns: tuple[ScopeColumn, ...]
    tables: tuple[TableEntry, ...]

    def scope(self, outer: Scope) -> Scope:
        """The scope of these names within a query whose own scope is `outer`."""
        return Scope(self.columns, self.tables, outer.parent, outer.boundary)


EMPTY = FromResult(hir.UNIT, 0, (), ())


@dataclass(frozen=True, slots=True)
class _Sight:
    """What an item may refer to: the queries around (`outer`), and what LATERAL adds."""

    outer: Scope
    lateral: Scope | None
    boundary: Boundary

    def query_scope(self, *, lateral: bool) -> Scope:
        if lateral and self.lateral is not None:
            return Scope(parent=self.lateral, boundary=self.boundary)
        return Scope(parent=self.outer.parent, boundary=self.outer.boundary)


class FromPlanner(PlannerBase):
    """Plans FROM clauses."""

    def plan_from(self, items: Sequence[ast.FromItem], outer: Scope) -> FromResult:
        """The cross product of the items, later ones possibly lateral to earlier ones."""
        result = EMPTY
        for item in items:
            lateral = result.scope(outer) if result is not EMPTY else None
            boundary = Boundary(self.context.variables)
            right = self._item(item, _Sight(outer, lateral, boundary))
            result = self._combine(result, right, boundary)
            check_aliases(result.tables, getattr(item, "pos", 0))
        return result

    def combine(self, left: FromResult, right: FromResult) -> FromResult:
        """The cross product of two results that do not refer to each other."""
        result = self._combine(left, right, Boundary(self.context.variables))
        check_aliases(result.tables, 0)
        return result

    def _combine(self, left: FromResult, right: FromResult, boundary: Boundary) -> FromResult:
        if left is EMPTY and not boundary.bindings:
            return right
        columns, tables = _shifted(right, left.width)
        joined: Hir
        if boundary.bindings:
            joined = hir.Apply(ApplyKind.CROSS, left.hir, tuple(boundary.bindings), right.hir)
        else:
            joined = hir.Join(JoinKind.INNER, left.hir, right.hir, ())
        return FromResult(
            joined,
            left.width + right.width,
            left.columns + columns,
            left.tables + tables,
        )

    def _item(self, item: ast.FromItem, sight: _Sight) -> FromResult:
        self.context.enter()
        match item:
            case ast.TableReference():
                result = self._table(item)
            case ast.SubqueryReference():
                result = self._subquery(item, sight)
            case ast.FunctionReference():
                result = self._function(item, sight)
            case ast.JoinReference():
                result = self._join(item, sight)
            case _:
                raise AssertionError(type(item).__name__)
        self.context.leave()
        return result

    # Tables, views, common tables

    def _table(self, item: ast.TableReference) -> FromResult:
        if len(item.name) == 1:
            common = self.common_tables.get(item.name[0])
            if common is not None:
                planned = common.reference(self.context)
                return self._aliased(planned, item.name[0], item.alias, item.pos)
        found = self.resolve_item(item.name, item.pos)
        if found.kind is ItemKind.INDEX or is_without_rows(found):
            raise cannot_open(found, item.pos)
        self.context.names_items.add(found.id)
        if not self.context.view_depth:
            name = quote_name(found.name.database, found.name.schema, found.name.item)
            replacement = Replacement(item.pos, 2 * len(item.name) - 1, name)
            self.context.replacements.append(replacement)
        qualifier = tuple(
            part for part in (found.name.database, found.name.schema) if part is not None
        )
        result = self._aliased(
            self.item_relation(found), found.name.item, item.alias, item.pos, qualifier
        )
        if found.kind is ItemKind.VIEW and not found.is_system:
            return result
        (entry,) = result.tables
        return dataclasses.replace(result, tables=(dataclasses.replace(entry, oid=found.oid),))

    def resolve_item(self, name: ast.Name, pos: int) -> CatalogItem:
        """The catalog item of a name. Raises SqlError 42P01."""
        session = self.context.session
        if len(name) > 3:
            raise SqlError(
                SYNTAX_ERROR,
                f"improper qualified name (too many dotted names): {'.'.join(name)}",
                position=pos + 1,
            )
        found = self.context.catalog.resolve_item(session.database, session.search_path, name)
        if found is None:
            raise SqlError(
                UNDEFINED_TABLE, f'relation "{".".join(name)}" does not exist', position=pos + 1
            )
        return found

    def _aliased(
        self,
        planned: PlannedQuery,
        name: str,
        alias: ast.Alias | None,
        pos: int,
        qualifier: tuple[str, ...] = (),
    ) -> FromResult:
        names = [column.name for column in planned.columns]
        if alias is not None and alias.columns:
            if len(alias.columns) > len(names):
                raise SqlError(
                    "42P10",
                    f'table "{alias.name}" has {len(names)} columns available but '
                    f"{len(alias.columns)} columns specified",
                    position=pos + 1,
                )
            names[: len(alias.columns)] = alias.columns
        columns = tuple(
            ScopeColumn(names[i], ColumnRef(i, column.type), column.nullable)
            for i, column in enumerate(planned.columns)
        )
        label = name if alias is None or not alias.name else alias.name
        if label == name:
            entry = TableEntry(label, columns, qualifier if alias is None else ())
        else:
            entry = TableEntry(label, columns, hidden_name=name)
        return FromResult(planned.hir, len(columns), columns, (entry,))

    def _subquery(self, item: ast.SubqueryReference, sight: _Sight) -> FromResult:
        planned = self.plan_query(item.query, sight.query_scope(lateral=item.lateral))
        relation = self.as_relation(planned)
        result = PlannedQuery(relation, planned.columns)
        if item.alias is not None:
            return self._aliased(result, item.alias.name, item.alias, item.pos)
        unnamed = self._aliased(result, "", None, item.pos)
        entry = TableEntry("", unnamed.columns, (), is_visible=False)
        return FromResult(unnamed.hir, unnamed.width, unnamed.columns, (entry,))

    # Functions

    def _function(self, item: ast.FunctionReference, sight: _Sight) -> FromResult:
        scope = sight.query_scope(lateral=True)
        pending = Pending(self.indices)
        planner = self.scalars(scope, pending, "functions in FROM")
        parts = []
        for call in item.calls:
            parts.extend(self._calls(call, planner, item))
        if len(parts) == 1 and not pending.subqueries:
            relation, names = parts[0].build(hir.UNIT, 0, ordinality=item.ordinality)
        else:
            base, width = attach_subqueries(hir.UNIT, 0, pending, substitution := Substitution())
            relation, names = _rows_from(base, width, parts, substitution, item.ordinality)
        types = types_of(relation)
        names = [*names, "ordinality"] if item.ordinality else names
        return self._named_function(item, relation, names, types)

    def _named_function(
        self,
        item: ast.FunctionReference,
        relation: Hir,
        names: list[str],
        types: tuple[SqlType, ...],
    ) -> FromResult:
        first = item.calls[0]
        label = first.name[-1] if isinstance(first, ast.FunctionCall) else names[0]
        if isinstance(first, ast.SessionValue):
            label = first.name
        single = len(names) - item.ordinality == 1
        alias = item.alias
        if alias is not None and alias.name:
            label = alias.name
            if single and not alias.columns:
                names = [alias.name, *names[1:]]
        columns = [ScopeColumn(n, ColumnRef(i, types[i])) for i, n in enumerate(names)]
        if alias is not None and alias.columns:
            if len(alias.columns) > len(names):
                raise SqlError(
                    "42P10",
                    f'table "{label}" has {len(names)} columns available but '
                    f"{len(alias.columns)} columns specified",
                    position=item.pos + 1,
                )
            for index, name in enumerate(alias.columns):
                columns[index] = ScopeColumn(name, columns[index].scalar)
        if alias is not None and alias.column_types:
            relation = self._typed(relation, alias, types)
            columns = [
                ScopeColumn(c.name, ColumnRef(i, t))
                for i, (c, t) in enumerate(zip(columns, types_of(relation), strict=True))
            ]
        entry = TableEntry(label, tuple(columns), is_scalar=len(columns) == 1)
        return FromResult(relation, len(columns), tuple(columns), (entry,))

    def _typed(self, relation: Hir, alias: ast.Alias, types: tuple[SqlType, ...]) -> Hir:
        wanted = [resolve_type(name) for name in alias.column_types]
        if len(wanted) != len(types):
            raise SqlError(FEATURE_NOT_SUPPORTED, "a column definition list is not supported here")
        scalars = tuple(
            self.context.coercer.coerce(ColumnRef(i, have), want)
            for i, (have, want) in enumerate(zip(types, wanted, strict=True))
        )
        width = len(types)
        return hir.Project(hir.Map(relation, scalars), tuple(range(width, width + len(scalars))))

    def _calls(
        self, node: ast.Expression, planner: ScalarPlanner, item: ast.FunctionReference
    ) -> list["_RowsCall"]:
        """The function calls of one item: `unnest(a, b)` is two."""
        if not isinstance(node, ast.FunctionCall):
            return [_RowsCall(None, (planner.plan(node),), (), _label(node))]
        name = local_name(node.name)
        if name == "unnest" and len(node.args) > 1:
            return [
                self._call(ast.FunctionCall(node.name, (arg,), node.pos), planner)
                for arg in node.args
            ]
        return [self._call(node, planner)]

    def _call(self, node: ast.FunctionCall, planner: ScalarPlanner) -> "_RowsCall":
        name = local_name(node.name)
        kinds = frozenset[FunctionKind]() if name is None else kinds_named(name)
        if FunctionKind.TABLE not in kinds:
            scalar = self.context.coercer.known(planner.plan(node))
            return _RowsCall(None, (scalar,), (), node.name[-1])
        args = [planner.plan(arg) for arg in node.args]
        resolved = find(node.name, args, FunctionKind.TABLE, node.pos)
        if resolved is None:
            scalar_kinds = kinds - {FunctionKind.TABLE}
            if scalar_kinds:
                return _RowsCall(None, (planner.plan(node),), (), node.name[-1])
            raise undefined_function(node.name, args, node.pos)
        coerced = call_arguments(self.context.coercer, resolved, args)
        function = resolved.function
        if isinstance(function, CatalogTableFunction):
            return self._macro_rows(function, coerced, node)
        if isinstance(function, CatalogFunction):
            return _RowsCall(None, (planner.plan(node),), (), node.name[-1])
        types = result_types(function, resolved)
        names = [c.name for c in function.columns] if len(types) > 1 else [_row_name(function)]
        return _RowsCall(function.id, coerced, types, names[0], tuple(names))

    def _macro_rows(
        self, function: CatalogTableFunction, args: tuple[Scalar, ...], node: ast.FunctionCall
    ) -> "_RowsCall":
        boundary = Boundary(self.context.variables)
        outer = Scope(arguments=args)
        saved, self.common_tables = self.common_tables, {}
        with self.context.inside_definition():
            planned = self.plan_query(
                macro_query(function.body), Scope(parent=outer, boundary=boundary)
            )
        self.common_tables = saved
        names = tuple(column.name for column in planned.columns)
        return _RowsCall(
            None,
            (),
            tuple(column.type for column in planned.columns),
            node.name[-1],
            names,
            sub=self.as_relation(planned),
            bindings=tuple(boundary.bindings),
        )

    # Joins

    def _join(self, item: ast.JoinReference, sight: _Sight) -> FromResult:
        left = self._item(item.left, sight)
        boundary = Boundary(self.context.variables)
        beside = Scope(left.columns, left.tables, None, None)
        if sight.lateral is not None:
            beside.parent, beside.boundary = sight.lateral, sight.boundary
        else:
            beside.parent, beside.boundary = sight.outer.parent, sight.outer.boundary
        right = self._item(item.right, _Sight(sight.outer, beside, boundary))
        if boundary.bindings and item.kind in (ast.JoinType.RIGHT, ast.JoinType.FULL):
            raise SqlError(
                "42P10",
                "invalid reference to FROM-clause entry",
                detail="The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
                position=item.pos + 1,
            )
        check_aliases(left.tables + right.tables, item.pos)
        result = self._joined(item, left, right, boundary, sight)
        return self._join_alias(item, result)

    def _joined(
        self,
        item: ast.JoinReference,
        left: FromResult,
        right: FromResult,
        boundary: Boundary,
        sight: _Sight,
    ) -> FromResult:
        columns, tables = _shifted(right, left.width)
        names = self._using_names(item, left, right)
        if names is not None:
            return self._using(item, left, right, names, boundary)
        both = Scope(
            left.columns + columns,
            left.tables + tables,
            sight.outer.parent,
            sight.outer.boundary,
        )
        pending = Pending(self.indices)
        on: tuple[Scalar, ...] = ()
        if item.on is not None:
            planner = self.scalars(both, pending, "JOIN conditions")
            on = intrinsics.conjuncts(planner.condition(item.on, "JOIN/ON"))
        if pending.subqueries:
            joined = self._join_with_subqueries(item, left, right, on, pending, boundary, sight)
        else:
            joined = _join_relation(item.kind, left, right, on, boundary)
        left_nulls = item.kind in (ast.JoinType.RIGHT, ast.JoinType.FULL)
        right_nulls = item.kind in (ast.JoinType.LEFT, ast.JoinType.FULL)
        return FromResult(
            joined,
            left.width + right.width,
            _nullable(left.columns, left_nulls) + _nullable(columns, right_nulls),
            _left_out(left.tables, left_nulls) + _left_out(tables, right_nulls),
        )

    def _join_with_subqueries(
        self,
        item: ast.JoinReference,
        left: FromResult,
        right: FromResult,
        on: tuple[Scalar, ...],
        pending: Pending,
        boundary: Boundary,
        sight: _Sight,
    ) -> Hir:
        width = left.width + right.width
        if item.kind in (ast.JoinType.INNER, ast.JoinType.CROSS):
            joined = _join_relation(item.kind, left, right, (), boundary)
            substitution = Substitution()
            joined, _ = attach_subqueries(joined, width, pending, substitution)
            filtered = hir.Filter(joined, tuple(map(substitution.apply, on)))
            return hir.Project(filtered, tuple(range(width)))
        assert item.on is not None
        if item.kind is ast.JoinType.LEFT:
            return self._matches(ApplyKind.LEFT, left, right, item.on, boundary, sight)
        order = (*range(right.width, width), *range(right.width))
        if item.kind is ast.JoinType.RIGHT:
            joined = self._matches(ApplyKind.LEFT, right, left, item.on, boundary, sight)
            return hir.Project(joined, order)
        joined = self._matches(ApplyKind.LEFT, left, right, item.on, boundary, sight)
        rest = self._matches(ApplyKind.ANTI, right, left, item.on, boundary, sight)
        rest = hir.Map(rest, tuple(map(intrinsics.null_of, types_of(left.hir))))
        return hir.Union((joined, hir.Project(rest, order)))

    def _matches(
        self,
        kind: ApplyKind,
        side: FromResult,
        other: FromResult,
        on: ast.Expression,
        boundary: Boundary,
        sight: _Sight,
    ) -> Hir:
        """Each row of `side` with the rows of `other` for which `on` is true."""
        inside = Boundary(self.context.variables, list(boundary.bindings))
        beside = side.scope(sight.outer)
        scope = Scope(other.columns, other.tables, beside, inside)
        pending = Pending(self.indices)
        condition = self.scalars(scope, pending, "JOIN conditions").condition(on, "JOIN/ON")
        substitution = Substitution()
        sub, _ = attach_subqueries(other.hir, other.width, pending, substitution)
        sub = hir.Filter(sub, intrinsics.conjuncts(substitution.apply(condition)))
        sub = hir.Project(sub, tuple(range(other.width)))
        return hir.Apply(kind, side.hir, tuple(inside.bindings), sub)

    def _using_names(
        self, item: ast.JoinReference, left: FromResult, right: FromResult
    ) -> tuple[str, ...] | None:
        if item.using is not None:
            return item.using
        if not item.natural:
            return None
        have = {column.name for column in right.columns}
        seen: list[str] = []
        for column in left.columns:
            if column.name in have and column.name not in seen:
                seen.append(column.name)
        return tuple(seen)

    def _using(
        self,
        item: ast.JoinReference,
        left: FromResult,
        right: FromResult,
        names: tuple[str, ...],
        boundary: Boundary,
    ) -> FromResult:
        columns, tables = _shifted(right, left.width)
        on: list[Scalar] = []
        merged: list[ScopeColumn] = []
        for name in names:
            a = _using_column(left.columns, name, "left", item.pos)
            b = _using_column(columns, name, "right", item.pos)
            try:
                on.append(operator_call(self.context.coercer, "=", (a.scalar, b.scalar), item.pos))
                sides = self.context.coercer.unify(
                    [a.scalar, b.scalar], "JOIN/USING", [item.pos + 1, item.pos + 1]
                )
            except SqlError as error:
                raise at(error, item.pos + 1) from None
            merged.append(_merged(name, item.kind, a, b, sides))
        joined = _join_relation(item.kind, left, right, tuple(on), boundary)
        left_nulls = item.kind in (ast.JoinType.RIGHT, ast.JoinType.FULL)
        right_nulls = item.kind in (ast.JoinType.LEFT, ast.JoinType.FULL)
        rest = [c for c in _nullable(left.columns, left_nulls) if c.name not in names]
        rest += [c for c in _nullable(columns, right_nulls) if c.name not in names]
        all_tables = _left_out(left.tables, left_nulls) + _left_out(tables, right_nulls)
        if item.using_alias is not None:
            all_tables += (TableEntry(item.using_alias, tuple(merged)),)
        return FromResult(joined, left.width + right.width, (*merged, *rest), all_tables)

    def _join_alias(self, item: ast.JoinReference, result: FromResult) -> FromResult:
        alias = item.alias
        if alias is None:
            return result
        if len(alias.columns) > len(result.columns):
            raise SqlError(
                "42P10",
                f'table "{alias.name}" has {len(result.columns)} columns available but '
                f"{len(alias.columns)} columns specified",
                position=item.pos + 1,
            )
        columns = tuple(
            ScopeColumn(
                alias.columns[i] if i < len(alias.columns) else c.name, c.scalar, c.nullable
            )
            for i, c in enumerate(result.columns)
        )
        return FromResult(result.hir, result.width, columns, (TableEntry(alias.name, columns),))


@dataclass(frozen=True, slots=True)
class _RowsCall:
    """One function in FROM. `function` None: a scalar that is one row, or a macro's query."""

    function: str | None
    args: tuple[Scalar, ...]
    types: tuple[SqlType, ...]
    name: str
    names: tuple[str, ...] = ()
    sub: Hir | None = None
    bindings: tuple[hir.Binding, ...] = ()

    def build(self, base: Hir, width: int, *, ordinality: bool) -> tuple[Hir, list[str]]:
        """The rows of the call over `base`, whose `width` columns are dropped."""
        if self.sub is not None:
            applied: Hir = hir.Apply(ApplyKind.CROSS, base, self.bindings, self.sub)
            if ordinality:
                raise SqlError(FEATURE_NOT_SUPPORTED, "WITH ORDINALITY is not supported here")
            return _dropping(applied, width), list(self.names)
        if self.function is None:
            scalars = self.args
            if ordinality:
                scalars = (*scalars, literal(1, INT8))
            return _dropping(hir.Map(base, scalars), width), [self.name]
        flat = hir.FlatMap(base, self.function, self.args, self.types, ordinality)
        return _dropping(flat, width), list(self.names)


def _dropping(relation: Hir, width: int) -> Hir:
    if width == 0:
        return relation
    return hir.Project(relation, tuple(range(width, len(types_of(relation)))))


def _rows_from(
    base: Hir,
    width: int,
    parts: list[_RowsCall],
    substitution: Substitution,
    ordinality: bool,
) -> tuple[Hir, list[str]]:
    """Several functions side by side, the shorter ones padded with nulls."""
    result: Hir | None = None
    names: list[str] = []
    count = 0
    for part in parts:
        changed = _RowsCall(
            part.function,
            tuple(map(substitution.apply, part.args)),
            part.types,
            part.name,
            part.names,
            part.sub,
            part.bindings,
        )
        relation, part_names = changed.build(base, width, ordinality=True)
        names += part_names
        if result is None:
            result, count = relation, len(part_names)
            continue
        ordinal = ColumnRef(count, INT8)
        other = ColumnRef(count + 1 + len(part_names), INT8)
        on = (Call("=(int8,int8)", (ordinal, other), BOOL),)
        joined = hir.Join(JoinKind.FULL, result, relation, on)
        merged = hir.Map(joined, (Coalesce((ordinal, other), INT8),))
        last = count + len(part_names) + 2
        keep = (*range(count), *range(count + 1, count + 1 + len(part_names)), last)
        result, count = hir.Project(merged, keep), count + len(part_names)
    assert result is not None
    if not ordinality:
        result = hir.Project(result, tuple(range(count)))
    return result, names


def _row_name(function: Function) -> str:
    return function.columns[0].name if function.columns else function.name


def _label(node: ast.Expression) -> str:
    return node.name if isinstance(node, ast.SessionValue) else "column1"


def _shifted(
    right: FromResult, offset: int
) -> tuple[tuple[ScopeColumn, ...], tuple[TableEntry, ...]]:
    if offset == 0:
        return right.columns, right.tables

    def move(column: ScopeColumn) -> ScopeColumn:
        return ScopeColumn(column.name, shift_columns(column.scalar, offset), column.nullable)

    tables = tuple(
        dataclasses.replace(t, columns=tuple(map(move, t.columns))) for t in right.tables
    )
    return tuple(map(move, right.columns)), tables


def _nullable(columns: tuple[ScopeColumn, ...], nullable: bool) -> tuple[ScopeColumn, ...]:
    if not nullable:
        return columns
    return tuple(ScopeColumn(c.name, c.scalar, True) for c in columns)


def _left_out(tables: tuple[TableEntry, ...], nullable: bool) -> tuple[TableEntry, ...]:
    """`tables` of one side of a join, which may leave their rows out."""
    if not nullable:
        return tables
    return tuple(dataclasses.replace(table, oid=None) for table in tables)


def _join_relation(
    kind: ast.JoinType,
    left: FromResult,
    right: FromResult,
    on: tuple[Scalar, ...],
    boundary: Boundary,
) -> Hir:
    if boundary.bindings:
        bindings = tuple(boundary.bindings)
        if kind is ast.JoinType.LEFT:
            return hir.Apply(ApplyKind.LEFT, left.hir, bindings, right.hir, on)
        applied = hir.Apply(ApplyKind.CROSS, left.hir, bindings, right.hir)
        return hir.Filter(applied, on) if on else applied
    match kind:
        case ast.JoinType.INNER | ast.JoinType.CROSS:
            return hir.Join(JoinKind.INNER, left.hir, right.hir, on)
        case ast.JoinType.LEFT:
            return hir.Join(JoinKind.LEFT, left.hir, right.hir, on)
        case ast.JoinType.FULL:
            return hir.Join(JoinKind.FULL, left.hir, right.hir, on)
    return _right_join(left, right, on)


def _right_join(left: FromResult, right: FromResult, on: tuple[Scalar, ...]) -> Hir:
    """A right join is a left join with its sides, and then its columns, exchanged."""

    def exchange(ref: ColumnRef) -> Scalar:
        index = ref.index
        moved = index + right.width if index < left.width else index - left.width
        return ColumnRef(moved, ref.type)

    swapped = tuple(map_columns(test, exchange) for test in on)
    joined = hir.Join(JoinKind.LEFT, right.hir, left.hir, swapped)
    order = (*range(right.width, right.width + left.width), *range(right.width))
    return hir.Project(joined, order)


def _using_column(columns: tuple[ScopeColumn, ...], name: str, side: str, pos: int) -> ScopeColumn:
    found = [column for column in columns if column.name == name]
    if not found:
        raise SqlError(
            UNDEFINED_COLUMN,
            f'column "{name}" specified in USING clause does not exist in {side} table',
            position=pos + 1,
        )
    if len(found) > 1:
        raise SqlError(
            "42702",
            f'common column name "{name}" appears more than once in {side} table',
            position=pos + 1,
        )
    return found[0]


def _merged(
    name: str, kind: ast.JoinType, a: ScopeColumn, b: ScopeColumn, sides: list[Scalar]
) -> ScopeColumn:
    match kind:
        case ast.JoinType.FULL:
            return ScopeColumn(
                name, Coalesce((sides[0], sides[1]), sides[0].type), a.nullable or b.nullable
            )
        case ast.JoinType.RIGHT:
            return ScopeColumn(name, sides[1], b.nullable)
        case _:
            return ScopeColumn(name, sides[0], a.nullable)
