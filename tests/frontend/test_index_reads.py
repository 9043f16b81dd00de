"""Reads through indexes give what reads without them do, and say how in EXPLAIN."""

from collections.abc import Iterator, Sequence

import psycopg
import pytest

from tests.running_server import HeadwaterServer

Connection = psycopg.Connection[tuple[object, ...]]

CREATE = (
    "CREATE CLUSTER plain (SIZE '25cc')",
    """CREATE TABLE items (
        id int, name varchar(8), price numeric(10, 2), at timestamp, code char(4), flags int[])""",
    """INSERT INTO items SELECT g % 40, 'n' || g % 7, (g % 11) / 2.0,
        timestamp '2024-01-01' + g % 5 * interval '1 day', 'c' || g % 3, ARRAY[g % 2, g % 3]
        FROM generate_series(1, 200) g""",
    """INSERT INTO items VALUES (NULL, NULL, NULL, NULL, NULL, NULL), (1, 'n1', 1.0, NULL, 'c1 ',
        NULL), (1, 'n1', 1.0, NULL, 'c1', NULL)""",
    "CREATE TABLE marks (item_id bigint, mark text)",
    "INSERT INTO marks SELECT g % 50, 'm' || g FROM generate_series(1, 60) g",
    "CREATE VIEW totals AS SELECT name, count(*) AS n, sum(price) AS s FROM items GROUP BY name",
    "CREATE VIEW big AS SELECT * FROM totals WHERE n > 20",
)
INDEX = (
    "CREATE INDEX items_id ON items (id)",
    "CREATE INDEX items_both ON items (name, id)",
    "CREATE INDEX items_price ON items (price)",
    "CREATE INDEX items_at ON items (at)",
    "CREATE INDEX items_code ON items (code)",
    "CREATE INDEX items_lower ON items ((id + 1))",
    "CREATE INDEX items_flags ON items (flags)",
    "CREATE DEFAULT INDEX ON totals",
    "CREATE INDEX marks_item ON marks (item_id)",
)
# The number of `?` is that of the parameters; each is run with literals and with parameters.
QUERIES: Sequence[tuple[str, tuple[object, ...]]] = (
    ("SELECT * FROM items", ()),
    ("SELECT * FROM items WHERE id = ?", (5,)),
    ("SELECT * FROM items WHERE id = ?::bigint", (5,)),
    ("SELECT * FROM items WHERE id = ?::bigint", (2**40,)),
    ("SELECT * FROM items WHERE id = ?::smallint", (7,)),
    ("SELECT * FROM items WHERE id = ?::numeric", ("5.0",)),
    ("SELECT * FROM items WHERE id = ?::int", (None,)),
    ("SELECT * FROM items WHERE id IS NULL", ()),
    ("SELECT name, id FROM items WHERE ? = id AND price > ?::numeric", (5, "1.5")),
    ("SELECT * FROM items WHERE id IN (?, ?, ?, ?)", (1, 2, 1, 999)),
    ("SELECT * FROM items WHERE id IN (?, ?::bigint, NULL)", (1, 2**40)),
    ("SELECT * FROM items WHERE id = ANY(?::int[])", ("{1,2,2,NULL}",)),
    ("SELECT * FROM items WHERE id = ANY(?::int[])", ("{}",)),
    ("SELECT * FROM items WHERE id = ANY(?::int[])", (None,)),
    ("SELECT * FROM items WHERE id <> ALL(?::int[])", ("{1,2}",)),
    ("SELECT * FROM items WHERE id NOT IN (?, ?)", (1, 2)),
    ("SELECT * FROM items WHERE name = ? AND id = ?", ("n1", 1)),
    ("SELECT * FROM items WHERE name = ?::text", ("n3",)),
    ("SELECT * FROM items WHERE (name, id) IN ((?, ?), (?, ?))", ("n1", 1, "n2", 9)),
    ("SELECT * FROM items WHERE name IN (?, ?) AND id IN (?, ?)", ("n1", "n2", 1, 9)),
    ("SELECT * FROM items WHERE price = ?::numeric", ("1",)),
    ("SELECT * FROM items WHERE price = ?::int", (1,)),
    ("SELECT * FROM items WHERE price = ?::float8", (0.5,)),
    ("SELECT * FROM items WHERE at = ?::timestamp", ("2024-01-03",)),
    ("SELECT * FROM items WHERE at = ?::date", ("2024-01-03",)),
    ("SELECT * FROM items WHERE at = ?::timestamptz", ("2024-01-03 00:00:00+00",)),
    ("SELECT * FROM items WHERE code = ?::char(6)", ("c1",)),
    ("SELECT * FROM items WHERE code = ?::text", ("c1",)),
    ("SELECT * FROM items WHERE id + 1 = ?", (8,)),
    ("SELECT * FROM items WHERE flags = ?::int[]", ("{1,2}",)),
    ("SELECT * FROM items WHERE id = ? OR id = ?", (3, 4)),
    ("SELECT * FROM items WHERE id = ? OR name = ?", (3, "n4")),
    ("SELECT * FROM items WHERE id = ? AND id = ?", (3, 4)),
    ("SELECT count(*), sum(price) FROM items WHERE id = ?", (3,)),
    ("SELECT * FROM (SELECT DISTINCT id, name FROM items) s WHERE id = ?", (3,)),
    ("SELECT name FROM items WHERE id = (SELECT max(item_id) - 20 FROM marks)", ()),
    ("SELECT * FROM items WHERE id = ? UNION ALL SELECT * FROM items WHERE id = ?", (3, 3)),
    ("SELECT * FROM totals", ()),
    ("SELECT * FROM totals WHERE name = ?", ("n3",)),
    ("SELECT * FROM totals WHERE name = ? AND 1 = 2", ("n3",)),
    ("SELECT * FROM totals WHERE name = ? AND n = ?::bigint AND s = ?::numeric", ("n3", 29, "1")),
    ("SELECT * FROM big", ()),
    ("SELECT * FROM big WHERE name IN (?, ?)", ("n3", "n5")),
    ("SELECT * FROM items JOIN totals USING (name) WHERE id = ?", (4,)),
    ("SELECT * FROM items i JOIN marks m ON m.item_id = i.id WHERE i.id = ?", (4,)),
    ("SELECT * FROM items i JOIN marks m ON m.item_id = i.id WHERE m.mark = ?", ("m4",)),
    ("SELECT * FROM items i LEFT JOIN marks m ON m.item_id = i.id WHERE i.id = ?", (4,)),
    ("SELECT * FROM items WHERE EXISTS (SELECT FROM marks WHERE item_id = id)", ()),
    ("SELECT t.n FROM marks m JOIN items i ON item_id = id JOIN totals t USING (name)", ()),
)


