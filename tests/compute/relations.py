"""Random relations over two tables, for comparing the engine with the naive meaning."""

import math
from decimal import Decimal

from hypothesis import strategies as st

from core.ids import GlobalId
from core.rows import Datum, Row, codec_for
from core.sql_types import BOOL, FLOAT8, INT4, INT8, MZ_TIMESTAMP, NUMERIC, TEXT, SqlType
from expr.relation import (
    Aggregate,
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
    Map,
    Negate,
    OuterJoin,
    Project,
    Recursion,
    Reduce,
    Relation,
    ScalarOrder,
    Threshold,
    TopK,
    Union,
    Window,
    WindowFrame,
    WindowFunction,
    children,
    column_types,
)
from expr.scalar import And, Call, ColumnRef, Scalar, literal
from tests.compute.aggregates import any_aggregate

TABLES: dict[GlobalId, tuple[SqlType, ...]] = {
    GlobalId("u1"): (INT4, TEXT, NUMERIC),
    GlobalId("u2"): (INT4, FLOAT8),
}
COLUMN_TYPES = (INT4, TEXT, NUMERIC, FLOAT8)
_TO_TIME = "cast(int4,mz_timestamp)"
_COMPARED = {INT4: "int4", TEXT: "text", NUMERIC: "numeric", FLOAT8: "float8", INT8: "int8"}


def datums(sql_type: SqlType) -> st.SearchStrategy[Datum]:
    """Few values, so that rows meet; with nulls, NaN, both zeros and equal numerics that differ."""
    choices: dict[SqlType, list[Datum]] = {
        INT4: [None, 0, 1, 2],
        INT8: [None, 0, 1, 2],
        TEXT: [None, "", "a", "b"],
        NUMERIC: [None, Decimal("1.0"), Decimal("1.00"), Decimal(2), Decimal("NaN")],
        FLOAT8: [None, 0.0, -0.0, 1.5, math.nan, math.inf],
        BOOL: [None, True, False],
    }
    return st.sampled_from(choices[sql_type.base])


def rows(types: tuple[SqlType, ...]) -> st.SearchStrategy[Row]:
    return st.tuples(*map(datums, types))


def table_contents() -> st.SearchStrategy[dict[GlobalId, list[Row]]]:
    return st.fixed_dictionaries(
        {id: st.lists(rows(types), max_size=7) for id, types in TABLES.items()}
    )


@st.composite
def relations(draw: st.DrawFn, depth: int = 3, is_maintained: bool = False) -> Relation:
    """A relation whose non-linear nodes never see a negative multiplicity; with `is_maintained` it
    may have operators that only maintained relations have."""
    relation = draw(_sources())
    steps = STEPS + MAINTAINED_STEPS if is_maintained else STEPS
    for _ in range(draw(st.integers(0, depth))):
        relation = draw(draw(st.sampled_from(steps))(relation, depth - 1))
    if draw(st.integers(0, 4)) == 0:
        bound = draw(_sources())
        types = column_types(bound)
        relation = Let(
            100 + depth,
            bound,
            Join((relation, LocalGet(100 + depth, types), LocalGet(100 + depth, types)), ()),
        )
    if draw(st.integers(0, 9)) == 0:
        relation = draw(_recursion(relation, 200 + depth))
    return relation


@st.composite
def _recursion(draw: st.DrawFn, base: Relation, local_id: int) -> Relation:
    """Steps that permute columns of one type: they find finitely many rows, or ever fewer."""
    types = column_types(base)
    last: Relation = LocalGet(local_id, types)
    found = Filter(last, (draw(predicates(types)),))
    if draw(st.booleans()):
        return Recursion(local_id, base, TopK(found, (), (), 2, 1), False)
    outputs = tuple(
        draw(st.sampled_from([i for i, t in enumerate(types) if t == wanted])) for wanted in types
    )
    return Recursion(local_id, base, Union((Project(found, outputs), last)), True)


def _sources() -> st.SearchStrategy[Relation]:
    gets = st.sampled_from([Get(id, types) for id, types in TABLES.items()])
    return st.one_of(gets, gets, _constants())


@st.composite
def _constants(draw: st.DrawFn) -> Relation:
    types = tuple(draw(st.lists(st.sampled_from(COLUMN_TYPES), min_size=1, max_size=3)))
    encode = codec_for(types).encode
    found = draw(st.lists(rows(types), max_size=4))
    return Constant(tuple((encode(row), draw(st.integers(1, 3))) for row in found), types)


