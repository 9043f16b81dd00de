"""Order, equality and aggregates of every type, by the server and by PostgreSQL on the same rows.

Both sides run the same statements over rows given as VALUES; the reference's database orders text
by code point, as the server does. Sums of floats are exact here and rounded once, so what is
computed from them is compared up to the last digits (docs/differences.md, "Sums of floats").
"""

import math
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.pq import DiagnosticField

from core.errors import NUMERIC_VALUE_OUT_OF_RANGE
from tests.expr.examples import drawing
from tests.expr.postgres_reference import PostgresReference, typed
from tests.expr.values import nullable, type_named
from tests.running_server import HeadwaterServer

TYPES: Final = (
    *("bool", "bytea", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "bpchar"),
    *("oid", "date", "time", "timestamp", "timestamptz", "interval", "uuid", "jsonb", "varchar"),
    *("_int4", "_text", "_numeric", "_float8", "_timestamptz", "_interval", "_bool"),
)
ORDERS: Final = ("", "DESC", "NULLS FIRST", "DESC NULLS LAST")
EQUALITIES: Final = (
    "SELECT array_agg(k ORDER BY k) FROM t GROUP BY v ORDER BY min(k)",
    "SELECT count(*) FROM (SELECT DISTINCT v FROM t) AS s",
    "SELECT a.k, b.k FROM t AS a JOIN t AS b ON a.v = b.v ORDER BY 1, 2",
    "SELECT a.k, b.k FROM t AS a LEFT JOIN t AS b ON a.v = b.v AND b.g = 1 ORDER BY 1, 2",
    "SELECT k FROM t WHERE v IN (SELECT v FROM t WHERE g = 1) ORDER BY k",
    "SELECT count(*) FROM (SELECT v FROM t WHERE g = 1 INTERSECT SELECT v FROM t WHERE g = 2) AS s",
    "SELECT count(*) FROM (SELECT v FROM t WHERE g = 1 UNION SELECT v FROM t WHERE g <> 1) AS s",
    "SELECT count(*) FROM (SELECT v FROM t EXCEPT ALL SELECT v FROM t WHERE g = 1) AS s",
    "SELECT DISTINCT ON (v) k FROM t ORDER BY v, k",
)
_NUMBERS: Final = ("int2", "int4", "int8", "float4", "float8", "numeric")
_NUMERIC_AGGREGATES: Final = (
    *("sum", "avg", "variance", "var_pop", "var_samp", "stddev", "stddev_pop", "stddev_samp"),
)
_INTEGER_AGGREGATES: Final = ("bit_and", "bit_or", "bit_xor")
# Of equal intervals that look different, which is the least is up to the server.
_WITHOUT_EXTREMES: Final = frozenset({"bool", "uuid", "jsonb", "interval"})
_COLLECTING: Final = (
    "SELECT g, array_agg(v ORDER BY k) FROM t GROUP BY g ORDER BY g",
    "SELECT array_agg(v ORDER BY v DESC, k) FROM t",
    "SELECT jsonb_agg(v ORDER BY k), json_agg(v ORDER BY k) FROM t",
    "SELECT jsonb_object_agg(k, v), count(v), count(*), count(DISTINCT v) FROM t",
    "SELECT string_agg(v::text, '; ' ORDER BY v, k), string_agg(v::text, NULL ORDER BY k) FROM t",
    "SELECT string_agg(DISTINCT g::text, ',' ORDER BY g::text), array_agg(DISTINCT g) FROM t",
    "SELECT array_agg(v), jsonb_agg(v), string_agg(v::text, ','), count(v) FROM t WHERE k < 0",
)
SHORT_EXAMPLES: Final = 2
LONG_EXAMPLES: Final = 25

Answer = list[tuple[str | None, ...]] | str


@pytest.fixture(scope="module")
def server_session(
    headwater_server: HeadwaterServer,
) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """A session of the server whose tests these are."""
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        yield connection


