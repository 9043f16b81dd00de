"""The meaning of every relation, written down as plainly as possible: nested loops over multisets.

A multiset is a list of (row, diff), unconsolidated. Scalars are evaluated by `expr.compile`, which
has tests of its own; equality and order come from `expr.ordering`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cmp_to_key
from itertools import product
from typing import Any

from core.errors import SqlError
from core.ids import GlobalId
from core.rows import Datum, Row, codec_for
from core.sql_types import SqlType
from expr.aggregates import aggregate_function
from expr.compile import compile_scalar
from expr.ordering import equality_key, sort_key
from expr.registry import bind, function_by_id
from expr.relation import (
    Aggregate,
    CardinalityCheck,
    ColumnOrder,
    Constant,
    Filter,
    Fixpoint,
    FlatMap,
    FrameMode,
    Get,
    Join,
    JoinKind,
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
    WindowFunction,
    column_types,
)
from expr.scalar import EvaluationContext, Scalar

Multiset = list[tuple[Row, int]]
CONTEXT = EvaluationContext()


def naive(
    relation: Relation,
    tables: dict[GlobalId, Multiset],
    bound: dict[int, Multiset] | None = None,
) -> Multiset:
    """The rows of `relation` over `tables`."""
    bound = bound or {}
    types = column_types(relation)
    match relation:
        case Constant(rows=encoded):
            decode = codec_for(types).decode
            return [(decode(data), diff) for data, diff in encoded]
        case Get(id=id):
            return tables[id]
        case LocalGet(id=local_id):
            return bound[local_id]
        case Let(id=local_id, value=value, body=body):
            return naive(body, tables, {**bound, local_id: naive(value, tables, bound)})
        case Recursion():
            return _recursion(relation, tables, bound)
        case Fixpoint(body=body):
            at_rest = _fixpoint(relation, tables, bound)
            return naive(body, tables, {**bound, **at_rest})
        case Project(input=source, outputs=outputs):
            rows = naive(source, tables, bound)
            return [(tuple(row[i] for i in outputs), diff) for row, diff in rows]
        case Map(input=source, scalars=scalars):
            result = []
            for row, diff in naive(source, tables, bound):
                for scalar in scalars:
                    row = (*row, value_of(scalar, row))
                result.append((row, diff))
            return result
        case Filter(input=source, predicates=predicates):
            return [
                (row, diff)
                for row, diff in naive(source, tables, bound)
                if all(value_of(predicate, row) is True for predicate in predicates)
            ]
        case Lookup():
            raise AssertionError("a relation names no index")
        case FlatMap():
            return _flat_map(relation, naive(relation.input, tables, bound))
        case Join(inputs=inputs, equivalences=equivalences):
            parts = [naive(part, tables, bound) for part in inputs]
            return [
                (row, diff)
                for row, diff in map(_concatenated, product(*parts))
                if all(_all_equal(equivalence, row) for equivalence in equivalences)
            ]
        case OuterJoin():
            left = naive(relation.left, tables, bound)
            right = consolidated(naive(relation.right, tables, bound), relation.right)
            if relation.kind is JoinKind.FULL:
                left = consolidated(left, relation.left)
            return _outer_join(relation, left, right)
        case Reduce():
            return _reduce(
                relation, consolidated(naive(relation.input, tables, bound), relation.input)
            )
        case TopK():
            return _top_k(
                relation, consolidated(naive(relation.input, tables, bound), relation.input)
            )
        case Window():
            return _windows(
                relation, consolidated(naive(relation.input, tables, bound), relation.input)
            )
        case Union(inputs=inputs):
            return [pair for part in inputs for pair in naive(part, tables, bound)]
        case Negate(input=source):
            return [(row, -diff) for row, diff in naive(source, tables, bound)]
        case Threshold(input=source):
            rows = consolidated(naive(source, tables, bound), source)
            return [(row, diff) for row, diff in rows if diff > 0]
        case CardinalityCheck(input=source, group_key=columns):
            rows = consolidated(naive(source, tables, bound), source)
            _check_cardinality(rows, [(i, types[i]) for i in columns])
            return rows


def _recursion(
    relation: Recursion, tables: dict[GlobalId, Multiset], bound: dict[int, Multiset]
) -> Multiset:
    """The fixed point, step by step."""
    types = list(column_types(relation))
    encode = codec_for(tuple(t.base for t in types)).encode
    result: Multiset = []
    known: set[Row] = set()
    last = naive(relation.base, tables, bound)
    while last:
        if relation.is_distinct:
            fresh: dict[Row, Row] = {}
            for row, diff in consolidated(last, relation):
                assert diff > 0
                key = _group_key(row, types)
                if key not in known:
                    fresh[key] = min(fresh.get(key, row), row, key=encode)
            known |= fresh.keys()
            last = [(row, 1) for row in fresh.values()]
        result += last
        last = naive(relation.step, tables, {**bound, relation.id: last})
    return result


def _fixpoint(
    relation: Fixpoint, tables: dict[GlobalId, Multiset], bound: dict[int, Multiset]
) -> dict[int, Multiset]:
    """What the bindings are when an iteration changes none, or at the limit."""
    found: dict[int, Multiset] = {local_id: [] for local_id in relation.ids}
    iteration = 0
    while True:
        before = dict(found)
        for local_id, value in zip(relation.ids, relation.values, strict=True):
            found[local_id] = consolidated(naive(value, tables, {**bound, **found}), value)
        iteration += 1
        rests = all(
            encoded_multiset(found[local_id], value) == encoded_multiset(before[local_id], value)
            for local_id, value in zip(relation.ids, relation.values, strict=True)
        )
        if rests or iteration == relation.limit:
            assert rests or relation.returns_at_limit
            return found


def consolidated(rows: Multiset, relation: Relation) -> Multiset:
    """One entry per distinct encoding, none of diff 0."""
    encode = codec_for(tuple(t.base for t in column_types(relation))).encode
    weights: dict[bytes, int] = defaultdict(int)
    for row, diff in rows:
        weights[encode(row)] += diff
    decode = codec_for(tuple(t.base for t in column_types(relation))).decode
    return [(decode(data), diff) for data, diff in weights.items() if diff]


def encoded_multiset(rows: Multiset, relation: Relation) -> dict[bytes, int]:
    """For comparisons: the consolidated rows by their encodings."""
    encode = codec_for(tuple(t.base for t in column_types(relation))).encode
    weights: dict[bytes, int] = defaultdict(int)
    for row, diff in rows:
        weights[encode(row)] += diff
    return {data: diff for data, diff in weights.items() if diff}


def value_of(scalar: Scalar, row: Row) -> Datum:
    return compile_scalar(scalar, CONTEXT)(row)


def equal(a: Datum, b: Datum, a_type: SqlType, b_type: SqlType) -> bool | None:
    """SQL's `=`."""
    if a is None or b is None:
        return None
    a_key, b_key = equality_key(a_type), equality_key(b_type)
    return bool((a_key(a) if a_key else a) == (b_key(b) if b_key else b))