def _other(depth: int) -> st.SearchStrategy[Relation]:
    return relations(depth=min(depth, 1)) if depth > 0 else _sources()


def columns_of(relation: Relation) -> list[ColumnRef]:
    return [ColumnRef(i, t) for i, t in enumerate(column_types(relation))]


@st.composite
def scalars(draw: st.DrawFn, relation: Relation) -> Scalar:
    column = draw(st.sampled_from(columns_of(relation)))
    if column.type == INT4 and draw(st.booleans()):
        return Call("+(int4,int4)", (column, literal(1, INT4)), INT4)
    return column


@st.composite
def predicates(draw: st.DrawFn, types: tuple[SqlType, ...]) -> Scalar:
    index = draw(st.integers(0, len(types) - 1))
    column = ColumnRef(index, types[index])
    if column.type not in _COMPARED:
        return literal(True, BOOL)
    name = _COMPARED[column.type]
    same = [ColumnRef(i, t) for i, t in enumerate(types) if t == column.type]
    values = st.builds(lambda v: literal(v, column.type), datums(column.type))
    other = draw(st.one_of(st.sampled_from(same), values))
    symbol = draw(st.sampled_from(["=", "<", ">=", "<>"]))
    return Call(f"{symbol}({name},{name})", (column, other), BOOL)


