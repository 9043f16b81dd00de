"""A real PostgreSQL as the reference for scalar semantics.

Expressions are evaluated many at a time, each in a subtransaction of its own, so that one error
does not hide the others. An outcome is the output text, None for null, or the SQLSTATE.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

_ATTEMPT = """
CREATE FUNCTION pg_temp.attempt(expression text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE result text; is_null bool;
BEGIN
  EXECUTE 'SELECT v IS NULL, format(''%s'', v) FROM (SELECT ' || expression || ' AS v) AS s'
    INTO is_null, result;
  RETURN ARRAY[CASE WHEN is_null THEN NULL ELSE result END, NULL, NULL];
EXCEPTION WHEN OTHERS THEN
  RETURN ARRAY[NULL, SQLSTATE, SQLERRM];
END $$
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What evaluating an expression gave."""

    text: str | None
    sqlstate: str | None = None
    message: str | None = None

    @property
    def is_error(self) -> bool:
        return self.sqlstate is not None


class PostgresReference:
    """One session of a PostgreSQL with code-point order and Unicode case mapping."""

    def __init__(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        self._connection = connection
        connection.execute(_ATTEMPT)
        self.set("TimeZone", "UTC")
        self.set("DateStyle", "ISO, MDY")

    def set(self, name: str, value: str) -> None:
        """Change a setting of the session."""
        self._connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def evaluate(self, expressions: Sequence[str]) -> list[Outcome]:
        """The outcome of each SQL expression."""
        cursor = self._connection.execute(
            "SELECT pg_temp.attempt(e) FROM unnest(%s::text[]) WITH ORDINALITY AS u(e, i)"
            " ORDER BY i",
            (list(expressions),),
        )
        outcomes = []
        for (parts,) in cursor:
            assert isinstance(parts, list)
            outcomes.append(Outcome(*parts))
        return outcomes

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """The rows of a query."""
        return self._connection.execute(sql.encode()).fetchall()


def quote(text: str) -> str:
    """A string constant."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{escaped}'" if "\\" in text else f"'{escaped}'"


def typed(text: str | None, type_name: str) -> str:
    """A constant of a type, in SQL."""
    return f"CAST({'NULL' if text is None else quote(text)} AS {type_name})"