def _concatenated(parts: Iterable[tuple[Row, int]]) -> tuple[Row, int]:
    row: Row = ()
    diff = 1
    for part, weight in parts:
        row += part
        diff *= weight
    return row, diff


def _all_equal(equivalence: tuple[Scalar, ...], row: Row) -> bool:
    first = equivalence[0]
    value = value_of(first, row)
    return all(
        equal(value, value_of(other, row), first.type, other.type) is True for other in equivalence
    )


def _flat_map(relation: FlatMap, rows: Multiset) -> Multiset:
    function = function_by_id(relation.function)
    implementation = bind(function, [s.type for s in relation.args], function.returns, CONTEXT)
    result: Multiset = []
    for row, diff in rows:
        values = [value_of(scalar, row) for scalar in relation.args]
        if function.strict and None in values:
            continue
        for number, tail in enumerate(implementation(*values), 1):
            result.append(((*row, *tail, *((number,) if relation.ordinality else ())), diff))
    return result


def _outer_join(relation: OuterJoin, left: Multiset, right: Multiset) -> Multiset:
    left_width = len(column_types(relation.left))
    right_width = len(column_types(relation.right))
    result: Multiset = []
    matched_right: set[int] = set()
    for row, diff in left:
        matches = 0
        is_unknown = False
        for index, (other, weight) in enumerate(right):
            comparisons = [
                equal(value_of(a, row), value_of(b, other), a.type, b.type)
                for a, b in relation.keys
            ]
            residual = relation.residual is None or value_of(relation.residual, row + other) is True
            if not residual:
                continue
            if all(c is True for c in comparisons):
                matches += 1
                matched_right.add(index)
                if relation.kind in (JoinKind.LEFT, JoinKind.FULL):
                    result.append((row + other, diff * weight))
            elif False not in comparisons:
                is_unknown = True
        match relation.kind:
            case JoinKind.LEFT | JoinKind.FULL:
                if not matches:
                    result.append((row + (None,) * right_width, diff))
            case JoinKind.SEMI:
                if matches:
                    result.append((row, diff))
            case JoinKind.ANTI:
                if not matches and not (relation.null_aware and is_unknown):
                    result.append((row, diff))
    if relation.kind is JoinKind.FULL:
        for index, (other, weight) in enumerate(right):
            if index not in matched_right:
                result.append(((None,) * left_width + other, weight))
    return result


