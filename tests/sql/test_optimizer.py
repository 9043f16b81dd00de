"""Optimized relations have the same rows; and the shapes that the optimizer promises."""

import msgspec
from hypothesis import given, settings

from core.errors import SqlError
from core.ids import GlobalId
from core.rows import Row
from core.sql_types import BOOL, INT4, TEXT, SqlType
from expr import library
from expr.relation import (
    ColumnOrder,
    Constant,
    Filter,
    Get,
    Join,
    JoinKind,
    Map,
    OuterJoin,
    Project,
    Relation,
    TopK,
    children,
    column_types,
    with_children,
)
from expr.scalar import And, Call, ColumnRef, EvaluationContext, Or, Scalar, literal
from sql.optimizer.pipeline import optimize
from tests.compute.naive import encoded_multiset, naive
from tests.compute.relations import relations, table_contents

assert library.__doc__  # importing the library fills the registry
CONTEXT = EvaluationContext()


def _with_total_order(relation: Relation) -> Relation:
    """Ties in a TopK are broken by the whole row, of which optimizing may drop columns: order by
    all columns, so that there are no ties."""
    new = tuple(_with_total_order(child) for child in children(relation))
    relation = with_children(relation, new)
    if isinstance(relation, TopK):
        everything = tuple(ColumnOrder(i) for i in range(len(column_types(relation))))
        return msgspec.structs.replace(relation, order_by=relation.order_by + everything)
    return relation


@settings(max_examples=800, deadline=None)
@given(relation=relations(), tables=table_contents())
def test_optimizing_keeps_the_rows(relation: Relation, tables: dict[GlobalId, list[Row]]) -> None:
    relation = _with_total_order(relation)
    contents = {id: [(row, 1) for row in rows] for id, rows in tables.items()}
    try:
        expected = naive(relation, contents)
    except SqlError:
        return  # an error may be optimized away
    optimized = optimize(relation, CONTEXT)
    assert column_types(optimized) == column_types(relation)
    assert encoded_multiset(naive(optimized, contents), relation) == encoded_multiset(
        expected, relation
    )


def _equal(left: Scalar, right: Scalar, sql_type: SqlType = INT4) -> Scalar:
    return Call(f"=({sql_type.name},{sql_type.name})", (left, right), BOOL)


def _int(index: int) -> ColumnRef:
    return ColumnRef(index, INT4)


A, B, C = (Get(GlobalId(name), (INT4, INT4)) for name in ("u1", "u2", "u3"))


def test_equality_over_a_product_becomes_an_equivalence() -> None:
    product = Filter(Join((Join((A, B), ()), C), ()), (_equal(_int(0), _int(2)),))
    both = Filter(product, (_equal(_int(3), _int(5)),))
    assert optimize(both, CONTEXT) == Join((A, B, C), ((_int(0), _int(2)), (_int(3), _int(5))))


def test_a_constant_reaches_every_member_of_an_equivalence() -> None:
    five = literal(5, INT4)
    filtered = Filter(Join((A, B), ((_int(0), _int(2)),)), (_equal(_int(0), five),))
    optimized = optimize(filtered, CONTEXT)
    assert isinstance(optimized, Join)
    assert optimized.inputs == (
        Filter(A, (_equal(_int(0), five),)),
        Filter(B, (_equal(_int(0), five),)),
    )


def test_left_join_becomes_inner_when_nulls_are_rejected() -> None:
    outer = OuterJoin(JoinKind.LEFT, A, B, ((_int(0), _int(0)),))
    kept = Filter(outer, (Call("is_null(any)", (_int(2),), BOOL),))
    assert isinstance(optimize(kept, CONTEXT), Filter)
    rejected = Filter(outer, (_equal(_int(3), literal(1, INT4)),))
    assert isinstance(optimize(rejected, CONTEXT), Join)


def test_unread_columns_are_dropped_below_a_join() -> None:
    wide = Get(GlobalId("u9"), (INT4, *(TEXT,) * 18))
    joined = Project(Join((wide, A), ((_int(0), _int(19)),)), (20,))
    optimized = optimize(joined, CONTEXT)
    assert isinstance(optimized, Project)
    assert isinstance(optimized.input, Join)
    assert optimized.input.inputs == (Project(wide, (0,)), A)


def test_constants_are_computed() -> None:
    unit = Constant(((b"\x90", 1),), ())
    two = Call("+(int4,int4)", (literal(1, INT4), literal(1, INT4)), INT4)
    assert optimize(Map(unit, (two,)), CONTEXT) == Constant(((b"\x91\x02", 1),), (INT4,))
    nothing = Filter(A, (_equal(literal(1, INT4), literal(2, INT4)),))
    assert optimize(nothing, CONTEXT) == Constant((), (INT4, INT4))


def test_errors_wait_for_run_time() -> None:
    unit = Constant(((b"\x90", 1),), ())
    failing = Call("/(int4,int4)", (literal(1, INT4), literal(0, INT4)), INT4)
    assert optimize(Map(unit, (failing,)), CONTEXT) == Map(unit, (failing,))


def test_an_equality_of_every_branch_of_a_disjunction_joins() -> None:
    branches = [And((_equal(_int(1), literal(n, INT4)), _equal(_int(0), _int(2)))) for n in (1, 2)]
    either = Filter(Join((A, B), ()), (Or(tuple(branches)),))
    kept = Filter(A, (Or(tuple(_equal(_int(1), literal(n, INT4)) for n in (1, 2))),))
    assert optimize(either, CONTEXT) == Join((kept, B), ((_int(0), _int(2)),))