@pytest.fixture(scope="module")
def connection(headwater_server: HeadwaterServer) -> Iterator[Connection]:
    """Its tables are read from indexes in the default cluster, without any in `plain`."""
    with psycopg.connect(headwater_server.dsn, autocommit=True) as opened:
        for statement in (*CREATE, *INDEX):
            opened.execute(statement.encode())
        yield opened


def _answers(
    connection: Connection, query: str, values: tuple[object, ...], *, is_literal: bool
) -> list[str]:
    if is_literal:
        parts = query.split("?")
        literals = [psycopg.sql.Literal(value).as_string(connection) for value in values]
        text = "".join(a + b for a, b in zip(parts, [*literals, ""], strict=True))
        return sorted(map(repr, connection.execute(text.encode())))
    text = query.replace("?", "%s")
    return sorted(map(repr, connection.execute(text.encode(), values, prepare=True)))


@pytest.mark.parametrize(("query", "values"), QUERIES)
def test_indexes_change_no_answer(
    connection: Connection, query: str, values: tuple[object, ...]
) -> None:
    connection.execute("SET cluster = plain")
    expected = _answers(connection, query, values, is_literal=True)
    connection.execute("SET cluster = quickstart")
    assert _answers(connection, query, values, is_literal=True) == expected
    assert _answers(connection, query, values, is_literal=False) == expected


def explained(connection: Connection, statement: str) -> list[str]:
    return [str(line) for (line,) in connection.execute(f"EXPLAIN {statement}".encode())]


