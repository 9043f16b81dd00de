"""Every aggregate of the registry that takes columns of the random tables."""

from collections.abc import Sequence

from hypothesis import strategies as st

import expr.library  # noqa: F401
from core.sql_types import ANYARRAY, BOOL, FLOAT8, INT4, NUMERIC, TEXT, SqlType
from expr.registry import Function, FunctionKind, all_functions
from expr.relation import Aggregate, ScalarOrder
from expr.scalar import Call, Scalar

_ARGUMENT_TYPES = (INT4, TEXT, NUMERIC, FLOAT8, BOOL)
_ANY_SCALAR = frozenset({"any", "anyelement", "anynonarray"})
_AGGREGATES = [
    function
    for function in all_functions()
    if function.kind is FunctionKind.AGGREGATE
    and all(t in _ARGUMENT_TYPES or t.name in _ANY_SCALAR for t in function.args)
]


@st.composite
def any_aggregate(
    draw: st.DrawFn, columns: Sequence[Scalar], conditions: Sequence[Scalar]
) -> Aggregate:
    """An aggregate over `columns` and, where it wants truth values, `conditions`; with DISTINCT,
    FILTER or ORDER BY now and then."""
    scalars = [*columns, *conditions]
    function = draw(st.sampled_from([f for f in _AGGREGATES if _fits(f, scalars)]))
    args = tuple(draw(st.sampled_from(_candidates(t, scalars))) for t in function.args)
    is_distinct = bool(args) and draw(st.integers(0, 3)) == 0
    condition = draw(st.sampled_from([None, None, *conditions]))
    if function.name.endswith("object_agg"):  # keys must not be null
        condition = Call("is_not_null(any)", args[:1], BOOL)
    orders = draw(
        st.lists(st.builds(ScalarOrder, st.sampled_from(columns), st.booleans()), max_size=1)
    )
    return Aggregate(
        function.id, args, _result(function, args), is_distinct, condition,
        () if is_distinct else tuple(orders),
    )  # fmt: skip


def _fits(function: Function, scalars: Sequence[Scalar]) -> bool:
    return all(_candidates(t, scalars) for t in function.args)


def _candidates(wanted: SqlType, scalars: Sequence[Scalar]) -> list[Scalar]:
    if wanted.name in _ANY_SCALAR:
        return [scalar for scalar in scalars if scalar.type in _ARGUMENT_TYPES]
    return [scalar for scalar in scalars if scalar.type == wanted]


def _result(function: Function, args: Sequence[Scalar]) -> SqlType:
    if function.returns == ANYARRAY:
        array = args[0].type.array
        assert array is not None
        return array
    return args[0].type if function.returns.name in _ANY_SCALAR else function.returns
