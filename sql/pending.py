"""Results that an expression needs and that the relation under it does not have yet.

While expressions are planned, a subquery, aggregate, window function or set-returning function
becomes a column reference with a virtual index; the query planner adds the operators that compute
them, in SQL's order of evaluation, and then puts real columns in their place.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from core.errors import SqlError
from core.sql_types import SqlType
from expr.relation import Aggregate, ScalarOrder, WindowFunction
from expr.scalar import Call, ColumnRef, Scalar, children, with_children
from sql.hir import Apply, ApplyKind, Binding, Hir, types_of
from sql.scope import VIRTUAL, columns_in, map_columns
from sql.syntax import WindowSpecification


@dataclass(frozen=True, slots=True)
class PendingSubquery:
    """A subquery of one column that is to be applied to the relation."""

    index: int
    sub: Hir
    bindings: tuple[Binding, ...]
    kind: ApplyKind


@dataclass(frozen=True, slots=True)
class PendingWindow:
    """A window function with its window."""

    index: int
    function: WindowFunction
    partition_by: tuple[Scalar, ...]
    order_by: tuple[ScalarOrder, ...]


@dataclass(frozen=True, slots=True)
class PendingRows:
    """A set-returning function in a select list: its columns, of `types`, are at `indices`."""

    indices: tuple[int, ...]
    function: str
    args: tuple[Scalar, ...]
    types: tuple[SqlType, ...]


@dataclass(slots=True)
class Pending:
    """What the expressions of one place in a query are waiting for.

    `aggregates`, `windows` and `rows` are None where SQL does not allow them. `records` has the
    field names of the records that set-returning functions of several columns give.
    """

    indices: Iterator[int]
    subqueries: list[PendingSubquery] = field(default_factory=list)
    aggregates: "AggregateList | None" = None
    windows: list[PendingWindow] | None = None
    rows: list[PendingRows] | None = None
    window_definitions: dict[str, WindowSpecification] = field(default_factory=dict)
    records: dict[Scalar, tuple[str, ...]] = field(default_factory=dict)

    def take_over(self, other: "Pending", scalar: Scalar) -> bool:
        """Take from `other` the subqueries and set-returning functions that `scalar` names.

        False, and nothing taken, if it names anything else that waits: aggregates, windows.
        """
        wanted = self._needed_of(other, scalar)
        if not wanted <= other.waiting_columns():
            return False
        subqueries = [waiting for waiting in other.subqueries if waiting.index in wanted]
        rows = [waiting for waiting in other.rows or () if wanted & {*waiting.indices}]
        if any(_virtual_columns(arg) for waiting in rows for arg in waiting.args):
            return False
        self.subqueries += subqueries
        other.subqueries = [waiting for waiting in other.subqueries if waiting not in subqueries]
        if rows and self.rows is not None:
            self.rows += rows
            other.rows = [waiting for waiting in other.rows or () if waiting not in rows]
        return True

    def _needed_of(self, other: "Pending", scalar: Scalar) -> set[int]:
        """The waiting columns that `scalar` names, itself or through a subquery's bindings, without
        those that wait here."""
        here = self.waiting_columns()
        bindings = {waiting.index: waiting.bindings for waiting in other.subqueries}
        needed: set[int] = set()
        found = _virtual_columns(scalar) - here
        while found:
            needed |= found
            named = (s for index in found for _, s in bindings.get(index, ()))
            found = {column for s in named for column in _virtual_columns(s)} - here - needed
        return needed

    def waiting_columns(self) -> set[int]:
        """The columns of the waiting subqueries and set-returning functions."""
        found = {waiting.index for waiting in self.subqueries}
        found.update(index for waiting in self.rows or () for index in waiting.indices)
        return found

    def field_names(self, record: Call) -> tuple[str, ...]:
        """The names of the fields of a record that is written out."""
        found = self.records.get(record)
        return found or tuple(f"f{index + 1}" for index in range(len(record.args)))


@dataclass(slots=True)
class AggregateList:
    """The aggregates of a query level, each once, and the subqueries in their arguments."""

    indices: Iterator[int]
    inner: Pending
    found: dict[Aggregate, int] = field(default_factory=dict)

    def add(self, aggregate: Aggregate) -> ColumnRef:
        """The virtual column of `aggregate`."""
        index = self.found.get(aggregate)
        if index is None:
            index = next(self.indices)
            self.found[aggregate] = index
        return ColumnRef(index, aggregate.type)


class Substitution:
    """Real scalars for virtual columns and, above a GROUP BY, for grouped expressions.

    Apply it once to a scalar, never to a result. With `keys`, a plain column that is no key is an
    error, which `ungrouped` makes.
    """

    def __init__(
        self,
        keys: dict[Scalar, Scalar] | None = None,
        ungrouped: Callable[[ColumnRef], SqlError] | None = None,
    ) -> None:
        self.real: dict[int, Scalar] = {}
        self._keys = keys
        self._ungrouped = ungrouped

    def apply(self, scalar: Scalar) -> Scalar:
        """`scalar` over the relation as it is now."""
        if self._keys is None:
            return map_columns(scalar, self._replace) if self.real else scalar
        return self._grouped(scalar, self._keys)

    def _replace(self, ref: ColumnRef) -> Scalar:
        return self.real.get(ref.index, ref) if ref.index >= VIRTUAL else ref

    def _grouped(self, scalar: Scalar, keys: dict[Scalar, Scalar]) -> Scalar:
        key = keys.get(scalar)
        if key is not None:
            return key
        if isinstance(scalar, ColumnRef):
            if scalar.index >= VIRTUAL:
                return self.real.get(scalar.index, scalar)
            assert self._ungrouped is not None
            raise self._ungrouped(scalar)
        operands = children(scalar)
        if not operands:
            return scalar
        return with_children(scalar, tuple(self._grouped(part, keys) for part in operands))


def attach_subqueries(
    hir: Hir, width: int, pending: Pending, substitution: Substitution
) -> tuple[Hir, int]:
    """Apply the subqueries waiting in `pending`; the relation and its new width.

    Bindings are first rewritten by `substitution`, which then knows the new columns too.
    """
    for waiting in pending.subqueries:
        bindings = tuple((v, substitution.apply(s)) for v, s in waiting.bindings)
        hir = Apply(waiting.kind, hir, bindings, waiting.sub)
        (result,) = types_of(waiting.sub)
        substitution.real[waiting.index] = ColumnRef(width, result)
        width += 1
    pending.subqueries.clear()
    return hir, width


def _virtual_columns(scalar: Scalar) -> set[int]:
    found: set[int] = set()
    columns_in(scalar, found)
    return {index for index in found if index >= VIRTUAL}
