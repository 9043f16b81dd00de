"""Keys: SQL equality as dict keys, and row identity.

Two notions, never to be mixed up. *Equality* is SQL's `=`: 1.0 and 1.00 are equal, -0.0 and 0.0
are, and null equals nothing (in joins) or null (in groups). *Identity* is that of canonical
encodings: it decides what consolidation adds up.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from core.rows import Datum, Row, codec_for
from core.sql_types import SqlType
from expr.ordering import equality_key

KeyFunction = Callable[[Row], Datum]

# Types whose Python values are equal exactly when their encodings are.
_EXACT_OIDS: Final = frozenset(
    {16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 28, 114, 1043, 1082, 1083, 1114, 1184}
    | {2205, 2206, 2950, 4089, 4096, 16552, 16460, 16462, 16464}
)


def is_exact(sql_type: SqlType) -> bool:
    """Whether SQL-equal datums of this type are always the same datum."""
    element = sql_type.element
    return is_exact(element) if element is not None else sql_type.oid in _EXACT_OIDS


def identity_key(types: Sequence[SqlType]) -> KeyFunction:
    """A key of rows of these types that is equal exactly for identical rows: `same_row` if the
    rows themselves are."""
    if all(map(is_exact, types)):
        return same_row
    return codec_for(tuple(t.base for t in types)).encode


def join_key(columns: Sequence[tuple[int, SqlType]]) -> KeyFunction:
    """The key of (position, type) columns; None when one of them is null.

    One column's key is the datum itself, several columns' a tuple.
    """
    names: dict[str, object] = {}
    parts = _parts(columns, names)
    if len(columns) == 1:
        return _function(parts[0], names)
    checks = " or ".join(f"r[{position}] is None" for position, _ in columns)
    return _function(f"None if {checks} else ({','.join(parts)})", names)


def group_key(columns: Sequence[tuple[int, SqlType]]) -> KeyFunction:
    """The key of (position, type) columns as a tuple or the datum of the only one; nulls are equal.

    Source of `None` as a key: no datum is equal to None.
    """
    names: dict[str, object] = {}
    parts = _parts(columns, names)
    match parts:
        case []:
            return _no_key
        case [only]:
            return _function(only, names)
        case _:
            return _function(f"({','.join(parts)})", names)


def as_tuple(keys: Iterable[Datum], width: int) -> list[Row]:
    """Keys made by `group_key` of `width` columns as rows."""
    if width == 1:
        return [(key,) for key in keys]
    return list(keys)


def _parts(columns: Sequence[tuple[int, SqlType]], names: dict[str, object]) -> list[str]:
    parts = []
    for number, (position, sql_type) in enumerate(columns):
        convert = equality_key(sql_type)
        if convert is None:
            parts.append(f"r[{position}]")
        else:
            names[f"k{number}"] = convert
            parts.append(f"k{number}(r[{position}])")
    return parts


def _function(source: str, names: dict[str, object]) -> KeyFunction:
    # The source holds positions and generated names only, never anything from a statement.
    function: KeyFunction = eval(f"lambda r: {source}", names)  # noqa: S307
    return function


def same_row(row: Row) -> Row:
    return row


def _no_key(row: Row) -> tuple[()]:
    return ()
