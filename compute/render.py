"""From a relation to operators: compilation, done once per work description.

Chains of Filter, Map and Project above a collection are rendered together: only the columns that
something above needs are read (scans of wide tables cost what they use), and a Map under a Project
becomes one row function. Operators that are not linear get input without negative multiplicities:
`may_be_negative` follows Negate through the tree and consolidates where it must.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from compute.columns import (
    highest_column,
    is_flat,
    logical_width,
    move_columns,
    move_positions,
    needed_columns,
    with_large_values_below,
)
from compute.compiled import (
    aggregate_call,
    appending,
    row_key,
    total_order_key,
)
from compute.estimates import (
    local_estimate,
    lookup_estimate,
    scaled,
    scan_estimate,
    union_estimate,
)
from compute.execution import Operator
from compute.operators.consolidate import ConsolidateOperator
from compute.operators.fixpoint import Binding, FixpointOperator
from compute.operators.join import Estimate
from compute.operators.keys import (
    group_key,
    identity_key,
    is_exact,
)
from compute.operators.linear import (
    ConstantOperator,
    FlatMapOperator,
    MapOperator,
    NegateOperator,
    RowsOperator,
    UnionOperator,
)
from compute.operators.lookup import LookupOperator
from compute.operators.recursion import RecursionOperator
from compute.operators.reduce import DistinctOperator, ReduceOperator
from compute.operators.scan import LetOperator, LocalGetOperator, ScanOperator
from compute.operators.top_k import CardinalityCheckOperator, TopKOperator
from compute.operators.window import WindowOperator
from compute.render_joins import ONE_ROW, render_join, render_outer_join
from compute.rendered import Rendered, consolidated
from compute.windows import windowing
from core.errors import STATEMENT_TOO_COMPLEX, SqlError
from core.rows import codec_for
from core.sql_types import SqlType
from expr.compile import compile_predicate, compile_row, compile_rows
from expr.ordering import row_sort_key
from expr.registry import bind, function_by_id
from expr.relation import (
    CardinalityCheck,
    Constant,
    Filter,
    Fixpoint,
    FlatMap,
    Get,
    Join,
    Let,
    LocalGet,
    Lookup,
    Map,
    Negate,
    OuterJoin,
    Project,
    Recursion,
    Reduce,
    Relation,
    Threshold,
    TopK,
    Union,
    Window,
    column_types,
)
from expr.scalar import ColumnRef, EvaluationContext, Scalar

MAX_DEPTH: Final = 400
FILTER_SELECTIVITY: Final = 0.25
GROUPING_FACTOR: Final = 0.1
TABLE_FUNCTION_ROWS: Final = 10.0


Observer = Callable[[Relation, Rendered], Rendered]


def _unobserved(relation: Relation, rendered: Rendered) -> Rendered:
    return rendered


def render(
    relation: Relation, context: EvaluationContext, observe: Observer = _unobserved
) -> Rendered:
    """Compile `relation`; what each node became passes through `observe`. Raises SqlError (54001
    for a relation nested too deeply)."""
    try:
        return _Renderer(context, observe).render(relation, 0)
    except RecursionError as error:
        raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded") from error


class _Renderer:
    """Renders one relation; knows the values bound around the node at hand."""

    def __init__(self, context: EvaluationContext, observe: Observer) -> None:
        self._context = context
        self._observe = observe
        self._locals: dict[int, Rendered] = {}

    def render(self, relation: Relation, depth: int) -> Rendered:
        return self._observe(relation, self._node(relation, depth))

    def _node(self, relation: Relation, depth: int) -> Rendered:
        if depth > MAX_DEPTH:
            raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        depth += 1
        match relation:
            case Constant():
                return self._constant(relation)
            case Get():
                return _scan(relation, None)
            case LocalGet(id=local_id, types=types):
                bound = self._locals[local_id]
                return replace(
                    bound,
                    operator=LocalGetOperator(local_id),
                    types=types,
                    estimate=local_estimate(local_id),
                )
            case Let(id=local_id, value=value, body=body):
                rendered = self.render(value, depth)
                self._locals[local_id] = rendered
                inner = self.render(body, depth)
                return replace(
                    inner, operator=LetOperator(local_id, rendered.operator, inner.operator)
                )
            case Recursion():
                return self._recursion(relation, depth)
            case Fixpoint():
                return self._fixpoint(relation, depth)
            case Project() | Map() | Filter():
                return self._linear_chain(relation, depth)
            case FlatMap():
                return self._flat_map(relation, depth)
            case Lookup():
                return self._lookup(relation, depth)
            case Join(inputs=inputs):
                parts = tuple(self.render(part, depth) for part in inputs)
                return render_join(relation, parts, self._context)
            case OuterJoin(left=left, right=right):
                sides = self.render(left, depth), self.render(right, depth)
                return render_outer_join(relation, *sides, self._context)
            case Reduce():
                return self._reduce(relation, depth)
            case TopK():
                return self._top_k(relation, depth)
            case Window(input=source):
                part = consolidated(self.render(source, depth))
                windows = windowing(relation, part.types, self._context)
                types = part.types + tuple(function.type for function in relation.functions)
                return replace(part, operator=WindowOperator(part.operator, windows), types=types)
            case Union(inputs=inputs):
                return self._union(tuple(self.render(part, depth) for part in inputs))
            case Negate(input=source):
                part = self.render(source, depth)
                return replace(part, operator=NegateOperator(part.operator), may_be_negative=True)
            case Threshold(input=source):
                part = self.render(source, depth)
                if not part.may_be_negative:
                    return part
                operator = ConsolidateOperator(part.operator, identity_key(part.types), True)
                return replace(part, operator=operator, may_be_negative=False)
            case CardinalityCheck(input=source, group_key=columns):
                part = consolidated(self.render(source, depth))
                key = group_key([(column, part.types[column]) for column in columns])
                return replace(part, operator=CardinalityCheckOperator(part.operator, key))

    def _constant(self, relation: Constant) -> Rendered:
        decode = codec_for(tuple(t.base for t in relation.types)).decode
        rows = tuple(decode(data) for data, _ in relation.rows)
        diffs = tuple(diff for _, diff in relation.rows)
        estimate = Estimate(float(len(rows)), float(len(rows)))
        is_negative = any(diff < 0 for diff in diffs)
        return Rendered(
            ConstantOperator(rows, diffs), relation.types, lambda _: estimate, is_negative
        )

    def _recursion(self, relation: Recursion, depth: int) -> Rendered:
        types = column_types(relation)
        first, following = relation.base, relation.step
        key = None
        if relation.is_distinct:
            columns = tuple(ColumnRef(index, t) for index, t in enumerate(types))
            first, following = Reduce(first, columns, ()), Reduce(following, columns, ())
            key = group_key(list(enumerate(types)))
        base = consolidated(self.render(first, depth))
        self._locals[relation.id] = base
        step = consolidated(self.render(following, depth))
        return replace(
            base, operator=RecursionOperator(relation.id, base.operator, step.operator, key)
        )

    def _fixpoint(self, relation: Fixpoint, depth: int) -> Rendered:
        for local_id, value in zip(relation.ids, relation.values, strict=True):
            types = column_types(value)
            unknown = ConstantOperator((), ())
            self._locals[local_id] = Rendered(unknown, types, local_estimate(local_id))
        bindings = []
        for local_id, value in zip(relation.ids, relation.values, strict=True):
            part = self.render(value, depth)
            identity = identity_key(part.types)
            rows = ConsolidateOperator(part.operator, identity, drops_negative=False)
            bindings.append(Binding(local_id, rows, identity))
        body = self.render(relation.body, depth)
        operator = FixpointOperator(
            tuple(bindings), body.operator, relation.limit, relation.returns_at_limit
        )
        return replace(body, operator=operator)

    def _linear_chain(self, relation: Relation, depth: int) -> Rendered:
        """Project, Map and Filter nodes over anything else, with scans cut to needed columns."""
        steps: list[Project | Map | Filter] = []
        source = relation
        while isinstance(source, Project | Map | Filter):
            steps.append(source)
            source = source.input
        if len(steps) > 4 * MAX_DEPTH:
            raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        mapping: dict[int, int] | None = None
        needed = needed_columns(steps, len(source.types)) if isinstance(source, Get) else ()
        if isinstance(source, Get) and len(needed) < len(source.types):
            mapping = {column: index for index, column in enumerate(needed)}
            part = self._observe(source, _scan(source, needed))
        else:
            part = self.render(source, depth)
        steps.reverse()
        position = 0
        while position < len(steps):
            taken, part, mapping = self._linear_step(steps, position, part, mapping)
            position += taken
        return part

    def _linear_step(
        self,
        steps: list[Project | Map | Filter],
        position: int,
        part: Rendered,
        mapping: dict[int, int] | None,
    ) -> tuple[int, Rendered, dict[int, int] | None]:
        """Render the step at `position`, with those after it that fit into one row function.
        `mapping` tells where the columns that the steps speak of now are."""
        predicates: tuple[Scalar, ...] = ()
        taken = 0
        while position + taken < len(steps):
            step = steps[position + taken]
            if not isinstance(step, Filter):
                break
            predicates += step.predicates
            taken += 1
        moved = move_columns(predicates, mapping)
        if position + taken == len(steps):
            return taken, self._rows(part, moved, None), mapping
        step = steps[position + taken]
        following = steps[position + taken + 1] if position + taken + 1 < len(steps) else None
        if isinstance(step, Project):
            outputs = self._columns(part, move_positions(step.outputs, mapping))
            return taken + 1, self._rows(part, moved, outputs), None
        assert isinstance(step, Map)
        width = len(part.types) if mapping is None else logical_width(step)
        if isinstance(following, Project) and is_flat(step.scalars, width):
            scalars = move_columns(step.scalars, mapping)
            columns = self._columns(part, range(len(part.types)))
            outputs = tuple(
                scalars[index - width]
                if index >= width
                else columns[index if mapping is None else mapping[index]]
                for index in following.outputs
            )
            return taken + 2, self._rows(part, moved, outputs), None
        part = self._rows(part, moved, None)
        return taken + 1, *self._map(part, step.scalars, width, mapping)

    def _columns(self, part: Rendered, positions: Iterable[int]) -> tuple[Scalar, ...]:
        return tuple(ColumnRef(index, part.types[index]) for index in positions)

    def _rows(
        self, part: Rendered, predicates: tuple[Scalar, ...], outputs: tuple[Scalar, ...] | None
    ) -> Rendered:
        """Filter by `predicates`, then make rows of `outputs` (None: leave them as they are)."""
        context = self._context
        if outputs is not None and outputs == self._columns(part, range(len(part.types))):
            outputs = None
        if outputs is None and not predicates:
            return part
        operator = RowsOperator(
            part.operator,
            compile_rows(predicates, outputs, context),
            compile_predicate(predicates, context) if predicates else None,
            compile_row(outputs, context) if outputs is not None else None,
        )
        factor = FILTER_SELECTIVITY ** min(len(predicates), 3)
        return replace(
            part,
            operator=operator,
            types=part.types if outputs is None else tuple(scalar.type for scalar in outputs),
            estimate=scaled(part.estimate, factor) if predicates else part.estimate,
        )

    def _map(
        self,
        part: Rendered,
        scalars: tuple[Scalar, ...],
        width: int,
        mapping: dict[int, int] | None,
    ) -> tuple[Rendered, dict[int, int] | None]:
        """Append scalars, in as few row functions as their references to each other allow."""
        start = 0
        while start < len(scalars):
            stop = start
            while stop < len(scalars) and highest_column(scalars[stop]) < width + start:
                stop += 1
            level = move_columns(scalars[start:stop], mapping)
            if mapping is not None:
                base = len(part.types)
                mapping = mapping | {width + start + i: base + i for i in range(stop - start)}
            extra = compile_row(level, self._context)
            types = part.types + tuple(scalar.type for scalar in level)
            part = replace(part, operator=MapOperator(part.operator, appending(extra)), types=types)
            start = stop
        return part, mapping

    def _flat_map(self, relation: FlatMap, depth: int) -> Rendered:
        part = self.render(relation.input, depth)
        function = function_by_id(relation.function)
        arg_types = [scalar.type for scalar in relation.args]
        returns = relation.types[0] if len(relation.types) == 1 else function.returns
        operator = FlatMapOperator(
            part.operator,
            bind(function, arg_types, returns, self._context),
            compile_row(relation.args, self._context),
            function.strict,
            relation.ordinality,
        )
        types = part.types + relation.types
        if relation.ordinality:
            types += (SqlType(20),)
        return replace(
            part,
            operator=operator,
            types=types,
            estimate=scaled(part.estimate, TABLE_FUNCTION_ROWS),
        )

    def _lookup(self, relation: Lookup, depth: int) -> Rendered:
        part = self.render(relation.input, depth)
        operator = LookupOperator(
            part.operator, relation.index, compile_row(relation.key, self._context)
        )
        types = part.types + relation.types
        estimate = lookup_estimate(part.estimate, relation.index)
        return replace(part, operator=operator, types=types, estimate=estimate)

    def _reduce(self, relation: Reduce, depth: int) -> Rendered:
        relation = with_large_values_below(relation)
        part = consolidated(self.render(relation.input, depth))
        key_types = tuple(scalar.type for scalar in relation.group_key)
        types = key_types + tuple(a.type for a in relation.aggregates)
        key = row_key(relation.group_key, group_key, self._context)
        exact = all(map(is_exact, key_types))
        operator: Operator
        if not relation.aggregates and exact and key_types:
            operator = DistinctOperator(part.operator, key, len(key_types))
        else:
            canonical = None if exact else codec_for(tuple(t.base for t in key_types)).encode
            key_values = compile_row(relation.group_key, self._context)
            calls = tuple(aggregate_call(a, self._context) for a in relation.aggregates)
            operator = ReduceOperator(part.operator, key, key_values, canonical, calls)
        estimate = scaled(part.estimate, GROUPING_FACTOR) if key_types else lambda _: ONE_ROW
        return Rendered(operator, types, estimate)

    def _top_k(self, relation: TopK, depth: int) -> Rendered:
        part = consolidated(self.render(relation.input, depth))
        types = part.types
        operator = TopKOperator(
            part.operator,
            group_key([(column, types[column]) for column in relation.group_key]),
            row_sort_key(relation.order_by, types),
            total_order_key((), types),
            relation.limit,
            relation.offset,
        )
        return replace(part, operator=operator)

    def _union(self, parts: tuple[Rendered, ...]) -> Rendered:
        return Rendered(
            UnionOperator(tuple(part.operator for part in parts)),
            parts[0].types,
            union_estimate(tuple(part.estimate for part in parts)),
            any(part.may_be_negative for part in parts),
        )


def _scan(relation: Get, columns: tuple[int, ...] | None) -> Rendered:
    """The rows of a collection, of which only `columns` are read if given."""
    types = relation.types
    if columns is not None:
        types = tuple(types[column] for column in columns)
    return Rendered(ScanOperator(relation.id, columns), types, scan_estimate(relation.id))
