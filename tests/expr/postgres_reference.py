"""A real PostgreSQL as the reference for scalar semantics.

Expressions are evaluated many at a time, each in a subtransaction of its own, so that one error
does not hide the others. An outcome is the type of the result, its text and its bytes in the binary
format, or the SQLSTATE. The reference's database has code-point order and Unicode's simple case
mapping, which is what the server documents.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from core.sql_types import SqlType

_DATABASE: Final = "expr_reference"
_TIMEOUT_S: Final = 60  # nothing that is compared takes long: a slow call is a badly chosen value
_ATTEMPT: Final = """
CREATE FUNCTION pg_temp.attempt(expression text, send text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE parts text[];
BEGIN
  EXECUTE 'SELECT CASE WHEN num_nulls(v) > 0'
    || ' THEN ARRAY[pg_typeof(v)::text, NULL, NULL, NULL, NULL] ELSE'
    || ' ARRAY[pg_typeof(v)::text, format(''%s'', v), encode(' || send || '(v), ''hex''), NULL,'
    || ' NULL] END FROM (SELECT ' || expression || ' AS v OFFSET 0) AS s' INTO parts;
  RETURN parts;
EXCEPTION WHEN OTHERS THEN
  RETURN ARRAY[NULL, NULL, NULL, SQLSTATE, encode(textsend(SQLERRM), 'hex')];
END $$
"""


DATA_EXCEPTION: Final = "22"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What evaluating an expression gave."""

    type: str | None = None
    text: str | None = None
    binary: str | None = None
    sqlstate: str | None = None
    message: str | None = None

    @property
    def is_error(self) -> bool:
        return self.sqlstate is not None

    def agrees_with(self, other: "Outcome") -> bool:
        """Whether both are the same value of the same type, or errors of one SQLSTATE."""
        if self.is_error or other.is_error:
            return self.sqlstate == other.sqlstate
        return (self.type, self.text, self._bytes) == (other.type, other.text, other._bytes)

    def refuses_like(self, other: "Outcome") -> bool:
        """Whether both refuse the data. docs/differences.md, "Data with several faults": which
        fault is named may differ, and values made at random have many."""
        return all((o.sqlstate or "").startswith(DATA_EXCEPTION) for o in (self, other))

    @property
    def _bytes(self) -> str | None:
        """The bytes without an array's flag for nulls, which is set in PostgreSQL's slices even
        where the nulls were not in the slice."""
        if self.binary is None or self.type is None or not self.type.endswith("[]"):
            return self.binary
        return self.binary[:8] + self.binary[16:]


class PostgresReference:
    """One session of the reference database."""

    def __init__(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        self.connection = connection
        connection.execute(_ATTEMPT)
        self.set("statement_timeout", f"{_TIMEOUT_S}s")
        self.set("TimeZone", "UTC")
        self.set("DateStyle", "ISO, MDY")
        self._senders = {
            int(str(oid)): str(name)
            for oid, name in self.query("SELECT oid, typsend::text FROM pg_type")
        }

    def set(self, name: str, value: str) -> None:
        """Change a setting of the session."""
        self.connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def evaluate(self, expressions: Sequence[tuple[str, SqlType]]) -> list[Outcome]:
        """The outcome of each SQL expression, which is expected to be of that type."""
        texts = [text for text, _ in expressions]
        senders = [self._senders[sql_type.oid] for _, sql_type in expressions]
        cursor = self.connection.execute(
            "SELECT pg_temp.attempt(e, s)"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS u(e, s, i) ORDER BY i",
            (texts, senders),
        )
        outcomes = []
        for (parts,) in cursor:
            assert isinstance(parts, list)
            type_name, text, binary, sqlstate, message = parts
            if message is not None:  # PostgreSQL cuts texts in its messages between bytes
                message = bytes.fromhex(message).decode(errors="replace")
            outcomes.append(Outcome(type_name, text, binary, sqlstate, message))
        return outcomes

    def query(self, text: str) -> list[tuple[object, ...]]:
        """The rows of a query."""
        return self.connection.execute(text.encode()).fetchall()


@contextmanager
def reference_session(postgres_url: str) -> Iterator[PostgresReference]:
    """A session in a database of the reference's kind, made for it and dropped after it."""
    name = sql.Identifier(_DATABASE)
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        owner.execute(
            sql.SQL(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
                " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
            ).format(name)
        )
        try:
            with psycopg.connect(postgres_url, dbname=_DATABASE, autocommit=True) as connection:
                yield PostgresReference(connection)
        finally:
            owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def quote(text: str) -> str:
    """A string constant."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{escaped}'" if "\\" in text else f"'{escaped}'"


def typed(text: str | None, type_name: str) -> str:
    """A constant of a type, in SQL."""
    written = '"char"' if type_name == "char" else type_name
    return f"CAST({'NULL' if text is None else quote(text)} AS {written})"
