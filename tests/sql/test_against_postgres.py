"""Whole queries and errors, compared with those of a real PostgreSQL."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from core.errors import QUERY_CANCELED
from tests.sql.errors import WRONG
from tests.sql.operators import OPERATORS
from tests.sql.pair import Failure, Pair, answer
from tests.sql.queries import statements

# Shrinking asks two servers thousands of questions; the query that failed is telling enough.
PHASES = (Phase.reuse, Phase.generate)
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
NOT_SUPPORTED = "0A000"  # FULL JOIN on what PostgreSQL cannot hash or merge


def check_rows(pair: Pair, query: str) -> None:
    """Both give the same rows, or an error with the same SQLSTATE. What PostgreSQL takes long for
    is not compared: its joins have millions of rows."""
    expected = answer(pair.postgres, query)
    if isinstance(expected, Failure) and expected.sqlstate == QUERY_CANCELED:
        return
    got = answer(pair.headwater, query)
    if isinstance(expected, Failure):
        assert expected.sqlstate == NOT_SUPPORTED or (
            isinstance(got, Failure) and got.sqlstate == expected.sqlstate
        )
    else:
        assert got == expected


@settings(max_examples=150, deadline=None, phases=PHASES, suppress_health_check=CHECKS)
@given(query=statements())
def test_queries_answer_as_postgresql_does(pair: Pair, query: str) -> None:
    check_rows(pair, query)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=5000, deadline=None, phases=PHASES, suppress_health_check=CHECKS)
@given(query=statements())
def test_many_queries_answer_as_postgresql_does(pair: Pair, query: str) -> None:
    check_rows(pair, query)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_answers_as_postgresql_does(pair: Pair, operator: str) -> None:
    """Rows in order."""
    query = OPERATORS[operator].encode()
    assert pair.headwater.execute(query).fetchall() == pair.postgres.execute(query).fetchall()


@pytest.mark.parametrize("statement", WRONG)
def test_errors_are_postgresqls(pair: Pair, statement: str) -> None:
    """SQLSTATE, words and position."""
    expected = answer(pair.postgres, statement)
    assert isinstance(expected, Failure)
    assert answer(pair.headwater, statement) == expected