@st.composite
def _project(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    width = len(column_types(relation))
    outputs = draw(st.lists(st.integers(0, width - 1), min_size=1, max_size=width + 1))
    return Project(relation, tuple(outputs))


@st.composite
def _map(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    first = draw(scalars(relation))
    mapped = Map(relation, (first,))
    return Map(relation, (first, draw(scalars(mapped)))) if draw(st.booleans()) else mapped


@st.composite
def _filter(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    return Filter(relation, (draw(predicates(column_types(relation))),))


@st.composite
def _reduce(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    keys = tuple(draw(st.lists(scalars(relation), max_size=2)))
    aggregates = draw(st.lists(_aggregates(relation), min_size=0 if keys else 1, max_size=3))
    return Reduce(relation, keys, tuple(aggregates))


@st.composite
def _aggregates(draw: st.DrawFn, relation: Relation) -> Aggregate:
    column = draw(st.sampled_from(columns_of(relation)))
    is_distinct = draw(st.booleans())
    condition = draw(st.none() | predicates(column_types(relation)))
    order = ScalarOrder(draw(st.sampled_from(columns_of(relation))), draw(st.booleans()))
    choices: list[tuple[str, tuple[Scalar, ...], SqlType, tuple[ScalarOrder, ...]]] = [
        ("count()", (), INT8, ()),
        ("count(any)", (column,), INT8, ()),
    ]
    match column.type:
        case t if t == INT4:
            choices.append(("sum(int4)", (column,), INT8, ()))
            choices.append(("min(int4)", (column,), INT4, ()))
        case t if t == NUMERIC:
            choices.append(("sum(numeric)", (column,), NUMERIC, ()))
            choices.append(("max(numeric)", (column,), NUMERIC, ()))
        case t if t == FLOAT8:
            choices.append(("sum(float8)", (column,), FLOAT8, ()))
        case t if t == TEXT:
            arguments = (column, literal(",", TEXT))
            choices.append(("string_agg(text,text)", arguments, TEXT, (order,)))
    function, args, result, orders = draw(st.sampled_from(choices))
    if not args:
        is_distinct = False
    if is_distinct:
        orders = ()
    return Aggregate(function, args, result, is_distinct, condition, orders)


@st.composite
def _reduce_any(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    columns = columns_of(relation)
    keys = tuple(draw(st.lists(st.sampled_from(columns), max_size=1)))
    conditions = [draw(predicates(column_types(relation)))]
    aggregates = draw(st.lists(any_aggregate(columns, conditions), min_size=1, max_size=2))
    return Reduce(relation, keys, tuple(aggregates))


@st.composite
def _flat_map(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    """Every number from one value to another."""
    numbers: list[Scalar] = [column for column in columns_of(relation) if column.type == INT4]
    ends = st.sampled_from([*numbers, literal(1, INT4), literal(3, INT4)])
    args = (draw(ends), draw(ends))
    return FlatMap(relation, "generate_series(int4,int4)", args, (INT4,), draw(st.booleans()))


@st.composite
def _top_k(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    width = len(column_types(relation))
    column = st.integers(0, width - 1)
    group = tuple(draw(st.lists(column, max_size=1)))
    orders = draw(
        st.lists(st.builds(ColumnOrder, column, st.booleans(), st.booleans()), max_size=2)
    )
    limit = draw(st.none() | st.integers(0, 3))
    return TopK(relation, group, tuple(orders), limit, draw(st.integers(0, 2)))


@st.composite
def _window(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    columns = st.sampled_from(columns_of(relation))
    partition = tuple(draw(st.lists(columns, max_size=1)))
    order = tuple(draw(st.lists(st.builds(ScalarOrder, columns, st.booleans()), max_size=2)))
    functions = draw(st.lists(_window_functions(relation), min_size=1, max_size=2))
    return Window(relation, partition, order, tuple(functions))


@st.composite
def _window_functions(draw: st.DrawFn, relation: Relation) -> WindowFunction:
    column = draw(st.sampled_from(columns_of(relation)))
    choices: list[tuple[str, tuple[Scalar, ...], SqlType]] = [
        ("row_number()", (), INT8),
        ("rank()", (), INT8),
        ("dense_rank()", (), INT8),
        ("lag(anyelement)", (column,), column.type),
        ("first_value(anyelement)", (column,), column.type),
        ("count(any)", (column,), INT8),
    ]
    if column.type == INT4:
        choices.append(("sum(int4)", (column,), INT8))
    function, args, result = draw(st.sampled_from(choices))
    mode = draw(st.sampled_from(list(FrameMode)))
    distance = st.just(0) if mode is FrameMode.RANGE else st.integers(-2, 2)
    start, end = draw(st.none() | distance), draw(st.none() | distance)
    condition = None
    if function.startswith(("count", "sum")):
        condition = draw(st.none() | predicates(column_types(relation)))
    return WindowFunction(function, args, result, WindowFrame(mode, start, end), condition)


def _key_pairs(left: Relation, right: Relation) -> list[tuple[ColumnRef, ColumnRef]]:
    return [(a, b) for a in columns_of(left) for b in columns_of(right) if a.type == b.type]


@st.composite
def _outer_join(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    right = draw(_other(depth))
    pairs = _key_pairs(relation, right)
    keys = draw(st.lists(st.sampled_from(pairs), max_size=2, unique=True)) if pairs else []
    kind = draw(st.sampled_from(list(JoinKind)))
    null_aware = kind is JoinKind.ANTI and bool(keys) and draw(st.booleans())
    types = column_types(relation) + column_types(right)
    residual = draw(st.none() | predicates(types))
    computed = tuple(
        (Call("+(int4,int4)", (a, literal(0, INT4)), INT4), b)
        if a.type == INT4 and draw(st.booleans())
        else (a, b)
        for a, b in keys
    )
    return OuterJoin(kind, relation, right, computed, residual, null_aware)


@st.composite
def _not_in(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    right = draw(_other(depth))
    pairs = _key_pairs(relation, right)
    keys = draw(st.lists(st.sampled_from(pairs), max_size=1)) if pairs else []
    return OuterJoin(JoinKind.ANTI, relation, right, tuple(keys), None, null_aware=bool(keys))


@st.composite
def _join(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    others = draw(st.lists(_other(depth), min_size=1, max_size=2))
    inputs = (relation, *others)
    offset = 0
    by_type: dict[SqlType, list[Scalar]] = {}
    for part in inputs:
        for column in columns_of(part):
            moved = ColumnRef(offset + column.index, column.type)
            by_type.setdefault(column.type, []).append(moved)
        offset += len(column_types(part))
    equivalences = []
    for members in by_type.values():
        if len(members) > 1 and draw(st.booleans()):
            chosen = draw(st.lists(st.sampled_from(members), min_size=2, max_size=3, unique=True))
            if chosen[0].type == INT4 and draw(st.booleans()):
                chosen[0] = Call("+(int4,int4)", (chosen[0], literal(1, INT4)), INT4)
            equivalences.append(tuple(chosen))
    return Join(inputs, tuple(equivalences))


@st.composite
def _union(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    condition = draw(predicates(column_types(relation)))
    return Union((relation, Filter(relation, (condition,))))


@st.composite
def _except(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    condition = draw(predicates(column_types(relation)))
    negated = Negate(Filter(relation, (condition,)))
    if draw(st.booleans()):
        return Union((relation, negated))  # consolidates to something non-negative
    return Threshold(Union((relation, negated, negated)))


@st.composite
def _fixpoint(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    """Tables of the relation's type that refer to each other: monotone ones come to rest by
    themselves, for there are finitely many rows; others are cut off."""
    types = column_types(relation)
    first = _highest_local(relation) + 1
    ids = tuple(range(first, first + draw(st.integers(1, 2))))
    limit = draw(st.none() | st.integers(1, 4))
    values = []
    for _ in ids:
        found = draw(_recursive_step(types, ids, limit is not None))
        columns = tuple(ColumnRef(index, t) for index, t in enumerate(types))
        union = Union((Filter(relation, (draw(predicates(types)),)), found))
        values.append(Reduce(union, columns, ()))
    body = LocalGet(draw(st.sampled_from(ids)), types)
    return Fixpoint(ids, tuple(values), body, limit, returns_at_limit=limit is not None)


@st.composite
def _recursive_step(
    draw: st.DrawFn, types: tuple[SqlType, ...], ids: tuple[int, ...], may_negate: bool
) -> Relation:
    """Rows of these types out of the tables `ids`."""
    step: Relation = LocalGet(draw(st.sampled_from(ids)), types)
    kinds = ["filter", "join", "semi", *(["anti", "except", "top"] if may_negate else [])]
    kind = draw(st.sampled_from(kinds))
    condition = draw(predicates(types))
    id = draw(st.sampled_from(list(TABLES)))
    table = Get(id, TABLES[id])
    pairs = [(a, b) for a in columns_of(step) for b in columns_of(table) if a.type == b.type]
    keys = tuple(draw(st.lists(st.sampled_from(pairs), max_size=1))) if pairs else ()
    match kind:
        case "filter":
            step = Filter(step, (condition,))
        case "join":
            width = len(types)
            moved = tuple((a, ColumnRef(width + b.index, b.type)) for a, b in keys)
            step = Join((step, table), moved)
        case "semi" | "anti":
            step = OuterJoin(JoinKind(kind), step, table, keys)
        case "except":
            other = LocalGet(draw(st.sampled_from(ids)), types)
            step = Threshold(Union((step, Negate(Filter(other, (condition,))))))
        case "top":
            step = TopK(step, (), (ColumnOrder(0),), draw(st.integers(1, 3)))
    have = column_types(step)
    outputs = tuple(
        draw(st.sampled_from([i for i, t in enumerate(have) if t == wanted])) for wanted in types
    )
    return Project(step, outputs)


def _highest_local(relation: Relation) -> int:
    own = relation.ids if isinstance(relation, Fixpoint) else (getattr(relation, "id", 0),)
    numbers = [number for number in own if isinstance(number, int)]
    return max([300, *numbers, *map(_highest_local, children(relation))])


@st.composite
def _temporal(draw: st.DrawFn, relation: Relation, depth: int) -> Relation:
    """Rows that come and go at times near those of the tables' changes."""
    columns = [column for column in columns_of(relation) if column.type == INT4]
    conditions: list[Scalar] = []
    for _ in range(draw(st.integers(1, 2))):
        value: Scalar = literal(draw(st.integers(0, 12)), INT4)
        if columns:
            value = Call("+(int4,int4)", (draw(st.sampled_from(columns)), value), INT4)
        sides = [Call("mz_now()", (), MZ_TIMESTAMP), Call(_TO_TIME, (value,), MZ_TIMESTAMP)]
        symbol = draw(st.sampled_from(["<", "<=", "=", ">=", ">"]))
        function = f"{symbol}(mz_timestamp,mz_timestamp)"
        conditions.append(Call(function, tuple(draw(st.permutations(sides))), BOOL))
    if draw(st.booleans()):
        conditions.append(draw(predicates(column_types(relation))))
    return Filter(relation, (And(tuple(conditions)),) if draw(st.booleans()) else tuple(conditions))


# What may be built on top of a relation: (relation, depth) to a strategy.
STEPS = (
    *(_project, _map, _filter, _flat_map, _reduce, _reduce_any, _top_k, _window),
    *(_outer_join, _not_in, _join, _union, _except, _fixpoint),
)
MAINTAINED_STEPS = (_temporal,)


@st.composite
def relations_with(draw: st.DrawFn, kind: str) -> Relation:
    """A relation that has that kind of step, by its name, on top or one below it."""
    step = next(step for step in STEPS + MAINTAINED_STEPS if step.__name__ == kind)
    relation = draw(step(draw(_sources()), 0))
    if draw(st.integers(0, 3)) == 0:
        relation = draw(draw(st.sampled_from(STEPS))(relation, -1))
    return relation
