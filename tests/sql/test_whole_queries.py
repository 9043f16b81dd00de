"""Random whole queries give the rows that a real PostgreSQL gives."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from tests.running_server import HeadwaterServer
from tests.sql.queries import CREATE, statements

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@dataclass(frozen=True)
class Pair:
    """Connections to Headwater and to PostgreSQL, with the same tables."""

    headwater: psycopg.Connection
    postgres: psycopg.Connection

    def check(self, query: str) -> None:
        """Both answer alike: the same rows, or an error with the same SQLSTATE."""
        expected = _answer(self.postgres, query)
        if isinstance(expected, str) and expected == "0A000":
            return  # a FULL JOIN that PostgreSQL cannot do
        assert _answer(self.headwater, query) == expected


def _answer(connection: psycopg.Connection, query: str) -> list[tuple[object, ...]] | str:
    try:
        with connection.cursor() as cursor:
            rows = cursor.execute(query.encode()).fetchall()
    except psycopg.Error as error:
        return error.sqlstate or "no answer"
    return sorted(tuple(map(str, row)) for row in rows)


@pytest.fixture(scope="module")
def pair(headwater_server: HeadwaterServer, postgres_url: str) -> Iterator[Pair]:
    with (
        psycopg.connect(headwater_server.dsn, autocommit=True) as headwater,
        psycopg.connect(postgres_url, autocommit=True) as postgres,
    ):
        postgres.execute("SET search_path = pg_temp")
        postgres.execute("SET jit = off")
        for statement in CREATE:
            headwater.execute(statement.encode())
            postgres.execute(statement.encode())
        yield Pair(headwater, postgres)


@settings(max_examples=150, deadline=None, suppress_health_check=CHECKS)
@given(query=statements())
def test_queries_answer_as_postgresql_does(pair: Pair, query: str) -> None:
    pair.check(query)


@pytest.mark.long
@settings(max_examples=5000, deadline=None, suppress_health_check=CHECKS)
@given(query=statements())
def test_many_queries_answer_as_postgresql_does(pair: Pair, query: str) -> None:
    pair.check(query)
