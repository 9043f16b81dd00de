"""Which equality predicates can be keys of hash joins.

A join key compares datums by `expr.ordering.equality_key`, so both sides must be held alike: an int
and a bigint are, a date and a timestamp are not until the date is cast.
"""

from typing import Final

from core.errors import UNDEFINED_FUNCTION, SqlError
from core.sql_types import FLOAT4, FLOAT8, INT2, INT4, INT8, NUMERIC, RECORD, SqlType
from expr.casting import cast_scalar
from expr.ordering import equality_key
from expr.registry import CastContext
from expr.scalar import Call, ColumnRef, Scalar, children
from sql import intrinsics

_INTEGERS: Final = frozenset({INT2.oid, INT4.oid, INT8.oid})
_FLOATS: Final = frozenset({FLOAT4.oid, FLOAT8.oid})
_DATES: Final = frozenset({1082, 1114, 1184})
_COMPARISONS: Final = frozenset({"=", "<>", "<", "<=", ">", ">=", "is_null"})
_RELABELING: Final = frozenset(
    {"cast(int2,int4)", "cast(int2,int8)", "cast(int4,int8)", "cast(float4,float8)"}
    | {"cast(varchar,text)", "cast(text,varchar)", "cast(name,text)"}
)
_JSON_OID: Final = 114
_UNHASHABLE: Final = frozenset({_JSON_OID, 2249, 705})


def equality_pair(scalar: Scalar) -> tuple[Scalar, Scalar] | None:
    """The two sides of an equality, cast to one representation, or keys that are equal when two
    scalars are not distinct; None for other scalars and for types that cannot be keys."""
    if isinstance(scalar, Call) and scalar.function == intrinsics.NOT_DISTINCT:
        return _equal_nulls(*scalar.args)
    if not (isinstance(scalar, Call) and scalar.function.startswith("=(")):
        return None
    left, right = scalar.args
    a, b = left.type.oid, right.type.oid
    if a in _UNHASHABLE or b in _UNHASHABLE:
        return None
    if a == b or (a in _INTEGERS and b in _INTEGERS) or (a in _FLOATS and b in _FLOATS):
        return left, right
    if a in _DATES and b in _DATES:
        return _cast_both(left, right, SqlType(max(a, b)))
    if NUMERIC.oid in (a, b):
        return _cast_both(left, right, NUMERIC)
    if {a, b} <= {25, 1043, 19, 18}:
        return left, right
    return None


def without_relabeling(scalar: Scalar) -> Scalar:
    """`scalar` without casts that leave every datum as it is, so that it equals the same values."""
    while isinstance(scalar, Call) and scalar.function in _RELABELING:
        scalar = scalar.args[0]
    return scalar


def has_equality(sql_type: SqlType) -> bool:
    """Whether values of a type can be compared."""
    return sql_type.oid != _JSON_OID


def require_equality(sql_type: SqlType, place: int | None) -> None:
    """Raises SqlError 42883 for a type whose values cannot be grouped."""
    if not has_equality(sql_type):
        raise SqlError(
            UNDEFINED_FUNCTION,
            f"could not identify an equality operator for type {sql_type.info.sql_name}",
            position=place,
        )


def require_order(sql_type: SqlType, place: int | None) -> None:
    """Raises SqlError 42883 for a type whose values cannot be sorted."""
    if not has_equality(sql_type):
        raise SqlError(
            UNDEFINED_FUNCTION,
            f"could not identify an ordering operator for type {sql_type.info.sql_name}",
            hint="Use an explicit ordering operator or modify the query.",
            position=place,
        )


def respects_equality(test: Scalar) -> bool:
    """Whether `test` cannot tell equal values apart, as `::text` can 1.0 and 1.00.

    Only such a test of group keys may be made before the rows are grouped.
    """
    match test:
        case ColumnRef(type=column_type):
            return equality_key(column_type) is None and column_type.oid != RECORD.oid
        case Call(function=function, args=args) if function.partition("(")[0] in _COMPARISONS:
            return all(isinstance(arg, ColumnRef) or respects_equality(arg) for arg in args)
        case _:
            return all(map(respects_equality, children(test)))


def _equal_nulls(left: Scalar, right: Scalar) -> tuple[Scalar, Scalar] | None:
    if left.type.oid in _UNHASHABLE:
        return None
    keys = intrinsics.equal_nulls_key(left), intrinsics.equal_nulls_key(right)
    return None if keys[0] is None or keys[1] is None else (keys[0], keys[1])


def _cast_both(left: Scalar, right: Scalar, target: SqlType) -> tuple[Scalar, Scalar] | None:
    sides = [
        side if side.type.oid == target.oid else cast_scalar(side, target, CastContext.EXPLICIT)
        for side in (left, right)
    ]
    if sides[0] is None or sides[1] is None:
        return None
    return sides[0], sides[1]
