"""Array functions and operators."""

import random
from collections.abc import Callable
from typing import Final

from core.errors import SqlError
from core.rows import Array, Datum
from core.sql_types import SqlType
from expr.array_values import (
    EMPTY,
    append,
    check_dimensions,
    check_size,
    concatenate,
    one_dimensional,
    prepend,
    slice_array,
    subscript,
)
from expr.functions.strings import join, printer
from expr.ordering import comparison_key, equality_key
from expr.registry import CallSite, FunctionKind, define

OPERATOR: Final = FunctionKind.OPERATOR
Key = Callable[[Datum], Datum]


def _element_key(array_type: SqlType) -> Key:
    key = equality_key(array_type.element or array_type)
    return _same if key is None else key


def _same(value: Datum) -> Datum:
    return value


def _contains(site: CallSite) -> Callable[[Array[Datum], Array[Datum]], bool]:
    key = _element_key(site.args[0])

    def contains(outer: Array[Datum], inner: Array[Datum]) -> bool:
        if None in inner.elements:
            return False
        present = {key(item) for item in outer.elements if item is not None}
        return all(key(item) in present for item in inner.elements)

    return contains


def _contained(site: CallSite) -> Callable[[Array[Datum], Array[Datum]], bool]:
    contains = _contains(site)
    return lambda inner, outer: contains(outer, inner)


def _overlap(site: CallSite) -> Callable[[Array[Datum], Array[Datum]], bool]:
    key = _element_key(site.args[0])

    def overlap(left: Array[Datum], right: Array[Datum]) -> bool:
        present = {key(item) for item in left.elements if item is not None}
        return any(item is not None and key(item) in present for item in right.elements)

    return overlap


def _position(site: CallSite) -> Callable[..., int | None]:
    key = _element_key(site.args[0])

    def array_position(
        array: Array[Datum] | None, item: Datum, start: int | None = -(2**31)
    ) -> int | None:
        if array is None:
            return None
        _check_search(array)
        if not array.dimensions or (item is None and None not in array.elements):
            return None
        if start is None:
            raise SqlError("22004", "initial position must not be null")
        lower = array.dimensions[0][1]
        wanted = None if item is None else key(item)
        for offset, candidate in enumerate(array.elements):
            if offset + lower < start:
                continue
            if candidate is None:
                if item is None:
                    return offset + lower
            elif item is not None and key(candidate) == wanted:
                return offset + lower
        return None

    return array_position


def _positions(site: CallSite) -> Callable[[Array[Datum] | None, Datum], Array[Datum] | None]:
    key = _element_key(site.args[0])

    def array_positions(array: Array[Datum] | None, item: Datum) -> Array[Datum] | None:
        if array is None:
            return None
        _check_search(array)
        lower = array.dimensions[0][1] if array.dimensions else 1
        wanted = None if item is None else key(item)
        found = [
            offset + lower
            for offset, candidate in enumerate(array.elements)
            if (candidate is None) == (item is None) and (item is None or key(candidate) == wanted)
        ]
        return one_dimensional(found)

    return array_positions


def _check_search(array: Array[Datum]) -> None:
    if len(array.dimensions) > 1:
        raise SqlError(
            "0A000", "searching for elements in multidimensional arrays is not supported"
        )


def _remove(site: CallSite) -> Callable[[Array[Datum] | None, Datum], Array[Datum] | None]:
    key = _element_key(site.args[0])

    def array_remove(array: Array[Datum] | None, item: Datum) -> Array[Datum] | None:
        if array is None or not array.dimensions:
            return array
        if len(array.dimensions) > 1:
            raise SqlError(
                "0A000", "removing elements from multidimensional arrays is not supported"
            )
        wanted = None if item is None else key(item)
        kept = [
            candidate
            for candidate in array.elements
            if (candidate is None) != (item is None)
            or (item is not None and key(candidate) != wanted)
        ]
        return (
            array
            if len(kept) == len(array.elements)
            else one_dimensional(kept, array.dimensions[0][1])
        )

    return array_remove


