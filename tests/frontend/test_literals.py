"""INSERTs that share a plan: which texts do, and that they mean what they say."""

import psycopg
import pytest

from core.sql_types import INT4, INT8, NUMERIC
from frontend.literals import lifted
from tests.running_server import HeadwaterServer


def test_literals_become_parameters() -> None:
    found = lifted(
        "insert INTO a.t (b, c)\n VALUES (-1, 'it''s', NULL, 3000000000, 1.50, default);"
    )
    assert found is not None
    assert found.template == "insert INTO a.t (b, c)\n VALUES ($1,$2,NULL,$3,$4,default)"
    assert found.types == (INT4, None, INT8, NUMERIC)
    assert found.values == (b"-1", b"it's", b"3000000000", b"1.50")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "INSERT INTO t VALUES (NULL)",
        "INSERT INTO t VALUES ($1)",
        "INSERT INTO t VALUES (1 + 1)",
        "INSERT INTO t VALUES (1), (2)",
        "INSERT INTO t VALUES (1) RETURNING *",
        "INSERT INTO t VALUES (1); SELECT 1",
        "INSERT INTO t VALUES (--5\n1)",
        "INSERT INTO t VALUES ('a' 'b')",
        "INSERT INTO t VALUES (E'a', 'b')",
        "INSERT INTO t VALUES ('a\\b')",
        "INSERT INTO t VALUES (1e5)",
        "INSERT INTO t VALUES (1.5.5)",
        "INSERT INTO t VALUES (1a)",
        "INSERT INTO t VALUES ('a'::text)",
        'INSERT INTO "T" VALUES (1)',
        "INSERT INTO t VALUES (1",
        "INSERT INTO t VALUES (1,)",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert lifted(text) is None


VALUES = {
    "integer": ["1", "-2147483648", "2147483648", "1.5", "2.5", "'7'", "' 8 '", "'x'", "NULL"],
    "bigint": ["1", "999999999999999999", "'1.5'", "1.5"],
    "numeric(5,2)": ["1", "1.005", "1000", "'NaN'", "'1e2'"],
    "double precision": ["1", "0.1", "'inf'", "'-0'", "-0.0"],
    "text": ["1", "1.50", "'it''s'", "''", "TRUE", "'ü'"],
    "varchar(3)": ["'abc'", "'abcd'", "'abc  '", "1234"],
    "boolean": ["'t'", "1", "TRUE", "'maybe'"],
    "date": ["'2020-02-29'", "'2021-02-29'", "20200101"],
    "jsonb": ["'{\"a\": 1}'", "'{'", "1"],
    "integer[]": ["'{1,2}'", "'{1,x}'", "1"],
}


@pytest.mark.parametrize("sql_type", VALUES)
def test_they_mean_the_same_as_other_texts(
    headwater_server: HeadwaterServer, sql_type: str
) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TEMP TABLE t (n integer, v {sql_type})".encode())
        for number, value in enumerate(VALUES[sql_type]):
            text = f"INSERT INTO t VALUES ({number}, {value})"
            assert lifted(text) is not None
            outcomes: list[tuple[str | None, ...]] = []
            for statement in (text, f"{text} -- ", text):
                try:
                    connection.execute(statement.encode())
                    outcomes.append(())
                except psycopg.Error as error:
                    diag = error.diag
                    told = (diag.sqlstate, diag.message_primary, diag.statement_position)
                    outcomes.append((*told, diag.message_detail, diag.message_hint))
            assert outcomes == outcomes[:1] * 3
        found = connection.execute("SELECT n, v::text FROM t ORDER BY 1").fetchall()
        assert found[0::3] == found[1::3] == found[2::3]
