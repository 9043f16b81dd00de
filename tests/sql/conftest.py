"""Fixtures of the suite."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.running_server import HeadwaterServer
from tests.sql.pair import Pair
from tests.sql.queries import CREATE


@pytest.fixture(scope="module")
def pair(headwater_server: HeadwaterServer, postgres_url: str) -> Iterator[Pair]:
    """Headwater and PostgreSQL with the tables of `tests.sql.queries`."""
    with (
        psycopg.connect(headwater_server.dsn, autocommit=True) as headwater,
        psycopg.connect(postgres_url, autocommit=True) as postgres,
    ):
        postgres.execute("SET search_path = pg_temp")
        postgres.execute("SET jit = off")
        postgres.execute("SET statement_timeout = '1s'")
        for statement in CREATE:
            headwater.execute(statement.encode())
            postgres.execute(statement.encode())
        yield Pair(headwater, postgres)