def _group_key(values: Row, types: list[SqlType]) -> Row:
    keys = [equality_key(t) for t in types]
    return tuple(
        value if key is None or value is None else key(value)
        for key, value in zip(keys, values, strict=True)
    )


def _reduce(relation: Reduce, rows: Multiset) -> Multiset:
    types = [scalar.type for scalar in relation.group_key]
    encode = codec_for(tuple(t.base for t in types)).encode
    groups: dict[Row, Multiset] = defaultdict(list)
    shown: dict[Row, Row] = {}
    for row, diff in rows:
        assert diff > 0
        values = tuple(value_of(scalar, row) for scalar in relation.group_key)
        key = _group_key(values, types)
        groups[key].append((row, diff))
        shown[key] = min(shown.get(key, values), values, key=encode)
    return [
        (shown[key] + tuple(_aggregate(a, members) for a in relation.aggregates), 1)
        for key, members in groups.items()
    ]


def _aggregate(aggregate: Aggregate, rows: Multiset) -> Datum:
    types = tuple(scalar.type for scalar in aggregate.args)
    function = aggregate_function(aggregate.function, types, aggregate.type, CONTEXT)
    entries: list[tuple[Row, Row]] = []
    for row, diff in rows:
        if aggregate.filter is not None and value_of(aggregate.filter, row) is not True:
            continue
        values = tuple(value_of(scalar, row) for scalar in aggregate.args)
        orders = tuple(value_of(order.scalar, row) for order in aggregate.order_by)
        entries += [(orders, values)] * diff
    order_keys = [
        sort_key(order.scalar.type, order.descending, order.nulls_last)
        for order in aggregate.order_by
    ]
    arg_keys = [sort_key(t) for t in types]
    encode = codec_for(tuple(t.base for t in types)).encode

    def key(entry: tuple[Row, Row]) -> tuple[object, ...]:
        orders, values = entry
        return (
            [k(v) for k, v in zip(order_keys, orders, strict=True)],
            [k(v) for k, v in zip(arg_keys, values, strict=True)],
            encode(values),
        )

    if function.is_ordered or aggregate.distinct:
        entries.sort(key=key)
    if aggregate.distinct:
        distinct: dict[Row, tuple[Row, Row]] = {}
        for entry in entries:
            distinct.setdefault(_group_key(entry[1], list(types)), entry)
        entries = list(distinct.values())
    state = function.start()
    for _, values in entries:
        state = function.add(state, values, 1)
    return function.finish(state)


