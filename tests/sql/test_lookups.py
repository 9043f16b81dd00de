"""Lookups in indexes have the rows of the filters that they replace; and where they stand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SqlError
from core.ids import GlobalId
from core.rows import Array, Row
from core.sql_types import BOOL, FLOAT8, INT4, INT8, NUMERIC, TEXT, SqlType
from expr import library
from expr.relation import (
    Filter,
    Get,
    Join,
    JoinKind,
    Lookup,
    OuterJoin,
    Project,
    Relation,
    children,
    column_types,
    with_children,
)
from expr.scalar import And, Call, ColumnRef, EvaluationContext, Or, Parameter, Scalar, literal
from sql.optimizer.lookups import Indexes, KeyedIndex, use_indexes, used_indexes
from sql.optimizer.pipeline import optimize
from sql.scope import shift_columns
from tests.compute.naive import encoded_multiset, naive
from tests.compute.relations import TABLES, datums, predicates, relations, table_contents

assert library.__doc__  # importing the library fills the registry
CONTEXT = EvaluationContext()
NAMES = {INT4: "int4", TEXT: "text", NUMERIC: "numeric", FLOAT8: "float8"}


def equality(column: ColumnRef, constant: Scalar) -> Call:
    name = NAMES[column.type]
    return Call(f"=({name},{name})", (column, constant), BOOL)


@st.composite
def fixing(draw: st.DrawFn, types: tuple[SqlType, ...]) -> Scalar:
    """A predicate that fixes one or two columns, or any other one."""
    index = draw(st.integers(0, len(types) - 1))
    column = ColumnRef(index, types[index])
    constants = draw(st.lists(datums(column.type), min_size=1, max_size=3))
    one = literal(constants[0], column.type)
    match draw(st.integers(0, 4)):
        case 0:
            return equality(column, one)
        case 1:
            return Or(tuple(equality(column, literal(c, column.type)) for c in constants))
        case 2:
            array_type = column.type.array
            assert array_type is not None
            array = literal(Array(((len(constants), 1),), tuple(constants)), array_type)
            name = NAMES[column.type]
            return Call(f"any:=({name},{name})", (column, array), BOOL)
        case 3:
            other = ColumnRef(1 - min(index, 1), types[1 - min(index, 1)])
            pairs = draw(st.lists(st.tuples(datums(column.type), datums(other.type)), min_size=2))
            return Or(
                tuple(
                    And(
                        (
                            equality(column, literal(a, column.type)),
                            equality(other, literal(b, other.type)),
                        )
                    )
                    for a, b in pairs
                )
            )
        case _:
            return draw(predicates(types))


@st.composite
def filtered_tables(draw: st.DrawFn) -> Relation:
    id, types = draw(st.sampled_from(list(TABLES.items())))
    relation: Relation = Get(id, types)
    for _ in range(draw(st.integers(1, 2))):
        width = len(column_types(relation))
        if draw(st.booleans()):
            outputs = draw(st.lists(st.integers(0, width - 1), min_size=2, max_size=4))
            relation = Project(relation, tuple(outputs))
        tests = draw(st.lists(fixing(column_types(relation)), min_size=1, max_size=3))
        relation = Filter(relation, tuple(tests))
    return relation


@st.composite
def keyed(draw: st.DrawFn) -> dict[GlobalId, list[KeyedIndex]]:
    found: dict[GlobalId, list[KeyedIndex]] = {}
    for number, (id, types) in enumerate(TABLES.items()):
        for copy in range(draw(st.integers(0, 2))):
            columns = draw(st.permutations(range(len(types))))[: draw(st.integers(1, 2))]
            key = tuple(ColumnRef(column, types[column]) for column in columns)
            index = KeyedIndex(GlobalId(f"u{10 * (number + 1) + copy}"), key)
            found.setdefault(id, []).append(index)
    return found


def without_lookups(relation: Relation, indexes: Indexes) -> Relation:
    """What lookups mean: joins with the collection on the index's key."""
    new = tuple(without_lookups(part, indexes) for part in children(relation))
    relation = with_children(relation, new)
    if not isinstance(relation, Lookup):
        return relation
    key = next(index.key for index in indexes[relation.id] if index.id == relation.index)
    width = len(column_types(relation.input))
    joined = Join((relation.input, Get(relation.id, relation.types)), ())
    equal = (
        Call(f"=({_name(a)},{_name(b)})", (a, shift_columns(b, width)), BOOL)
        for a, b in zip(relation.key, key, strict=True)
    )
    return Filter(joined, tuple(equal))


def _name(scalar: Scalar) -> str:
    return NAMES[scalar.type.base]


