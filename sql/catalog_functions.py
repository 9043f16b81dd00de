"""Functions that need the catalog, as SQL macros over the system relations.

`expr` sees no catalog, so a call such as `pg_get_userbyid(c.relowner)` is replaced during planning
by the function's body: a scalar SQL expression (often a scalar subquery) in which `$1`, `$2`, …
stand for the call's arguments, already cast to the parameter types. An argument may be named more
than once; it is evaluated once per mention and is free of side effects. Bodies name relations in
full, `schema.relation`, and are planned like any SQL text of the current session, so that session
functions (`current_schemas(true)`, `current_database()`) mean the session's values.

A name may have several overloads, chosen by PostgreSQL's rules of function resolution. Calls of a
macro are not strict: a body says what a null argument gives.
"""

from dataclasses import dataclass
from typing import Final

from core.sql_types import SqlType


@dataclass(frozen=True, slots=True)
class CatalogFunction:
    """One macro overload. A `body` is an expression; the result is cast to `returns`."""

    name: str
    parameters: tuple[SqlType, ...]
    returns: SqlType
    body: str


@dataclass(frozen=True, slots=True)
class CatalogTableFunction:
    """One macro used in FROM; `body` is a query and gives the function's columns."""

    name: str
    parameters: tuple[SqlType, ...]
    body: str


CATALOG_FUNCTIONS: Final[tuple[CatalogFunction, ...]] = ()
CATALOG_TABLE_FUNCTIONS: Final[tuple[CatalogTableFunction, ...]] = ()


def catalog_functions_named(name: str) -> tuple[CatalogFunction, ...]:
    """Every macro of that name (without schema), empty when there is none."""
    return _BY_NAME.get(name, ())


def catalog_table_functions_named(name: str) -> tuple[CatalogTableFunction, ...]:
    """Every table macro of that name (without schema), empty when there is none."""
    return _TABLES_BY_NAME.get(name, ())


_BY_NAME: Final[dict[str, tuple[CatalogFunction, ...]]] = {
    name: tuple(f for f in CATALOG_FUNCTIONS if f.name == name)
    for name in {f.name for f in CATALOG_FUNCTIONS}
}
_TABLES_BY_NAME: Final[dict[str, tuple[CatalogTableFunction, ...]]] = {
    name: tuple(f for f in CATALOG_TABLE_FUNCTIONS if f.name == name)
    for name in {f.name for f in CATALOG_TABLE_FUNCTIONS}
}