def test_explain_says_what_is_looked_up(connection: Connection) -> None:
    assert explained(connection, "SELECT price FROM items WHERE id = 5 AND price > 1") == [
        "Explained Query (fast path):",
        "  Project (#2)",
        "    Filter (#2 > 1)",
        "      ReadIndex on=materialize.public.items items_id=[lookup value=(5)]",
        "",
        "Used Indexes:",
        "  - materialize.public.items_id (lookup)",
        "",
        "Target cluster: quickstart",
    ]
    lines = explained(connection, "SELECT * FROM items WHERE name = 'a' AND id = 5")
    assert lines[1] == (
        '  ReadIndex on=materialize.public.items items_both=[lookup value=("a", 5)]'
    )
    lines = explained(connection, "SELECT * FROM totals WHERE name IN ('a', 'b')")
    read = "ReadIndex on=materialize.public.totals totals_primary_idx"
    assert lines[2].strip() == f'{read}=[lookup values=[("a"); ("b")]]'


def test_explain_says_what_is_scanned(connection: Connection) -> None:
    assert explained(connection, "SELECT name, count(*) FROM items GROUP BY name ORDER BY 1") == [
        "Explained Query:",
        "  Finish order_by=[#0 asc nulls_last]",
        "    Reduce group_by=[#0] aggregates=[count(*)]",
        "      Project (#1)",
        "        ReadIndex on=materialize.public.items items_id=[*** full scan ***]",
        "",
        "Used Indexes:",
        "  - materialize.public.items_id (*** full scan ***)",
        "",
        "Target cluster: quickstart",
    ]
    connection.execute("SET cluster = plain")
    lines = explained(connection, "SELECT * FROM totals")
    connection.execute("SET cluster = quickstart")
    assert lines == [
        "Explained Query:",
        "  Reduce group_by=[#0] aggregates=[count(*), sum(#1)]",
        "    Project (#1, #2)",
        "      ReadStorage materialize.public.items",
        "",
        "Target cluster: plain",
    ]


def test_explain_says_what_joins_may_look_up(connection: Connection) -> None:
    lines = explained(connection, "SELECT * FROM marks m JOIN items i ON i.id = m.item_id")
    read = "ReadIndex on=materialize.public"
    assert [line.strip() for line in lines[2:4]] == [
        f"{read}.marks marks_item=[differential join]",
        f"{read}.items items_id=[differential join]",
    ]
    lines = explained(connection, "SELECT * FROM marks m LEFT JOIN items i ON i.id = m.item_id")
    assert [line.strip() for line in lines[2:4]] == [
        f"{read}.marks marks_item=[*** full scan ***]",
        f"{read}.items items_id=[differential join]",
    ]
    assert "  - materialize.public.items_id (differential join)" in lines


def test_writes_find_their_rows_through_indexes(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as session:
        session.execute("CREATE TABLE counters (id int, n int)")
        session.execute("CREATE INDEX ON counters (id)")
        session.execute("INSERT INTO counters SELECT g / 2, g FROM generate_series(0, 9) g")
        assert session.execute("UPDATE counters SET n = n + 100 WHERE id = 2").rowcount == 2
        assert session.execute("DELETE FROM counters WHERE id IN (0, 4)").rowcount == 4
        session.execute("UPDATE counters SET id = 9 WHERE id = %s AND n = %s", (2, 104))
        found = session.execute("SELECT id, n FROM counters WHERE id IN (0, 1, 2, 9) ORDER BY 2")
        assert found.fetchall() == [(1, 2), (1, 3), (9, 104), (2, 105)]


def test_transactions_know_what_is_below_an_indexed_view(
    connection: Connection, headwater_server: HeadwaterServer
) -> None:
    connection.execute("CREATE TABLE below (a int)")
    connection.execute("CREATE TABLE aside (a int)")
    connection.execute("CREATE VIEW above AS SELECT count(*) AS n FROM below")
    connection.execute("CREATE DEFAULT INDEX ON above")
    with psycopg.connect(headwater_server.dsn) as session:
        session.execute("INSERT INTO below VALUES (1)")
        with pytest.raises(psycopg.Error) as raised:
            session.execute("SELECT * FROM above")
        assert raised.value.sqlstate == "25000"
        session.rollback()
        assert session.execute("SELECT n FROM above").fetchall() == [(0,)]
        connection.execute("INSERT INTO below VALUES (2)")
        session.execute("INSERT INTO aside VALUES (3)")
        with pytest.raises(psycopg.errors.SerializationFailure):
            session.commit()
    assert connection.execute("SELECT n FROM above").fetchall() == [(1,)]