@settings(max_examples=300, deadline=None)
@given(
    relation=st.one_of(filtered_tables(), filtered_tables(), relations()),
    tables=table_contents(),
    indexes=keyed(),
)
def test_lookups_find_what_filters_keep(
    relation: Relation, tables: dict[GlobalId, list[Row]], indexes: Indexes
) -> None:
    contents = {id: [(row, 1) for row in rows] for id, rows in tables.items()}
    try:
        expected = naive(relation, contents)
    except SqlError:
        return  # an error may be optimized away
    found = use_indexes(relation, indexes)
    assert column_types(found) == column_types(relation)
    assert encoded_multiset(
        naive(without_lookups(found, indexes), contents), relation
    ) == encoded_multiset(expected, relation)


A = Get(GlobalId("u1"), (INT4, TEXT))
BY_NUMBER = KeyedIndex(GlobalId("u11"), (ColumnRef(0, INT4),))
BY_BOTH = KeyedIndex(GlobalId("u12"), (ColumnRef(1, TEXT), ColumnRef(0, INT4)))
INDEXES = {A.id: (BY_NUMBER, BY_BOTH)}
NUMBER, NAME = ColumnRef(0, INT4), ColumnRef(1, TEXT)


def lookups(relation: Relation) -> list[Lookup]:
    own = [relation] if isinstance(relation, Lookup) else []
    return own + [found for part in children(relation) for found in lookups(part)]


def planned(*tests: Scalar) -> Relation:
    return use_indexes(optimize(Filter(A, tests), CONTEXT), INDEXES)


def test_the_whole_key_must_be_fixed() -> None:
    assert planned(equality(NAME, literal("a", TEXT))) == Filter(
        A, (equality(NAME, literal("a", TEXT)),)
    )
    assert used_indexes(A, INDEXES) == ((A.id, BY_NUMBER.id),)


def test_joins_choose_the_index_of_their_key() -> None:
    other = Get(GlobalId("u2"), (INT4, FLOAT8))
    inner = Join((other, Filter(A, (equality(NAME, literal("a", TEXT)),))), ())
    assert used_indexes(inner, INDEXES) == ((A.id, BY_NUMBER.id),)
    by_name = {A.id: (BY_BOTH, BY_NUMBER)}
    key = (ColumnRef(0, INT4), ColumnRef(2, INT4))
    assert used_indexes(Join((other, Project(A, (0, 1))), (key,)), by_name) == (
        (A.id, BY_NUMBER.id),
    )
    left = OuterJoin(JoinKind.LEFT, other, A, ((ColumnRef(0, INT4), NUMBER),))
    assert used_indexes(left, by_name) == ((A.id, BY_NUMBER.id),)
    left = OuterJoin(JoinKind.LEFT, A, other, ((NUMBER, ColumnRef(0, INT4)),))
    assert used_indexes(left, by_name) == ((A.id, BY_BOTH.id),)


def test_the_index_that_fixes_most_is_taken() -> None:
    both = equality(NAME, literal("a", TEXT)), equality(NUMBER, literal(1, INT4))
    (lookup,) = lookups(planned(*both))
    assert (lookup.index, lookup.key) == (BY_BOTH.id, (literal("a", TEXT), literal(1, INT4)))
    (lookup,) = lookups(planned(both[1]))
    assert (lookup.index, lookup.key) == (BY_NUMBER.id, (literal(1, INT4),))


def test_other_predicates_stay() -> None:
    other = Call("<(text,text)", (NAME, literal("b", TEXT)), BOOL)
    relation = planned(equality(NUMBER, Parameter(1, INT4)), other)
    assert isinstance(relation, Filter)
    assert relation.predicates == (other,)
    assert isinstance(relation.input, Lookup)
    assert relation.input.key == (Parameter(1, INT4),)


def test_wider_constants_are_looked_up_as_they_are() -> None:
    wide = Call("=(int4,int8)", (NUMBER, literal(2**40, INT8)), BOOL)
    assert lookups(planned(wide))
    cast = Call("cast(int4,int8)", (NUMBER,), INT8)
    assert lookups(planned(Call("=(int8,int8)", (cast, literal(1, INT8)), BOOL)))
    rounded = Call("cast(int4,float8)", (NUMBER,), FLOAT8)
    assert not lookups(planned(Call("=(float8,float8)", (rounded, literal(1.0, FLOAT8)), BOOL)))


def test_comparisons_of_two_columns_fix_nothing() -> None:
    table = Get(GlobalId("u1"), (INT4, INT4))
    test = Call("=(int4,int4)", (ColumnRef(0, INT4), ColumnRef(1, INT4)), BOOL)
    assert not lookups(use_indexes(Filter(table, (test,)), {A.id: (BY_NUMBER,)}))
