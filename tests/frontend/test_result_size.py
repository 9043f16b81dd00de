"""`max_query_result_size`: a larger result is an error, and the connection goes on."""

import psycopg
import pytest

from tests.running_server import HeadwaterServer


def test_results_past_the_limit_fail(headwater_server: HeadwaterServer) -> None:
    numbers = b"SELECT g FROM generate_series(1, 100000) AS g"
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        connection.execute("SET max_query_result_size = '100kB'")
        with pytest.raises(psycopg.errors.ProgramLimitExceeded) as caught:
            connection.execute(numbers)
        assert caught.value.diag.message_primary == "result exceeds max size of 102400 bytes"
        assert connection.execute(numbers + b" LIMIT 10").rowcount == 10
        connection.execute("RESET max_query_result_size")
        assert connection.execute(numbers).rowcount == 100_000
