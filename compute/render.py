"""From a relation to operators: compilation, done once per work description.

Chains of Filter, Map and Project above a collection are rendered together: only the columns that
something above needs are read (scans of wide tables cost what they use), and a Map under a Project
becomes one row function. Operators that are not linear get input without negative multiplicities:
`may_be_negative` follows Negate through the tree and consolidates where it must.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from compute.execution import Execution, Operator
from compute.operators.consolidate import ConsolidateOperator
from compute.operators.join import Estimate, Estimator, JoinInput, JoinOperator
from compute.operators.keys import (
    KeyFunction,
    group_key,
    identity_key,
    is_exact,
    join_key,
)
from compute.operators.linear import (
    ConstantOperator,
    FilterOperator,
    FlatMapOperator,
    MapOperator,
    NegateOperator,
    RowsOperator,
    UnionOperator,
)
from compute.operators.outer_join import (
    NullAwareAntiJoinOperator,
    OuterJoinOperator,
    SemiJoinOperator,
)
from compute.operators.reduce import AggregateCall, DistinctOperator, ReduceOperator
from compute.operators.scan import LetOperator, LocalGetOperator, ScanOperator
from compute.operators.top_k import CardinalityCheckOperator, TopKOperator
from core.errors import FEATURE_NOT_SUPPORTED, STATEMENT_TOO_COMPLEX, SqlError
from core.rows import Row, codec_for
from core.sql_types import SqlType
from expr.aggregates import aggregate_function
from expr.compile import compile_predicate, compile_row, compile_rows
from expr.ordering import row_sort_key, whole_row_sort_key
from expr.registry import bind, function_by_id
from expr.relation import (
    Aggregate,
    CardinalityCheck,
    ColumnOrder,
    Constant,
    Filter,
    FlatMap,
    Get,
    Join,
    JoinKind,
    Let,
    LocalGet,
    Map,
    Negate,
    OuterJoin,
    Project,
    Reduce,
    Relation,
    Threshold,
    TopK,
    Union,
    Window,
)
from expr.scalar import ColumnRef, EvaluationContext, Scalar, children, with_children

MAX_DEPTH: Final = 400
FILTER_SELECTIVITY: Final = 0.25
GROUPING_FACTOR: Final = 0.1
TABLE_FUNCTION_ROWS: Final = 10.0
_ONE_ROW: Final = Estimate(1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Rendered:
    """An operator, the types of its rows, and what is known about them."""

    operator: Operator
    types: tuple[SqlType, ...]
    estimate: Estimator
    may_be_negative: bool = False


def render(relation: Relation, context: EvaluationContext) -> Rendered:
    """Compile `relation`. Raises SqlError (54001 for a relation nested too deeply)."""
    try:
        return _Renderer(context).render(relation, 0)
    except RecursionError as error:
        raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded") from error


class _Renderer:
    """Renders one relation; knows the values bound around the node at hand."""

    def __init__(self, context: EvaluationContext) -> None:
        self._context = context
        self._locals: dict[int, Rendered] = {}

    def render(self, relation: Relation, depth: int) -> Rendered:
        if depth > MAX_DEPTH:
            raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        depth += 1
        match relation:
            case Constant():
                return self._constant(relation)
            case Get(id=id, types=types):
                return Rendered(ScanOperator(id, None), types, _scan_estimate(relation))
            case LocalGet(id=local_id, types=types):
                bound = self._locals[local_id]
                return replace(bound, operator=LocalGetOperator(local_id), types=types)
            case Let(id=local_id, value=value, body=body):
                rendered = self.render(value, depth)
                self._locals[local_id] = rendered
                inner = self.render(body, depth)
                return replace(
                    inner, operator=LetOperator(local_id, rendered.operator, inner.operator)
                )
            case Project() | Map() | Filter():
                return self._linear_chain(relation, depth)
            case FlatMap():
                return self._flat_map(relation, depth)
            case Join():
                return self._join(relation, depth)
            case OuterJoin():
                return self._outer_join(relation, depth)
            case Reduce():
                return self._reduce(relation, depth)
            case TopK():
                return self._top_k(relation, depth)
            case Window():
                raise SqlError(FEATURE_NOT_SUPPORTED, "window functions are not supported")
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

    def _linear_chain(self, relation: Relation, depth: int) -> Rendered:
        """Project, Map and Filter nodes over anything else, with scans cut to needed columns."""
        steps: list[Project | Map | Filter] = []
        source = relation
        while isinstance(source, Project | Map | Filter):
            steps.append(source)
            source = source.input
        if len(steps) > 4 * MAX_DEPTH:
            raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        part = self.render(source, depth)
        mapping: dict[int, int] | None = None
        if isinstance(source, Get):
            needed = _needed_columns(steps, len(source.types))
            if len(needed) < len(source.types):
                mapping = {column: index for index, column in enumerate(needed)}
                types = tuple(source.types[column] for column in needed)
                part = replace(part, operator=ScanOperator(source.id, needed), types=types)
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
        moved = _moved(predicates, mapping)
        if position + taken == len(steps):
            return taken, self._rows(part, moved, None), mapping
        step = steps[position + taken]
        following = steps[position + taken + 1] if position + taken + 1 < len(steps) else None
        if isinstance(step, Project):
            outputs = self._columns(part, _moved_positions(step.outputs, mapping))
            return taken + 1, self._rows(part, moved, outputs), None
        assert isinstance(step, Map)
        width = len(part.types) if mapping is None else _logical_width(step)
        if isinstance(following, Project) and _is_flat(step.scalars, width):
            scalars = _moved(step.scalars, mapping)
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
            estimate=_scaled(part.estimate, factor) if predicates else part.estimate,
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
            while stop < len(scalars) and _highest_column(scalars[stop]) < width + start:
                stop += 1
            level = _moved(scalars[start:stop], mapping)
            if mapping is not None:
                base = len(part.types)
                mapping = mapping | {width + start + i: base + i for i in range(stop - start)}
            extra = compile_row(level, self._context)
            types = part.types + tuple(scalar.type for scalar in level)
            part = replace(
                part, operator=MapOperator(part.operator, _appending(extra)), types=types
            )
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
            estimate=_scaled(part.estimate, TABLE_FUNCTION_ROWS),
        )

    def _join(self, relation: Join, depth: int) -> Rendered:
        parts = [self.render(source, depth) for source in relation.inputs]
        types = tuple(t for part in parts for t in part.types)
        if not parts:
            return Rendered(ConstantOperator(((),), (1,)), (), lambda _: _ONE_ROW)
        starts: list[int] = []
        width = 0
        for part in parts:
            starts.append(width)
            width += len(part.types)
        inputs = []
        for index, part in enumerate(parts):
            keys: list[tuple[int, tuple[Scalar, ...]]] = []
            for number, equivalence in enumerate(relation.equivalences):
                own = tuple(s for s in equivalence if _input_of(s, starts) == index)
                if own:
                    keys.append((number, tuple(_shifted(s, -starts[index]) for s in own)))
            inputs.append(self._join_input(part, keys))
        is_negative = any(part.may_be_negative for part in parts)
        return Rendered(
            JoinOperator(tuple(inputs)), types, _join_estimate(tuple(inputs)), is_negative
        )

    def _join_input(self, part: Rendered, keys: list[tuple[int, tuple[Scalar, ...]]]) -> JoinInput:
        """Append key scalars that are not columns; scalars of one equivalence must be equal."""
        width = len(part.types)
        extra: list[Scalar] = []
        columns: list[tuple[int, list[tuple[int, SqlType]]]] = []
        for number, scalars in keys:
            places = []
            for scalar in scalars:
                if isinstance(scalar, ColumnRef):
                    places.append((scalar.index, scalar.type))
                else:
                    places.append((width + len(extra), scalar.type))
                    extra.append(scalar)
            columns.append((number, places))
        operator = part.operator
        if extra:
            operator = MapOperator(operator, _appending(compile_row(extra, self._context)))
        for _, places in columns:
            if len(places) > 1:
                operator = FilterOperator(operator, _all_equal(places))
        return JoinInput(
            operator,
            part.estimate,
            width,
            width + len(extra),
            tuple((number, places[0]) for number, places in columns),
        )

    def _outer_join(self, relation: OuterJoin, depth: int) -> Rendered:
        left = self.render(relation.left, depth)
        right = consolidated(self.render(relation.right, depth))
        if relation.kind is JoinKind.FULL:
            left = consolidated(left)
        residual = None
        if relation.residual is not None:
            residual = compile_predicate((relation.residual,), self._context)
        lefts = tuple(pair[0] for pair in relation.keys)
        rights = tuple(pair[1] for pair in relation.keys)
        operator: Operator
        match relation.kind:
            case JoinKind.LEFT | JoinKind.FULL:
                operator = OuterJoinOperator(
                    relation.kind,
                    left.operator,
                    right.operator,
                    self._match_key(lefts),
                    self._match_key(rights),
                    residual,
                    len(left.types),
                    len(right.types),
                )
                types = left.types + right.types
            case JoinKind.SEMI | JoinKind.ANTI:
                types = left.types
                if relation.null_aware:
                    operator = NullAwareAntiJoinOperator(
                        left.operator,
                        right.operator,
                        self._key(lefts, group_key),
                        self._key(rights, group_key),
                        len(lefts),
                        residual,
                    )
                else:
                    operator = SemiJoinOperator(
                        relation.kind is JoinKind.SEMI,
                        left.operator,
                        right.operator,
                        self._match_key(lefts),
                        self._match_key(rights),
                        residual,
                    )
        return Rendered(operator, types, left.estimate, left.may_be_negative)

    def _match_key(self, scalars: tuple[Scalar, ...]) -> KeyFunction:
        """The join key; without scalars every row has the same key (which is not null)."""
        return self._key(scalars, join_key if scalars else group_key)

    def _key(
        self,
        scalars: tuple[Scalar, ...],
        make: Callable[[Sequence[tuple[int, SqlType]]], KeyFunction],
    ) -> KeyFunction:
        """A key function of scalars: of positions where they are columns, else of their values."""
        columns = [(s.index, s.type) for s in scalars if isinstance(s, ColumnRef)]
        if len(columns) == len(scalars):
            return make(columns)
        values = compile_row(scalars, self._context)
        key = make([(index, scalar.type) for index, scalar in enumerate(scalars)])
        return lambda row: key(values(row))

    def _reduce(self, relation: Reduce, depth: int) -> Rendered:
        part = consolidated(self.render(relation.input, depth))
        key_types = tuple(scalar.type for scalar in relation.group_key)
        types = key_types + tuple(a.type for a in relation.aggregates)
        key = self._key(relation.group_key, group_key)
        exact = all(map(is_exact, key_types))
        operator: Operator
        if not relation.aggregates and exact and key_types:
            operator = DistinctOperator(part.operator, key, len(key_types))
        else:
            canonical = None if exact else codec_for(tuple(t.base for t in key_types)).encode
            key_values = compile_row(relation.group_key, self._context)
            calls = tuple(self._aggregate(a) for a in relation.aggregates)
            operator = ReduceOperator(part.operator, key, key_values, canonical, calls)
        estimate = _scaled(part.estimate, GROUPING_FACTOR) if key_types else lambda _: _ONE_ROW
        return Rendered(operator, types, estimate)

    def _aggregate(self, aggregate: Aggregate) -> AggregateCall:
        context = self._context
        arg_types = tuple(scalar.type for scalar in aggregate.args)
        function = aggregate_function(aggregate.function, arg_types, aggregate.type, context)
        call = AggregateCall(
            function,
            compile_row(aggregate.args, context),
            len(arg_types),
            is_count_star=aggregate.function == "count()",
            filter=compile_predicate((aggregate.filter,), context) if aggregate.filter else None,
        )
        if aggregate.distinct:
            key = group_key(list(enumerate(arg_types)))
            call = replace(call, distinct_key=key)
        if function.is_ordered or (aggregate.distinct and not all(map(is_exact, arg_types))):
            orders = aggregate.order_by
            scalars = (*(order.scalar for order in orders), *aggregate.args)
            types = tuple(scalar.type for scalar in scalars)
            column_orders = [
                ColumnOrder(i, order.descending, order.nulls_last) for i, order in enumerate(orders)
            ]
            column_orders += [ColumnOrder(i) for i in range(len(orders), len(types))]
            order_key = row_sort_key(tuple(column_orders), types)
            encode = codec_for(tuple(t.base for t in types)).encode
            exact = all(map(is_exact, types))
            call = replace(
                call,
                sort_values=compile_row(scalars, context),
                sort_key=order_key if exact else lambda row: (order_key(row), encode(row)),
            )
        return call

    def _top_k(self, relation: TopK, depth: int) -> Rendered:
        part = consolidated(self.render(relation.input, depth))
        types = part.types
        whole = whole_row_sort_key(types)
        encode = codec_for(tuple(t.base for t in types)).encode
        exact = all(map(is_exact, types))
        operator = TopKOperator(
            part.operator,
            group_key([(column, types[column]) for column in relation.group_key]),
            row_sort_key(relation.order_by, types),
            whole if exact else lambda row: (whole(row), encode(row)),
            relation.limit,
            relation.offset,
        )
        return replace(part, operator=operator)

    def _union(self, parts: tuple[Rendered, ...]) -> Rendered:
        estimates = tuple(part.estimate for part in parts)

        def estimate(execution: Execution) -> Estimate:
            found = [guess(execution) for guess in estimates]
            return Estimate(sum(e.rows for e in found), sum(e.base for e in found))

        return Rendered(
            UnionOperator(tuple(part.operator for part in parts)),
            parts[0].types,
            estimate,
            any(part.may_be_negative for part in parts),
        )


def consolidated(part: Rendered) -> Rendered:
    """`part`, without negative multiplicities."""
    if not part.may_be_negative:
        return part
    operator = ConsolidateOperator(part.operator, identity_key(part.types), False)
    return replace(part, operator=operator, may_be_negative=False)


def _appending(extra: Callable[[Row], Row]) -> Callable[[Row], Row]:
    return lambda row: row + extra(row)


def _all_equal(places: list[tuple[int, SqlType]]) -> Callable[[Row], bool]:
    keys = [join_key([place]) for place in places]
    first, rest = keys[0], keys[1:]

    def test(row: Row) -> bool:
        value = first(row)
        return value is not None and all(key(row) == value for key in rest)

    return test


def _needed_columns(steps: list[Project | Map | Filter], width: int) -> tuple[int, ...]:
    """Which of the base's columns the steps (topmost first) need."""
    widths = [width]
    for step in reversed(steps):
        match step:
            case Project(outputs=outputs):
                widths.append(len(outputs))
            case Map(scalars=scalars):
                widths.append(widths[-1] + len(scalars))
            case Filter():
                widths.append(widths[-1])
    needed = set(range(widths.pop()))
    for step in steps:
        below = widths.pop()
        match step:
            case Project(outputs=outputs):
                needed = set(outputs)
            case Filter(predicates=predicates):
                needed |= _columns(predicates)
            case Map(scalars=scalars):
                # Every scalar is evaluated, needed or not: it may raise an error.
                needed |= _columns(scalars)
                needed = {index for index in needed if index < below}
    return tuple(sorted(needed))


