"""Headwater and a real PostgreSQL side by side, with the same tables."""

from dataclasses import dataclass
from decimal import Decimal

import psycopg

Row = tuple[object, ...]


@dataclass(frozen=True)
class Failure:
    """An error as a client sees it. `position` is where in the statement it points to."""

    sqlstate: str | None
    message: str | None
    position: str | None


@dataclass(frozen=True)
class Pair:
    """Connections to both, in autocommit."""

    headwater: psycopg.Connection
    postgres: psycopg.Connection


def answer(connection: psycopg.Connection, query: str) -> list[Row] | Failure:
    """The rows of a query, sorted, as text; or its error.

    Which of equal numerics (0, 0.0) stands for all is up to the server: their value counts.
    """
    try:
        with connection.cursor() as cursor:
            rows = cursor.execute(query.encode()).fetchall()
    except psycopg.Error as error:
        diagnostics = error.diag
        return Failure(
            diagnostics.sqlstate, diagnostics.message_primary, diagnostics.statement_position
        )
    return sorted(tuple(map(_text, row)) for row in rows)


def _text(value: object) -> str:
    return str(value.normalize() if isinstance(value, Decimal) else value)
