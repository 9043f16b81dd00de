"""SELECT: WHERE, GROUP BY, HAVING, windows, select list, DISTINCT, ORDER BY.

The order of planning is that of names (FROM first), the order of operators is SQL's order of
evaluation; what an expression needs and the relation lacks waits in a `Pending` between the two.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    GROUPING_ERROR,
    INVALID_COLUMN_REFERENCE,
    SYNTAX_ERROR,
    SqlError,
)
from core.sql_types import UNKNOWN
from expr.relation import (
    ColumnOrder,
    map_aggregate,
    map_orders,
    map_window_function,
)
from expr.scalar import Call, ColumnRef, Literal, Scalar
from sql import hir, intrinsics
from sql import syntax as ast
from sql.equality import require_equality, require_order
from sql.expression_base import OutputColumn, PlannedQuery
from sql.from_planner import FromPlanner, FromResult
from sql.hir import Hir, types_of
from sql.names import column_name
from sql.pending import (
    AggregateList,
    Pending,
    Substitution,
    attach_subqueries,
)
from sql.positions import position
from sql.scalar_planner import ScalarPlanner
from sql.scope import Scope
from sql.select_rows import attach_rows
from sql.star import spell_out, star_columns
from sql.subquery_planner import SemiJoin


@dataclass(frozen=True, slots=True)
class _Item:
    """A planned select item; `node` None for what a star expanded to."""

    scalar: Scalar
    name: str
    node: ast.Expression | None
    nullable: bool = True


@dataclass(slots=True)
class LevelSource:
    """A relation with its names, to which WHERE is added."""

    relation: Hir
    width: int
    names: Scope
    before: Substitution = field(default_factory=Substitution)


@dataclass(slots=True, kw_only=True)
class _Level(LevelSource):
    """One SELECT while it is planned. `key_items` has the grouping expressions as the select list
    writes them, with the columns of the ungrouped relation that they are."""

    select: ast.Select
    source: FromResult
    pending: Pending
    aggregates: AggregateList
    positions: dict[int, int] = field(default_factory=dict)
    after: Substitution = field(default_factory=Substitution)
    items: list[_Item] = field(default_factory=list)
    key_items: dict[Scalar, Scalar] = field(default_factory=dict)


class SelectPlanner(FromPlanner):
    """Plans SELECT."""

    def plan_select(
        self, select: ast.Select, order_by: tuple[ast.OrderItem, ...], outer: Scope
    ) -> PlannedQuery:
        """One SELECT with the ORDER BY that belongs to it."""
        if select.into is not None:
            raise SqlError(FEATURE_NOT_SUPPORTED, "SELECT INTO is not supported")
        level = self._level(select, outer)
        if select.where is not None:
            self.filter_source(level, select.where)
        planner = self.scalars(level.names, level.pending, "SELECT")
        level.items = self._items(select.items, planner, level)
        keys = self._group_keys(level)
        having = self._having(level)
        orders, hidden = self._order_by(level, order_by, planner)
        on = self._distinct_on(level, planner, orders, hidden)
        self._group(level, keys, having)
        self._attach_pending(level)
        return self._project(level, orders, hidden, on)

    def _level(self, select: ast.Select, outer: Scope) -> _Level:
        source = self.plan_from(select.from_, outer)
        names = source.scope(outer)
        indices = self.indices
        aggregates = AggregateList(indices, Pending(indices))
        pending = Pending(indices, [], aggregates, [], [], dict(select.windows))
        level = _Level(
            source.hir,
            source.width,
            names,
            select=select,
            source=source,
            pending=pending,
            aggregates=aggregates,
        )

        def note(scalar: Scalar, _name: str, pos: int) -> None:
            if isinstance(scalar, ColumnRef):
                level.positions.setdefault(scalar.index, pos)

        names.note = note
        return level

    # WHERE

    def filter_source(self, level: LevelSource, node: ast.Expression) -> None:
        """Add WHERE to the relation: filters, then semi-joins for EXISTS and IN, then what needs
        other subqueries, so that these are asked of no more rows than need be."""
        names = dataclasses.replace(level.names, note=None)
        plain: list[Scalar] = []
        joins: list[SemiJoin] = []
        waiting: list[tuple[Pending, Scalar]] = []
        for conjunct in _conjunct_nodes(node):
            pending = Pending(self.indices)
            planner = self.scalars(names, pending, "WHERE")
            join = planner.semi_join(conjunct)
            if join is not None:
                joins.append(join)
                continue
            scalar = planner.condition(conjunct, "WHERE")
            if pending.subqueries:
                waiting.append((pending, scalar))
            else:
                plain.append(scalar)
        substitution = level.before
        self._keep(level, plain)
        for join in joins:
            level.relation, level.width = join.attach(level.relation, level.width, substitution)
        for pending, scalar in waiting:
            level.relation, level.width = attach_subqueries(
                level.relation, level.width, pending, substitution
            )
            self._keep(level, [scalar])

    def _keep(self, level: LevelSource, tests: Sequence[Scalar]) -> None:
        """The rows for which all tests are true."""
        parts = [part for test in tests for part in intrinsics.conjuncts(level.before.apply(test))]
        if parts:
            level.relation = hir.Filter(level.relation, tuple(parts))

    # Select list

    def _items(
        self, items: Sequence[ast.SelectItem], planner: ScalarPlanner, level: _Level
    ) -> list[_Item]:
        result: list[_Item] = []
        for item in items:
            node = item.expression
            if isinstance(node, ast.Star):
                columns = star_columns(node, planner.scope)
                result.extend(_Item(c.scalar, c.name, None, c.nullable) for c in columns)
                if not self.context.view_depth:
                    spell_out(node, planner.scope, self.context)
            elif isinstance(node, ast.CompositeStar):
                result.extend(self._expand_composite(node, planner))
            else:
                scalar = planner.plan(node)
                nullable = _is_nullable(scalar, level.source)
                result.append(_Item(scalar, item.label or column_name(node), node, nullable))
        return result

    def _expand_composite(self, node: ast.CompositeStar, planner: ScalarPlanner) -> list[_Item]:
        if isinstance(node.arg, ast.ColumnName):
            entry = planner.scope.table(node.arg.parts, node.arg.pos)
            if entry is not None:
                return [_Item(c.scalar, c.name, None, c.nullable) for c in entry.columns]
        scalar = planner.plan(node.arg)
        if isinstance(scalar, Call) and scalar.function == "row_of(any)":
            names = planner.pending.field_names(scalar)
            return [_Item(s, n, None) for s, n in zip(scalar.args, names, strict=True)]
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            'row expansion via "*" is not supported here',
            position=node.pos + 1,
        )

    # GROUP BY and HAVING

    def _group_keys(self, level: _Level) -> list[Scalar] | None:
        """The grouping expressions; None when there is no GROUP BY."""
        if not level.select.group_by:
            return None
        pending = Pending(self.indices)
        names = dataclasses.replace(level.names, note=None)
        planner = self.scalars(names, pending, "GROUP BY")
        early = Pending(self.indices, rows=[])
        keys: list[Scalar] = []
        for element in level.select.group_by:
            if element.kind != "simple":
                raise SqlError(
                    FEATURE_NOT_SUPPORTED,
                    f"GROUP BY {element.kind.upper()} is not supported",
                    position=element.pos + 1,
                )
            for node in element.expressions:
                keys.append(self._group_key(node, planner, level, early))
                require_equality(keys[-1].type, position(node))
        for waiting in (pending, early):
            level.relation, level.width = attach_subqueries(
                level.relation, level.width, waiting, level.before
            )
        level.relation, level.width = attach_rows(
            level.relation, level.width, early, level.before, self.context.variables
        )
        known = [self.context.coercer.known(key) for key in keys]
        level.key_items = {key: level.before.apply(key) for key in known}
        return [level.key_items[key] for key in known]

    def _group_key(
        self, node: ast.Expression, planner: ScalarPlanner, level: _Level, early: Pending
    ) -> Scalar:
        if isinstance(node, ast.ColumnName) and len(node.parts) == 1:
            own = [c for c in level.names.columns if c.name == node.parts[0]]
            if not own:
                matches = {i.scalar: i for i in level.items if i.name == node.parts[0]}
                if len(matches) > 1:
                    raise SqlError(
                        "42702",
                        f'GROUP BY "{node.parts[0]}" is ambiguous',
                        position=node.pos + 1,
                    )
                for scalar in matches:
                    return self._group_item(scalar, node, level, early)
        index = self.ordinal(node, len(level.items), "GROUP BY")
        if index is not None:
            return self._group_item(level.items[index].scalar, node, level, early)
        return planner.plan(node)

    def _group_item(
        self, scalar: Scalar, node: ast.Expression, level: _Level, early: Pending
    ) -> Scalar:
        """A select item as a key: the subqueries and set-returning functions in it are then
        needed before the grouping, in `early`."""
        if not early.take_over(level.pending, scalar):
            raise SqlError(
                GROUPING_ERROR,
                "aggregate functions are not allowed in GROUP BY",
                position=position(node),
            )
        return scalar

    def _having(self, level: _Level) -> tuple[Scalar, Pending] | None:
        if level.select.having is None:
            return None
        pending = Pending(self.indices, [], level.aggregates)
        planner = self.scalars(level.names, pending, "HAVING")
        return planner.condition(level.select.having, "HAVING"), pending

    def _group(
        self, level: _Level, keys: list[Scalar] | None, having: tuple[Scalar, Pending] | None
    ) -> None:
        """Add the Reduce and HAVING, if the query is grouped at all."""
        found = level.aggregates.found
        if keys is None and having is None and not found:
            level.after = level.before
            return
        level.relation, level.width = attach_subqueries(
            level.relation, level.width, level.aggregates.inner, level.before
        )
        unique = list(dict.fromkeys(keys or ()))
        aggregates = tuple(map_aggregate(aggregate, level.before.apply) for aggregate in found)
        level.relation = hir.Reduce(level.relation, tuple(unique), aggregates, default=keys is None)
        places: dict[Scalar, Scalar] = {
            key: ColumnRef(index, key.type) for index, key in enumerate(unique)
        }
        places |= {item: places[key] for item, key in level.key_items.items()}
        level.after = Substitution(places, lambda ref: self._ungrouped(level, ref))
        for offset, (aggregate, virtual) in enumerate(found.items()):
            level.after.real[virtual] = ColumnRef(len(unique) + offset, aggregate.type)
        level.width = len(unique) + len(aggregates)
        if having is not None:
            condition, pending = having
            level.relation, level.width = attach_subqueries(
                level.relation, level.width, pending, level.after
            )
            predicates = intrinsics.conjuncts(level.after.apply(condition))
            level.relation = hir.Filter(level.relation, predicates)

    def _ungrouped(self, level: _Level, ref: ColumnRef) -> SqlError:
        name = f"column {ref.index}"
        for table in level.source.tables:
            for column in table.columns:
                if column.scalar == ref:
                    name = f"{table.alias}.{column.name}" if table.alias else column.name
        pos = level.positions.get(ref.index)
        return SqlError(
            GROUPING_ERROR,
            f'column "{name}" must appear in the GROUP BY clause or be used in an aggregate '
            "function",
            position=None if pos is None else pos + 1,
        )

    # What waits for the grouped relation

    def _attach_pending(self, level: _Level) -> None:
        level.relation, level.width = attach_subqueries(
            level.relation, level.width, level.pending, level.after
        )
        for window in level.pending.windows or ():
            apply = level.after.apply
            function = window.function
            level.relation = hir.Window(
                level.relation,
                tuple(map(apply, window.partition_by)),
                map_orders(window.order_by, apply),
                (map_window_function(function, apply),),
            )
            level.after.real[window.index] = ColumnRef(level.width, function.type)
            level.width += 1
        level.relation, level.width = attach_rows(
            level.relation, level.width, level.pending, level.after, self.context.variables
        )

    # ORDER BY and DISTINCT

    def _order_by(
        self, level: _Level, order_by: tuple[ast.OrderItem, ...], planner: ScalarPlanner
    ) -> tuple[list[ColumnOrder], list[Scalar]]:
        """The orders over select items and the hidden scalars that follow them."""
        orders = []
        hidden: list[Scalar] = []
        columns = tuple(OutputColumn(i.name, i.scalar.type) for i in level.items)
        scalars = [item.scalar for item in level.items]
        for item in order_by:
            index = self._order_position(item.expression, columns, level)
            if index is None:
                order_planner = planner.elsewhere(place="ORDER BY")
                scalar = self.context.coercer.known(order_planner.plan(item.expression))
                if scalar in scalars:
                    index = scalars.index(scalar)
                elif level.select.distinct and not level.select.distinct_on:
                    raise SqlError(
                        INVALID_COLUMN_REFERENCE,
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                        position=position(item.expression),
                    )
                else:
                    hidden.append(scalar)
                    index = len(scalars) + len(hidden) - 1
            ordered = scalars[index] if index < len(scalars) else hidden[index - len(scalars)]
            require_order(ordered.type, position(item.expression))
            nulls_first = item.descending if item.nulls_first is None else item.nulls_first
            orders.append(ColumnOrder(index, item.descending, not nulls_first))
        return orders, hidden

    def _order_position(
        self, node: ast.Expression, columns: tuple[OutputColumn, ...], level: _Level
    ) -> int | None:
        """The select item that an ORDER BY item names or counts."""
        if isinstance(node, ast.ColumnName) and len(node.parts) == 1:
            matches = [i for i, c in enumerate(columns) if c.name == node.parts[0]]
            if len({level.items[i].scalar for i in matches}) > 1:
                raise SqlError(
                    "42702",
                    f'ORDER BY "{node.parts[0]}" is ambiguous',
                    position=node.pos + 1,
                )
            return matches[0] if matches else None
        return self.ordinal(node, len(columns), "ORDER BY")

    def output_position(
        self, node: ast.Expression, columns: tuple[OutputColumn, ...], clause: str
    ) -> int | None:
        """The output column that an item names or counts; None when it does neither."""
        if isinstance(node, ast.ColumnName) and len(node.parts) == 1:
            matches = [i for i, c in enumerate(columns) if c.name == node.parts[0]]
            if len(matches) > 1:
                raise SqlError(
                    "42702",
                    f'{clause} "{node.parts[0]}" is ambiguous',
                    position=node.pos + 1,
                )
            return matches[0] if matches else None
        return self.ordinal(node, len(columns), clause)

    def ordinal(self, node: ast.Expression, count: int, clause: str) -> int | None:
        """The select item that an integer constant counts."""
        if isinstance(node, ast.NumberLiteral):
            if not node.text.lstrip("-").isdigit():
                raise SqlError(
                    SYNTAX_ERROR,
                    f"non-integer constant in {clause}",
                    position=node.pos + 1,
                )
            index = int(node.text) if len(node.text) < 10 else 0
            if not 1 <= index <= count:
                raise SqlError(
                    INVALID_COLUMN_REFERENCE,
                    f"{clause} position {node.text} is not in select list",
                    position=node.pos + 1,
                )
            return index - 1
        if isinstance(node, (ast.StringLiteral, ast.NullLiteral)):
            raise SqlError(SYNTAX_ERROR, f"non-integer constant in {clause}", position=node.pos + 1)
        return None

    def _distinct_on(
        self,
        level: _Level,
        planner: ScalarPlanner,
        orders: list[ColumnOrder],
        hidden: list[Scalar],
    ) -> list[int]:
        """The columns of DISTINCT ON, which must lead the ORDER BY."""
        nodes = level.select.distinct_on
        columns = tuple(OutputColumn(i.name, i.scalar.type) for i in level.items)
        on: list[int] = []
        known = [*(item.scalar for item in level.items), *hidden]
        for node in nodes:
            index = self._order_position(node, columns, level)
            if index is None:
                scalar = self.context.coercer.known(
                    planner.elsewhere(place="DISTINCT ON").plan(node)
                )
                if scalar in known:
                    index = known.index(scalar)
                else:
                    hidden.append(scalar)
                    known.append(scalar)
                    index = len(known) - 1
            on.append(index)
        leading = [order.column for order in orders[: len(set(on))]]
        if nodes and orders and not set(leading) <= set(on):
            raise SqlError(
                INVALID_COLUMN_REFERENCE,
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                position=position(nodes[0]),
            )
        return on

    def _project(
        self, level: _Level, orders: list[ColumnOrder], hidden: list[Scalar], on: list[int]
    ) -> PlannedQuery:
        distinct = level.select.distinct
        sorted_columns = {order.column for order in orders}
        scalars = []
        for index, item in enumerate(level.items):
            scalar = level.after.apply(item.scalar)
            if distinct or index in sorted_columns:
                scalar = self.context.coercer.known(scalar)
            if distinct and not on:
                place = None if item.node is None else position(item.node)
                require_equality(scalar.type, place)
            scalars.append(scalar)
        constants = tuple(
            s if s.type.oid == UNKNOWN.oid and not isinstance(s, ColumnRef) else None
            for s in scalars
        )
        columns = tuple(
            OutputColumn(item.name, s.type, item.nullable)
            for item, s in zip(level.items, scalars, strict=True)
        )
        scalars.extend(level.after.apply(scalar) for scalar in hidden)
        relation = project_scalars(level.relation, level.width, scalars)
        if on:
            relation = hir.TopK(relation, tuple(dict.fromkeys(on)), tuple(orders), 1)
        elif distinct:
            types = types_of(relation)
            keys = tuple(ColumnRef(i, t) for i, t in enumerate(types))
            relation = hir.Reduce(relation, keys, ())
        used = constants if any(c is not None for c in constants) else ()
        return PlannedQuery(relation, columns, tuple(orders), constants=used)


def project_scalars(relation: Hir, width: int, scalars: Sequence[Scalar]) -> Hir:
    """The relation whose columns are `scalars` over `relation`."""
    new: list[Scalar] = []
    outputs = []
    for scalar in scalars:
        if isinstance(scalar, ColumnRef):
            outputs.append(scalar.index)
        else:
            outputs.append(width + len(new))
            new.append(scalar)
    if new:
        relation = hir.Map(relation, tuple(new))
    if outputs == list(range(width + len(new))):
        return relation
    return hir.Project(relation, tuple(outputs))


def _conjunct_nodes(node: ast.Expression) -> list[ast.Expression]:
    if isinstance(node, ast.Conjunction):
        return [part for arg in node.args for part in _conjunct_nodes(arg)]
    return [node]


def _is_nullable(scalar: Scalar, source: FromResult) -> bool:
    if isinstance(scalar, ColumnRef):
        for column in source.columns:
            if column.scalar == scalar:
                return column.nullable
        return True
    return not (isinstance(scalar, Literal) and not scalar.is_null)