def answer(connection: "psycopg.Connection[tuple[object, ...]]", sql: str) -> Answer:
    """The rows as texts, or the SQLSTATE."""
    result = connection.pgconn.exec_(sql.encode())
    sqlstate = result.error_field(DiagnosticField.SQLSTATE)
    if sqlstate is not None:
        return sqlstate.decode()
    rows: list[tuple[str | None, ...]] = []
    for row in range(result.ntuples):
        values = (result.get_value(row, column) for column in range(result.nfields))
        rows.append(tuple(None if value is None else value.decode() for value in values))
    return rows


def aggregate_queries(name: str) -> tuple[str, ...]:
    """Queries of the aggregates that the type has."""
    aggregates = [] if name in _WITHOUT_EXTREMES else ["min", "max"]
    if name in _NUMBERS:
        aggregates += _NUMERIC_AGGREGATES
    if name in ("int2", "int4", "int8"):
        aggregates += _INTEGER_AGGREGATES
    if name == "interval":
        aggregates += ["sum", "avg"]
    if name == "bool":
        aggregates += ["bool_and", "bool_or", "every"]
    queries = []
    for aggregate in aggregates:
        calls = f"{aggregate}(v), {aggregate}(DISTINCT v), {aggregate}(v) FILTER (WHERE k % 2 = 0)"
        queries.append(f"SELECT g, {calls} FROM t GROUP BY g ORDER BY g")
        queries.append(f"SELECT {calls} FROM t WHERE k < 0")
    return tuple(queries)


def queries_of(name: str) -> tuple[str, ...]:
    """Everything that is asked about rows of a type."""
    ordered = tuple(f"SELECT k FROM t ORDER BY v {order}, k" for order in ORDERS)
    return (*ordered, *EQUALITIES, *aggregate_queries(name), *_COLLECTING)


# What array_agg of arrays may fail with: which it meets first depends on the order of groups.
_ARRAYS_REFUSED = frozenset({"22004", "2202E"})


def _agree(ours: Answer, theirs: Answer, *, is_float: bool) -> bool:
    if isinstance(ours, str) and isinstance(theirs, str) and {ours, theirs} == _ARRAYS_REFUSED:
        return True
    if is_float and theirs == NUMERIC_VALUE_OUT_OF_RANGE:
        return True  # a sum on the way, or of squares, overflowed: there is none here
    if ours == theirs or not is_float or isinstance(ours, str) or isinstance(theirs, str):
        return ours == theirs
    return len(ours) == len(theirs) and all(
        _close(left, right)
        for our_row, their_row in zip(ours, theirs, strict=True)
        for left, right in zip(our_row, their_row, strict=True)
    )


def _close(left: str | None, right: str | None) -> bool:
    if left is None or right is None or left == right:
        return left == right
    try:
        return math.isclose(float(left), float(right), rel_tol=1e-5)
    except ValueError:
        return False


def compare(
    reference: PostgresReference,
    session: "psycopg.Connection[tuple[object, ...]]",
    name: str,
    examples: int,
    *,
    fresh: bool,
) -> None:
    """Ask both sides everything about made rows of a type."""
    queries = queries_of(name)

    @drawing(examples, fresh=fresh)
    @given(st.lists(nullable(type_named(name)), min_size=1, max_size=24))
    def run(values: list[str | None]) -> None:
        # Every third value occurs twice, so that there are equal ones.
        repeated = values + values[::3]
        rows = ", ".join(
            f"({k}, {k % 3}, {typed(text, name)})" for k, text in enumerate(repeated, 1)
        )
        for query in queries:
            statement = f"WITH t(k, g, v) AS (VALUES {rows}) {query}"
            ours, theirs = answer(session, statement), answer(reference.connection, statement)
            agree = _agree(ours, theirs, is_float=name in ("float4", "float8"))
            assert agree, f"{query}\n ours   {ours}\n theirs {theirs}"

    run()


@pytest.mark.parametrize("name", TYPES)
def test_rows_relate_as_in_postgres(
    reference: PostgresReference,
    server_session: "psycopg.Connection[tuple[object, ...]]",
    name: str,
) -> None:
    compare(reference, server_session, name, SHORT_EXAMPLES, fresh=False)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TYPES)
def test_many_rows_relate_as_in_postgres(
    reference: PostgresReference,
    server_session: "psycopg.Connection[tuple[object, ...]]",
    name: str,
) -> None:
    compare(reference, server_session, name, LONG_EXAMPLES, fresh=True)
