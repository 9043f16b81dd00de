"""Names in scope: tables, columns, and the way from a subquery to the query around it.

A scope's columns are scalars over the relation being built. Looking a name up past the boundary
of a subquery turns what is found into a variable bound at that boundary (see `sql.hir`).
Error texts and SQLSTATEs are PostgreSQL's (parse_relation.c).
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from core.allowance import checkpoint
from core.errors import (
    AMBIGUOUS_COLUMN,
    DUPLICATE_ALIAS,
    UNDEFINED_COLUMN,
    UNDEFINED_TABLE,
    SqlError,
)
from core.sql_types import OID, SqlType
from expr.scalar import (
    Call,
    ColumnRef,
    Literal,
    Parameter,
    Scalar,
    children,
    literal,
    with_children,
)
from sql.hir import Binding

TABLE_OID: Final = "tableoid"
VIRTUAL = 1_000_000
"""Column indices from here on stand for results that are not computed yet."""


@dataclass(frozen=True, slots=True)
class ScopeColumn:
    """A column that names can mean."""

    name: str
    scalar: Scalar
    nullable: bool = True

    @property
    def type(self) -> SqlType:
        return self.scalar.type


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A FROM item that column names can be qualified with. `qualifier` is (database, schema);
    `hidden_name` is the table's own name where an alias hides it. The rows of a function that
    returns scalars are scalars too (`is_scalar`). `oid` is what the system column tableoid says,
    None where there is no such column: a relation whose rows an outer join may leave out."""

    alias: str
    columns: tuple[ScopeColumn, ...]
    qualifier: tuple[str, ...] = ()
    is_visible: bool = True
    hidden_name: str = ""
    is_scalar: bool = False
    oid: int | None = None


@dataclass(slots=True)
class Boundary:
    """Where a subquery meets its outer query: the variables it needs."""

    allocate: Iterator[int]
    bindings: list[Binding] = field(default_factory=list)
    _bound: dict[Scalar, int] = field(default_factory=dict)

    def capture(self, scalar: Scalar) -> Scalar:
        """`scalar` of the outer query as seen from inside."""
        if isinstance(scalar, (Literal, Parameter)):
            return scalar
        variable = self._bound.get(scalar)
        if variable is None:
            variable = next(self.allocate)
            self._bound[scalar] = variable
            self.bindings.append((variable, scalar))
        return Parameter(variable, scalar.type)


_variables = itertools.count(-1, -1)


def variable_allocator() -> Iterator[int]:
    """Fresh variables: -1, -2, …, never used before in this process, so that cached plans of views
    and the statements that use them have none in common."""
    return _variables


@dataclass(slots=True)
class Scope:
    """The names of one query level.

    `columns` is what `*` and unqualified names see, in order; `tables` what qualified names see.
    `arguments` are those of the macro whose body is planned. `note` hears of every column that is
    looked up here, with its position.
    """

    columns: tuple[ScopeColumn, ...] = ()
    tables: tuple[TableEntry, ...] = ()
    parent: "Scope | None" = None
    boundary: Boundary | None = None
    arguments: tuple[Scalar, ...] | None = None
    note: Callable[[Scalar, str, int], None] | None = None

    def column(self, parts: tuple[str, ...], pos: int) -> Scalar:
        """What a column reference means. Raises SqlError 42703, 42702, 42P01."""
        found = self.find(parts, pos)
        if found is not None:
            return found
        raise self._not_found(parts, pos)

    def find(self, parts: tuple[str, ...], pos: int) -> Scalar | None:
        """Like `column`, but None when there is no such column."""
        found = self._own(parts, pos)
        if found is not None:
            if self.note is not None:
                self.note(found, ".".join(parts), pos)
            return found
        if self.parent is None:
            return None
        outer = self.parent.find(parts, pos)
        if outer is None or self.boundary is None:
            return outer
        return self.boundary.capture(outer)

    def _own(self, parts: tuple[str, ...], pos: int) -> Scalar | None:
        *qualifier, name = parts
        if not qualifier:
            matches = [c for c in self.columns if c.name == name]
            tables = self.tables
        else:
            entry = self.own_table(tuple(qualifier), pos)
            if entry is None:
                return None
            tables = (entry,)
            matches = [c for c in entry.columns if c.name == name]
        if not matches and name == TABLE_OID:
            oids = [table.oid for table in tables if table.oid is not None]
            matches = [ScopeColumn(name, literal(oid, OID), False) for oid in oids]
        if len(matches) > 1:
            raise SqlError(
                AMBIGUOUS_COLUMN, f'column reference "{name}" is ambiguous', position=pos + 1
            )
        return matches[0].scalar if matches else None

    def own_table(self, qualifier: tuple[str, ...], pos: int) -> TableEntry | None:
        """This level's FROM item of that name."""
        *schema, alias = qualifier
        found = [
            t
            for t in self.tables
            if t.alias == alias
            and t.is_visible
            and (not schema or t.qualifier[-len(schema) :] == tuple(schema))
        ]
        if len(found) > 1:
            raise SqlError("42P09", f'table reference "{alias}" is ambiguous', position=pos + 1)
        return found[0] if found else None

    def table(self, qualifier: tuple[str, ...], pos: int) -> TableEntry | None:
        """The FROM item of that name at this level or further out, captured for use here."""
        entry = self.own_table(qualifier, pos)
        if entry is not None or self.parent is None:
            return entry
        outer = self.parent.table(qualifier, pos)
        if outer is None or self.boundary is None:
            return outer
        capture = self.boundary.capture
        columns = tuple(ScopeColumn(c.name, capture(c.scalar), c.nullable) for c in outer.columns)
        return dataclasses.replace(outer, columns=columns)

    def argument(self, index: int) -> Scalar | None:
        """Argument `index` (from 1) of the macro around this scope; None outside macros."""
        if self.arguments is not None:
            return self.arguments[index - 1]
        if self.parent is None:
            return None
        outer = self.parent.argument(index)
        if outer is None or self.boundary is None:
            return outer
        return self.boundary.capture(outer)

    def _not_found(self, parts: tuple[str, ...], pos: int) -> SqlError:
        *qualifier, name = parts
        if not qualifier:
            return SqlError(
                UNDEFINED_COLUMN,
                f'column "{name}" does not exist',
                hint=self._suggestion(name),
                position=pos + 1,
            )
        if self.table(tuple(qualifier), pos) is not None:
            return SqlError(
                UNDEFINED_COLUMN,
                f"column {'.'.join(parts)} does not exist",
                hint=self._suggestion(name),
                position=pos + 1,
            )
        return self._missing_table(tuple(qualifier), pos)

    def _missing_table(self, qualifier: tuple[str, ...], pos: int) -> SqlError:
        """The error for a qualifier that no FROM item in sight has."""
        level: Scope | None = self
        while level is not None:
            for table in level.tables:
                if qualifier == (table.hidden_name,):
                    return SqlError(
                        UNDEFINED_TABLE,
                        f'invalid reference to FROM-clause entry for table "{qualifier[-1]}"',
                        hint=f'Perhaps you meant to reference the table alias "{table.alias}".',
                        position=pos + 1,
                    )
            level = level.parent
        return missing_table(qualifier, pos)

    def _suggestion(self, name: str) -> str | None:
        if len(name) < 3:
            return None
        for table in self.tables:
            for column in table.columns:
                if _is_close(name, column.name):
                    return (
                        f'Perhaps you meant to reference the column "{table.alias}.{column.name}".'
                    )
        return None