def _replace(site: CallSite) -> Callable[..., Array[Datum] | None]:
    key = _element_key(site.args[0])

    def array_replace(array: Array[Datum] | None, old: Datum, new: Datum) -> Array[Datum] | None:
        if array is None:
            return None
        wanted = None if old is None else key(old)
        elements = tuple(
            new
            if (item is None and old is None)
            or (item is not None and old is not None and key(item) == wanted)
            else item
            for item in array.elements
        )
        return Array(array.dimensions, elements)

    return array_replace


def _to_string(site: CallSite) -> Callable[..., str | None]:
    element = site.args[0].element or site.args[0]
    show = printer(element, site.context)

    def array_to_string(
        array: Array[Datum] | None, delimiter: str | None, null_text: str | None = None
    ) -> str | None:
        if array is None or delimiter is None:
            return None
        parts = (null_text if item is None else show(item) for item in array.elements)
        return str(join(delimiter, (part for part in parts if part is not None)))

    return array_to_string


def _dimensions_text(array: Array[Datum]) -> str | None:
    if not array.dimensions:
        return None
    return "".join(f"[{lower}:{lower + length - 1}]" for length, lower in array.dimensions)


def _length(array: Array[Datum], dimension: int) -> int | None:
    if not 1 <= dimension <= len(array.dimensions):
        return None
    return array.dimensions[dimension - 1][0]


def _lower(array: Array[Datum], dimension: int) -> int | None:
    if not 1 <= dimension <= len(array.dimensions):
        return None
    return array.dimensions[dimension - 1][1]


def _upper(array: Array[Datum], dimension: int) -> int | None:
    if not 1 <= dimension <= len(array.dimensions):
        return None
    length, lower = array.dimensions[dimension - 1]
    return lower + length - 1


def _fill(value: Datum, *bounds: Array[int] | None) -> Array[Datum]:
    """array_fill: the lengths of the dimensions and, if given, their lower bounds."""
    lists: list[tuple[int, ...]] = []
    for what, array in zip(("Dimension", "Low bound"), bounds, strict=False):
        if array is None or None in bounds:
            raise SqlError("22004", "dimension array or low bound array cannot be null")
        if len(array.dimensions) > 1:
            detail = f"{what} array must be one dimensional."
            raise SqlError("2202E", "wrong number of array subscripts", detail=detail)
        if None in array.elements:
            raise SqlError("22004", "dimension values cannot be null")
        lists.append(array.elements)
    counts = lists[0]
    check_dimensions(len(counts))
    starts = lists[1] if len(lists) > 1 else (1,) * len(counts)
    if len(starts) != len(counts):
        detail = "Low bound array has different size than dimensions array."
        raise SqlError("2202E", "wrong number of array subscripts", detail=detail)
    total = 1 if counts else 0
    for count in counts:
        if count < 0:
            raise SqlError("54000", "array size exceeds the maximum allowed (134217727)")
        total *= count
    check_size(total * 8)
    if total == 0:
        return EMPTY
    return Array(tuple(zip(counts, starts, strict=True)), (value,) * total)


def _trim(array: Array[Datum], count: int) -> Array[Datum]:
    length = array.dimensions[0][0] if array.dimensions else 0
    if not 0 <= count <= length:
        raise SqlError("2202E", f"number of elements to trim must be between 0 and {length}")
    if not array.dimensions:
        return array
    lower = array.dimensions[0][1]
    return slice_array(array, [(lower, lower + length - count - 1)])


def _sort(site: CallSite) -> Callable[..., Array[Datum]]:
    """array_sort: the elements or, of more dimensions, the arrays of the first one."""
    element_key = comparison_key(site.args[0].element or site.args[0])
    row_key = comparison_key(site.args[0])

    def array_sort(
        array: Array[Datum], descending: bool = False, nulls_first: bool | None = None
    ) -> Array[Datum]:
        if not array.dimensions or array.dimensions[0][0] < 2:
            return array
        if len(array.dimensions) > 1:
            rows = [Array(array.dimensions[1:], row) for row in _rows(array)]
            rows.sort(key=row_key, reverse=descending)
            return Array(array.dimensions, tuple(item for row in rows for item in row.elements))
        present = [item for item in array.elements if item is not None]
        present.sort(key=element_key, reverse=descending)
        nulls = [None] * (len(array.elements) - len(present))
        first = descending if nulls_first is None else nulls_first
        elements = [*nulls, *present] if first else [*present, *nulls]
        return Array(array.dimensions, tuple(elements))

    return array_sort