def _logical_width(step: Map) -> int:
    """How many columns `step` finds, every step below it down to the collection only appending."""
    source: Relation = step.input
    width = 0
    while not isinstance(source, Get):
        match source:
            case Map(input=below, scalars=scalars):
                width += len(scalars)
                source = below
            case Filter(input=below):
                source = below
            case _:
                raise AssertionError("a projection ends the mapping")
    return width + len(source.types)


def _moved(scalars: Iterable[Scalar], mapping: dict[int, int] | None) -> tuple[Scalar, ...]:
    if mapping is None:
        return tuple(scalars)
    return tuple(_rewritten(scalar, mapping.__getitem__) for scalar in scalars)


def _moved_positions(positions: tuple[int, ...], mapping: dict[int, int] | None) -> tuple[int, ...]:
    return positions if mapping is None else tuple(mapping[index] for index in positions)


def _shifted(scalar: Scalar, by: int) -> Scalar:
    return _rewritten(scalar, lambda column: column + by) if by else scalar


def _rewritten(scalar: Scalar, place: Callable[[int], int]) -> Scalar:
    if isinstance(scalar, ColumnRef):
        return ColumnRef(place(scalar.index), scalar.type)
    parts = children(scalar)
    if not parts:
        return scalar
    return with_children(scalar, tuple(_rewritten(part, place) for part in parts))


