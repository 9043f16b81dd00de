"""Building, reading and changing arrays."""

from collections.abc import Sequence
from typing import Final

from core.errors import PROGRAM_LIMIT_EXCEEDED, SqlError
from core.rows import Array, Datum

ARRAY_SUBSCRIPT_ERROR: Final = "2202E"
MAX_DIMENSIONS: Final = 6
MAX_ELEMENTS: Final = 134_217_727
EMPTY: Final[Array[Datum]] = Array((), ())


def one_dimensional(items: Sequence[Datum], lower: int = 1) -> Array[Datum]:
    """The array of these elements; no element gives the empty array."""
    return Array(((len(items), lower),), tuple(items)) if items else EMPTY


def build_array(items: Sequence[Datum], *, nested: bool) -> Array[Datum]:
    """ARRAY[…]: of elements or, `nested`, of arrays with equal dimensions."""
    if not nested:
        return one_dimensional(items)
    arrays = [EMPTY if item is None else item for item in items]
    if not arrays or all(not array.dimensions for array in arrays):
        return EMPTY
    first = arrays[0].dimensions
    if any(array.dimensions != first for array in arrays):
        raise SqlError(
            ARRAY_SUBSCRIPT_ERROR,
            "multidimensional arrays must have array expressions with matching dimensions",
        )
    check_dimensions(len(first) + 1)
    elements = tuple(item for array in arrays for item in array.elements)
    return Array(((len(arrays), 1), *first), elements)


def check_dimensions(count: int) -> None:
    if count > MAX_DIMENSIONS:
        raise SqlError(
            PROGRAM_LIMIT_EXCEEDED,
            f"number of array dimensions ({count}) exceeds the maximum allowed ({MAX_DIMENSIONS})",
        )


def check_size(count: int) -> None:
    if count > MAX_ELEMENTS:
        raise SqlError(
            PROGRAM_LIMIT_EXCEEDED, f"array size exceeds the maximum allowed ({MAX_ELEMENTS})"
        )


def subscript(array: Array[Datum], *indexes: int) -> Datum:
    """`array[i][j]…`: null outside of the bounds or with a wrong number of subscripts."""
    if len(indexes) != len(array.dimensions):
        return None
    position = 0
    for index, (length, lower) in zip(indexes, array.dimensions, strict=True):
        offset = index - lower
        if not 0 <= offset < length:
            return None
        position = position * length + offset
    return array.elements[position]


def slice_array(
    array: Array[Datum], bounds: Sequence[tuple[int | None, int | None]]
) -> Array[Datum]:
    """`array[a:b][c:d]…`; None stands for an omitted bound. The result starts at 1."""
    if len(bounds) > len(array.dimensions):
        return EMPTY
    ranges: list[range] = []
    for position, (length, lower) in enumerate(array.dimensions):
        low, high = bounds[position] if position < len(bounds) else (None, None)
        first = max(lower if low is None else low, lower)
        last = min(lower + length - 1 if high is None else high, lower + length - 1)
        if first > last:
            return EMPTY
        ranges.append(range(first - lower, last - lower + 1))
    positions = [0]
    for (length, _), chosen in zip(array.dimensions, ranges, strict=True):
        positions = [position * length + offset for position in positions for offset in chosen]
    dimensions = tuple((len(chosen), 1) for chosen in ranges)
    return Array(dimensions, tuple(array.elements[position] for position in positions))


def concatenate(left: Array[Datum] | None, right: Array[Datum] | None) -> Array[Datum] | None:
    """array_cat: arrays of equal depth, or one of the other's depth less one."""
    if left is None or not left.dimensions:
        return right if right is not None and (left is None or right.dimensions) else left
    if right is None or not right.dimensions:
        return left
    depth, other = len(left.dimensions), len(right.dimensions)
    check_size(len(left.elements) + len(right.elements))
    elements = left.elements + right.elements
    if depth == other and left.dimensions[1:] == right.dimensions[1:]:
        length = left.dimensions[0][0] + right.dimensions[0][0]
        return Array(((length, left.dimensions[0][1]), *left.dimensions[1:]), elements)
    if depth == other + 1 and left.dimensions[1:] == right.dimensions:
        first = (left.dimensions[0][0] + 1, left.dimensions[0][1])
        return Array((first, *left.dimensions[1:]), elements)
    if other == depth + 1 and right.dimensions[1:] == left.dimensions:
        first = (right.dimensions[0][0] + 1, right.dimensions[0][1])
        return Array((first, *right.dimensions[1:]), elements)
    detail = (
        "Arrays with differing element dimensions are not compatible for concatenation."
        if depth == other
        else "Arrays with differing dimensions are not compatible for concatenation."
        if abs(depth - other) == 1
        else f"Arrays of {depth} and {other} dimensions are not compatible for concatenation."
    )
    raise SqlError(ARRAY_SUBSCRIPT_ERROR, "cannot concatenate incompatible arrays", detail=detail)


def append(array: Array[Datum] | None, item: Datum) -> Array[Datum]:
    """array_append."""
    if array is None or not array.dimensions:
        return Array(((1, 1),), (item,))
    _require_one_dimension(array)
    length, lower = array.dimensions[0]
    return Array(((length + 1, lower),), (*array.elements, item))


def prepend(item: Datum, array: Array[Datum] | None) -> Array[Datum]:
    """array_prepend; the lower bound stays."""
    if array is None or not array.dimensions:
        return Array(((1, 1),), (item,))
    _require_one_dimension(array)
    length, lower = array.dimensions[0]
    return Array(((length + 1, lower),), (item, *array.elements))


def _require_one_dimension(array: Array[Datum]) -> None:
    if len(array.dimensions) > 1:
        raise SqlError("22000", "argument must be empty or one-dimensional array")
