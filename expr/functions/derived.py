"""Functions derived from others by id: quantified comparisons with arrays.

`any:<operator id>` and `all:<operator id>` take a value and an array: `x op ANY (array)`. They are
not strict in the SQL sense: a null array gives null, a null element or value makes the comparison
null unless another element decides.
"""

from collections.abc import Callable
from functools import partial

from core.rows import Array, Datum
from core.sql_types import BOOL, SqlType
from expr.ordering import equality_key
from expr.registry import (
    CallSite,
    Function,
    FunctionKind,
    bind,
    function_by_id,
    register_derivation,
)

Comparison = Callable[[Datum, Datum], bool | None]


def _derive(function_id: str) -> Function | None:
    prefix, separator, operator_id = function_id.partition(":")
    if not separator or prefix not in ("any", "all"):
        return None
    operator = function_by_id(operator_id)
    left, right = operator.args
    array = right.array
    if array is None:
        return None
    return Function(
        *(function_id, prefix, FunctionKind.SCALAR, (left, array), BOOL),
        partial(_specialize, operator, prefix == "any"),
        strict=False,
        needs_types=True,
    )


def _specialize(
    operator: Function, is_any: bool, site: CallSite
) -> Callable[[Datum, Array[Datum] | None], bool | None]:
    left, array = site.args
    element = array.element or operator.args[1]
    compare: Comparison = bind(operator, (left, element), BOOL, site.context)
    if is_any and operator.name == "=" and left.oid == element.oid:
        return partial(_contains, _Members(element))

    def quantified(value: Datum, elements: Array[Datum] | None) -> bool | None:
        if elements is None:
            return None
        has_null = False
        for item in elements.elements:
            outcome = None if item is None or value is None else compare(value, item)
            if outcome is None:
                has_null = True
            elif outcome is is_any:
                return is_any
        return None if has_null else not is_any

    return quantified


class _Members:
    """The elements of the array asked about last, as a set: `x = ANY (array)` with a constant
    array would else be linear in its length for every row."""

    def __init__(self, element: SqlType) -> None:
        self.key = equality_key(element)
        self.array: Array[Datum] | None = None
        self.members: frozenset[Datum] = frozenset()
        self.has_null = False

    def load(self, array: Array[Datum]) -> None:
        key = self.key
        present = (item for item in array.elements if item is not None)
        members = frozenset(present if key is None else map(key, present))
        self.array, self.members, self.has_null = array, members, None in array.elements


def _contains(members: _Members, value: Datum, array: Array[Datum] | None) -> bool | None:
    if array is None:
        return None
    if not array.elements:
        return False
    if value is None:
        return None
    key = members.key
    if members.array is not array:
        if len(array.elements) < 8:
            found = any(
                item is not None and (item == value if key is None else key(item) == key(value))
                for item in array.elements
            )
            return True if found else None if None in array.elements else False
        members.load(array)
    if (value if key is None else key(value)) in members.members:
        return True
    return None if members.has_null else False


register_derivation(_derive)