def missing_table(qualifier: tuple[str, ...], pos: int) -> SqlError:
    """The error for a qualifier that no FROM item has."""
    return SqlError(
        UNDEFINED_TABLE,
        f'missing FROM-clause entry for table "{qualifier[-1]}"',
        position=pos + 1,
    )


def _is_close(wanted: str, have: str) -> bool:
    """Whether two names differ in one letter at most."""
    if abs(len(wanted) - len(have)) > 1 or wanted == have:
        return False
    if len(wanted) == len(have):
        return sum(a != b for a, b in zip(wanted, have, strict=True)) == 1
    short, long = sorted((wanted, have), key=len)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def check_aliases(tables: Iterable[TableEntry], pos: int) -> None:
    """Raise SqlError 42712 when two FROM items of one level have the same name."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for table in tables:
        key = (table.alias, table.qualifier)
        if table.is_visible and table.alias and key in seen:
            raise SqlError(
                DUPLICATE_ALIAS,
                f'table name "{table.alias}" specified more than once',
                position=pos + 1,
            )
        seen.add(key)


def shift_columns(scalar: Scalar, offset: int) -> Scalar:
    """`scalar` with every column index raised by `offset`."""
    if offset == 0:
        return scalar
    return map_columns(scalar, lambda ref: ColumnRef(ref.index + offset, ref.type))


def map_columns(scalar: Scalar, change: Callable[[ColumnRef], Scalar]) -> Scalar:
    """`scalar` with every column reference replaced; unchanged subtrees are kept."""
    if isinstance(scalar, ColumnRef):
        return change(scalar)
    if isinstance(scalar, (Literal, Parameter)):
        return scalar
    operands = children(scalar)
    replaced = tuple(map_columns(operand, change) for operand in operands)
    if all(new is old for new, old in zip(replaced, operands, strict=True)):
        return scalar
    return with_children(scalar, replaced)


def columns_in(scalar: Scalar, found: set[int]) -> None:
    """Add the indices of the columns that `scalar` names to `found`."""
    checkpoint()
    if isinstance(scalar, ColumnRef):
        found.add(scalar.index)
        return
    for part in children(scalar):
        columns_in(part, found)


def names_column(scalar: Scalar) -> bool:
    """Whether `scalar` names a column of its own level."""
    return isinstance(scalar, ColumnRef) or any(map(names_column, children(scalar)))


def names_variable(scalar: Scalar) -> bool:
    """Whether `scalar` names a column of a query around."""
    if isinstance(scalar, Parameter):
        return scalar.index < 0
    return any(map(names_variable, children(scalar)))


def is_constant(scalar: Scalar) -> bool:
    """Whether `scalar` names no column and no variable (parameters and session calls may)."""
    if isinstance(scalar, ColumnRef):
        return False
    if isinstance(scalar, Parameter):
        return scalar.index > 0
    return all(is_constant(part) for part in children(scalar))


def names_session(scalar: Scalar, is_session: Callable[[Call], bool]) -> bool:
    """Whether some call in `scalar` is of a kind that `is_session` tells."""
    if isinstance(scalar, Call) and is_session(scalar):
        return True
    return any(names_session(part, is_session) for part in children(scalar))