def compare_rows(
    orders: tuple[ColumnOrder, ...], types: tuple[SqlType, ...]
) -> Callable[[Row], Any]:
    """A sort key for an ORDER BY list, then the whole row."""
    whole = tuple(ColumnOrder(i) for i in range(len(types)))
    keys = [
        (order.column, sort_key(types[order.column], order.descending, order.nulls_last))
        for order in (*orders, *whole)
    ]
    encode = codec_for(tuple(t.base for t in types)).encode

    def compare(a: Row, b: Row) -> int:
        for column, key in keys:
            left, right = key(a[column]), key(b[column])
            if left < right:
                return -1
            if right < left:
                return 1
        left_data, right_data = encode(a), encode(b)
        return (left_data > right_data) - (left_data < right_data)

    return cmp_to_key(compare)


def _top_k(relation: TopK, rows: Multiset) -> Multiset:
    types = column_types(relation.input)
    group_types = [types[column] for column in relation.group_key]
    groups: dict[Row, list[Row]] = defaultdict(list)
    for row, diff in rows:
        key = _group_key(tuple(row[column] for column in relation.group_key), group_types)
        groups[key] += [row] * diff
    result: Multiset = []
    for members in groups.values():
        members.sort(key=compare_rows(relation.order_by, types))
        stop = None if relation.limit is None else relation.offset + relation.limit
        result += [(row, 1) for row in members[relation.offset : stop]]
    return result


def _check_cardinality(rows: Multiset, columns: list[tuple[int, SqlType]]) -> None:
    seen: set[Row] = set()
    for row, diff in rows:
        key = _group_key(tuple(row[i] for i, _ in columns), [t for _, t in columns])
        if diff > 1 or key in seen:
            raise SqlError("21000", "more than one row")
        seen.add(key)


def _windows(relation: Window, rows: Multiset) -> Multiset:
    """Every row with the value of each function, found by looking at the whole partition."""
    input_types = column_types(relation.input)
    orders = tuple(
        ColumnOrder(len(input_types) + i, order.descending, order.nulls_last)
        for i, order in enumerate(relation.order_by)
    )
    order_types = tuple(order.scalar.type for order in relation.order_by)
    partitions: dict[Row, list[tuple[Row, Row]]] = defaultdict(list)
    for row, diff in rows:
        values = tuple(value_of(scalar, row) for scalar in relation.partition_by)
        key = _group_key(values, [scalar.type for scalar in relation.partition_by])
        ordered_by = tuple(value_of(order.scalar, row) for order in relation.order_by)
        partitions[key] += [(row, ordered_by)] * diff
    compare = compare_rows(orders, input_types + order_types)
    result: Multiset = []
    for members in partitions.values():
        members.sort(key=lambda member: compare(member[0] + member[1]))
        groups = [_group_key(ordered_by, list(order_types)) for _, ordered_by in members]
        numbers = [len(set(groups[: i + 1])) for i in range(len(groups))]
        partition = [row for row, _ in members]
        result += [
            (row + tuple(_window_value(f, partition, numbers, i) for f in relation.functions), 1)
            for i, row in enumerate(partition)
        ]
    return result


def _window_value(
    function: WindowFunction, rows: list[Row], groups: list[int], position: int
) -> Datum:
    at = groups if function.frame.mode is not FrameMode.ROWS else list(range(len(rows)))
    start, end = function.frame.start, function.frame.end
    frame = [
        row
        for row, number in zip(rows, at, strict=True)
        if (start is None or number >= at[position] + start)
        and (end is None or number <= at[position] + end)
    ]
    match function.function.partition("(")[0]:
        case "row_number":
            return position + 1
        case "rank":
            return groups.index(groups[position]) + 1
        case "dense_rank":
            return groups[position]
        case "first_value":
            return value_of(function.args[0], frame[0]) if frame else None
        case "lag":
            return value_of(function.args[0], rows[position - 1]) if position else None
        case _:
            aggregate = Aggregate(
                function.function, function.args, function.type, False, function.filter
            )
            return _aggregate(aggregate, [(row, 1) for row in frame])
