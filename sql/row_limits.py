"""LIMIT and OFFSET within a query, where they may depend on parameters or on queries around."""

from core.sql_types import BOOL, INT8
from expr.relation import ScalarOrder, WindowFunction
from expr.scalar import Call, Coalesce, ColumnRef, Literal, Scalar, literal
from sql import hir, intrinsics
from sql.expression_base import PlannedQuery
from sql.hir import Hir, types_of


def limited(planned: PlannedQuery) -> Hir:
    """The rows that LIMIT and OFFSET leave of a query's relation."""
    limit, offset = planned.limit, planned.offset
    if limit is None and offset is None:
        return planned.hir
    if isinstance(limit, Literal | None) and isinstance(offset, Literal | None):
        return hir.TopK(
            planned.hir,
            (),
            planned.order_by,
            None if limit is None else limit.value,
            0 if offset is None else offset.value,
        )
    return _numbered(planned, limit, offset)


def _numbered(planned: PlannedQuery, limit: Scalar | None, offset: Scalar | None) -> Hir:
    """The rows whose number, in the query's order, lies between the bounds."""
    types = types_of(planned.hir)
    order = tuple(
        ScalarOrder(ColumnRef(o.column, types[o.column]), o.descending, o.nulls_last)
        for o in planned.order_by
    )
    function = WindowFunction("row_number()", (), INT8)
    numbered = hir.Window(planned.hir, (), order, (function,))
    place: Scalar = ColumnRef(len(types), INT8)
    tests: list[Scalar] = []
    if offset is not None:
        skipped = Coalesce((Call("offset_count(int8)", (offset,), INT8), literal(0, INT8)), INT8)
        place = Call("-(int8,int8)", (place, skipped), INT8)
        tests.append(Call(">(int8,int8)", (place, literal(0, INT8)), BOOL))
    if limit is not None:
        most = Call("limit_count(int8)", (limit,), INT8)
        within = Call("<=(int8,int8)", (place, most), BOOL)
        tests.append(Coalesce((within, intrinsics.TRUE), BOOL))
    return hir.Project(hir.Filter(numbered, tuple(tests)), tuple(range(len(types))))