def _reverse(array: Array[Datum]) -> Array[Datum]:
    if not array.dimensions:
        return array
    return Array(array.dimensions, tuple(item for row in reversed(_rows(array)) for item in row))


def _rows(array: Array[Datum]) -> list[tuple[Datum, ...]]:
    """The elements, cut by the first dimension."""
    size = len(array.elements) // array.dimensions[0][0]
    return [array.elements[start : start + size] for start in range(0, len(array.elements), size)]


def _shuffle(array: Array[Datum]) -> Array[Datum]:
    elements = list(array.elements)
    random.shuffle(elements)
    return Array(array.dimensions, tuple(elements))


def _slice(array: Array[Datum], *bounds: int) -> Array[Datum]:
    """`array[a:b][c:d]…`, the bounds in pairs; an omitted one is the least or the greatest int4."""
    return slice_array(array, list(zip(bounds[::2], bounds[1::2], strict=True)))


def _define_operators() -> None:
    for symbol, function in (("@>", _contains), ("<@", _contained), ("&&", _overlap)):
        define(*(f"{symbol}(anyarray,anyarray)", "bool", function), kind=OPERATOR, needs_types=True)
    define(
        *("||(anycompatiblearray,anycompatiblearray)", "anycompatiblearray", concatenate),
        kind=OPERATOR,
        strict=False,
    )
    define(
        *("||(anycompatiblearray,anycompatible)", "anycompatiblearray", append),
        kind=OPERATOR,
        strict=False,
    )
    define(
        *("||(anycompatible,anycompatiblearray)", "anycompatiblearray", prepend),
        kind=OPERATOR,
        strict=False,
    )


def _define_functions() -> None:
    pair = "anycompatiblearray,anycompatiblearray"
    define(f"array_cat({pair})", "anycompatiblearray", concatenate, strict=False)
    define(
        *("array_append(anycompatiblearray,anycompatible)", "anycompatiblearray", append),
        strict=False,
    )
    define(
        *("array_prepend(anycompatible,anycompatiblearray)", "anycompatiblearray", prepend),
        strict=False,
    )
    define("subscript(anyarray,variadic int4)", "anyelement", subscript)
    define("slice(anyarray,int4,variadic int4)", "anyarray", _slice)
    define("array_length(anyarray,int4)", "int4", _length)
    define("array_lower(anyarray,int4)", "int4", _lower)
    define("array_upper(anyarray,int4)", "int4", _upper)
    define("array_ndims(anyarray)", "int4", lambda a: len(a.dimensions) or None)
    define("array_dims(anyarray)", "text", _dimensions_text)
    define("cardinality(anyarray)", "int4", lambda a: len(a.elements))
    for arguments, function, name, returns in (
        ("anycompatiblearray,anycompatible", _position, "array_position", "int4"),
        ("anycompatiblearray,anycompatible,int4", _position, "array_position", "int4"),
        ("anycompatiblearray,anycompatible", _positions, "array_positions", "int4[]"),
        ("anycompatiblearray,anycompatible", _remove, "array_remove", "anycompatiblearray"),
        (
            "anycompatiblearray,anycompatible,anycompatible",
            *(_replace, "array_replace", "anycompatiblearray"),
        ),
        ("anyarray,text", _to_string, "array_to_string", "text"),
        ("anyarray,text,text", _to_string, "array_to_string", "text"),
    ):
        define(f"{name}({arguments})", returns, function, strict=False, needs_types=True)
    define("array_fill(anyelement,int4[])", "anyarray", _fill, strict=False)
    define("array_fill(anyelement,int4[],int4[])", "anyarray", _fill, strict=False)
    define("trim_array(anyarray,int4)", "anyarray", _trim)
    for arguments in ("anyarray", "anyarray,bool", "anyarray,bool,bool"):
        define(f"array_sort({arguments})", "anyarray", _sort, needs_types=True)
    define("array_reverse(anyarray)", "anyarray", _reverse)
    define("array_shuffle(anyarray)", "anyarray", _shuffle, volatile=True)


_define_operators()
_define_functions()