def _columns(scalars: Iterable[Scalar]) -> set[int]:
    found: set[int] = set()
    stack = list(scalars)
    while stack:
        scalar = stack.pop()
        if isinstance(scalar, ColumnRef):
            found.add(scalar.index)
        else:
            stack.extend(children(scalar))
    return found


def _highest_column(scalar: Scalar) -> int:
    return max(_columns((scalar,)), default=-1)


def _is_flat(scalars: tuple[Scalar, ...], width: int) -> bool:
    """Whether no scalar refers to one before it."""
    return all(_highest_column(scalar) < width for scalar in scalars)


def _input_of(scalar: Scalar, starts: list[int]) -> int:
    """The join input that the scalar's columns belong to (0 for a scalar without any)."""
    column = max(0, _highest_column(scalar))
    return max(index for index, start in enumerate(starts) if start <= column)


def _scan_estimate(relation: Get) -> Estimator:
    id = relation.id

    def estimate(execution: Execution) -> Estimate:
        count = float(execution.tables[id].row_count)
        return Estimate(count, count)

    return estimate


def _scaled(estimator: Estimator, factor: float) -> Estimator:
    def estimate(execution: Execution) -> Estimate:
        rows, base = estimator(execution)
        return Estimate(rows * factor, base)

    return estimate


def _join_estimate(inputs: tuple[JoinInput, ...]) -> Estimator:
    def estimate(execution: Execution) -> Estimate:
        found = [source.estimator(execution) for source in inputs]
        largest = max(found, key=lambda e: e.base)
        share = 1.0
        for guess in found:
            share *= min(1.0, guess.rows / max(1.0, guess.base))
        return Estimate(largest.base * share, largest.base)

    return estimate
