"""COPY as PostgreSQL does it: every format and option, good input and bad, told the same bytes."""

from collections.abc import Iterator
from typing import Final

import pytest

from headwater.embedded_postgres import EmbeddedPostgres
from tests.frontend.wire_pair import WirePair, open_pair
from tests.robustness.raw_client import SYNC, bind, execute, message, parse, query
from tests.running_server import HeadwaterServer

TYPES: Final = "a int, b text, c numeric(6,2), d timestamp, e text[], f bytea, g bool"


@pytest.fixture(scope="module")
def connections(
    headwater_server: HeadwaterServer, embedded_postgres: EmbeddedPostgres
) -> Iterator[WirePair]:
    opened = open_pair(headwater_server, embedded_postgres.address)
    opened.both(query(f"CREATE TABLE copied ({TYPES})"))
    opened.both(query("CREATE TABLE strict (x int NOT NULL, y text DEFAULT 'none')"))
    yield opened
    opened.both(query("DROP TABLE copied"))
    opened.both(query("DROP TABLE strict"))
    opened.close()


@pytest.fixture
def pair(connections: WirePair) -> Iterator[WirePair]:
    yield connections
    connections.both(query("ROLLBACK; DELETE FROM copied"))
    connections.both(query("DELETE FROM strict"))


ROWS: Final = (
    "INSERT INTO copied VALUES "
    "(1, E'tab\\t nl\\n cr\\r bs\\\\ q\" s'' , ;', 1.5, '2020-01-02 03:04:05', '{a,\"b,c\"}',"
    " '\\x00ff', true), (2, '', NULL, NULL, '{}', '', false), (NULL, NULL, -0.01, 'infinity',"
    " '{NULL}', NULL, NULL), (4, '\\N', 0, '0044-03-15 BC', NULL, 'x', true),"
    " (5, E'é😀\\b\\f\\v\\x01', 9999.99, '1999-12-31', '{\"\"}', 'y', false),"
    " (6, '\\.', 1, NULL, NULL, NULL, NULL), (7, ' x ', 1, NULL, NULL, NULL, NULL)"
)
OUT_OPTIONS: Final = [
    "",
    "(FORMAT text, DELIMITER '|')",
    "(DELIMITER ',', NULL 'null')",
    "(HEADER)",
    "(FORMAT csv)",
    "(FORMAT csv, HEADER true, DELIMITER ';')",
    "(FORMAT csv, QUOTE '''', ESCAPE '\\')",
    "(FORMAT csv, NULL 'NULL', FORCE_QUOTE (a, b))",
    "(FORMAT csv, FORCE_QUOTE *)",
    "(FORMAT binary)",
    "(ENCODING 'Unicode')",
    "WITH CSV HEADER",
    "CSV DELIMITER AS ';' NULL AS 'x'",
    "BINARY",
]


@pytest.mark.parametrize("options", OUT_OPTIONS)
def test_copy_to(pair: WirePair, options: str) -> None:
    pair.both(query(ROWS))
    ours, theirs = pair.both(query(f"COPY (SELECT * FROM copied ORDER BY a) TO STDOUT {options}"))
    assert ours == theirs
    assert any(isinstance(answer, tuple) and answer[0] == "d" for answer in theirs)


IN_DATA: Final[dict[str, tuple[str, bytes]]] = {
    "text": ("", b"1\ttab\\t nl\\n \\\\ \\x41 \\101\t1.5\t2020-01-02\t{a,b}\t\\\\x00ff\tt\n"),
    "text nulls": ("", b"\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n2\t\t1\t\\N\t{}\t\tf\n"),
    "text without the last newline": ("(a, b)", b"1\tx\n2\ty"),
    "text end marker": ("(a, b)", b"1\tx\n\\.\n2\ty\n"),
    "text carriage returns": ("(a, b)", b"1\tx\r\n2\ty\r\n"),
    "text bare carriage returns": ("(a, b)", b"1\tx\r2\ty\r"),
    "text mixed line ends": ("(a, b)", b"1\tx\n2\ty\r\n"),
    "text returns and newlines": ("(a, b)", b"1\tx\r\n2\ty\n"),
    "text returns, last line open": ("(a, b)", b"1\tx\r\n2\ty"),
    "text bare returns, last line open": ("(a, b)", b"1\tx\r2\ty"),
    "csv returns": ("(a, b) FROM STDIN CSV", b"1,x\r\n2,y\r\n"),
    "csv returns in quotes": ("(a, b) FROM STDIN CSV", b'1,"x\r\ny"\r\n2,"z"'),
    "csv newlines, returns in quotes": ("(a, b) FROM STDIN CSV", b'1,"x\r\ny"\n2,"z\r"\n'),
    "text escaped newline": ("(a, b)", b"1\tx\\\ny\n"),
    "text delimiter": ("(a, b) FROM STDIN (DELIMITER ',', NULL 'nil')", b"1,nil\nnil,a\\,b\n"),
    "text header": ("(a, b) FROM STDIN (HEADER)", b"a\tb\n1\tx\n"),
    "csv": ("FROM STDIN CSV", b'1,"a ""q"", b",1.50,2020-01-02,"{a,""b,c""}",\\x00ff,t\n'),
    "csv nulls": ("(a, b) FROM STDIN CSV", b',\n2,""\n'),
    "csv newline in quotes": ("(a, b) FROM STDIN CSV", b'1,"x\ny"\r\n2,z\r\n'),
    "csv header": ("(a, b) FROM STDIN (FORMAT csv, HEADER)", b"anything,at all\n1,x\n"),
    "csv quote and escape": (
        "(a, b) FROM STDIN (FORMAT csv, QUOTE '''', ESCAPE '\\')",
        b"1,'a\\'b\\\\c'\n",
    ),
    "csv null": ("(a, b) FROM STDIN (FORMAT csv, NULL 'nil')", b'nil,nil\n1,"nil"\n'),
    "csv force null": (
        "(a, b) FROM STDIN (FORMAT csv, NULL 'nil', FORCE_NULL (b))",
        b'1,"nil"\n',
    ),
    "csv force not null": ("(a, b) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (b))", b"1,\n"),
    "csv spaces are data": ("(a, b) FROM STDIN CSV", b"1, x \n"),
    "csv quote in the midst": ("(a, b) FROM STDIN CSV", b'1,x"y,"z\n'),
    "empty": ("", b""),
    "too few": ("(a, b)", b"1\n"),
    "too many": ("(a, b)", b"1\tx\ty\n"),
    "bad integer": ("(a, b)", b"1\tx\none\ty\n"),
    "overflow": ("(a)", b"99999999999\n"),
    "bad numeric": ("(a, c)", b"1\t12345.6\n"),
    "bad utf-8": ("(a, b)", b"1\t\xff\n"),
    "a null byte": ("(a, b)", b"1\tx\0y\n"),
    "csv unclosed": ("(a, b) FROM STDIN CSV", b'1,"x\n'),
    "csv too many": ("(a, b) FROM STDIN CSV", b"1,x,y\n"),
    "no signature": ("FROM STDIN BINARY", b"PGCOPY?" * 4),
    "binary": (
        "(a, b) FROM STDIN BINARY",
        b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\2\0\0\0\4\0\0\0\7\0\0\0\1x\xff\xff",
    ),
    "binary without trailer": (
        "(a, b) FROM STDIN BINARY",
        b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\2\0\0\0\4\0\0\0\7\0\0\0\1x",
    ),
    "binary of other width": (
        "(a, b) FROM STDIN BINARY",
        b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\1\0\0\0\4\0\0\0\7\xff\xff",
    ),
    "binary cut": (
        "(a, b) FROM STDIN BINARY",
        b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\2\0\0\0\4\0\0",
    ),
    "binary bad size": (
        "(a, b) FROM STDIN BINARY",
        b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\2\0\0\0\3\0\0\7\0\0\0\1x\xff\xff",
    ),
}


@pytest.mark.parametrize("cut", [1, 1 << 20], ids=["bytewise", "whole"])
@pytest.mark.parametrize(("target", "data"), IN_DATA.values(), ids=IN_DATA.keys())
def test_copy_from(pair: WirePair, target: str, data: bytes, cut: int) -> None:
    sql = f"COPY copied {target if 'FROM' in target else target + ' FROM STDIN'}"
    pieces = [message("d", data[i : i + cut]) for i in range(0, len(data), cut)]
    ours, theirs = pair.both(query(sql), *pieces, message("c"))
    assert ours == theirs
    ours, theirs = pair.both(query("SELECT * FROM copied ORDER BY a"))
    assert ours == theirs


BAD_OPTIONS: Final = [
    "COPY copied FROM STDIN (FORMAT xml)",
    "COPY copied FROM STDIN (DELIMITER 'ab')",
    "COPY copied FROM STDIN (DELIMITER E'\\n')",
    "COPY copied FROM STDIN (DELIMITER 'a')",
    "COPY copied FROM STDIN (QUOTE '\"')",
    "COPY copied FROM STDIN (FORMAT csv, QUOTE 'ab')",
    "COPY copied FROM STDIN (FORMAT csv, DELIMITER '\"')",
    "COPY copied FROM STDIN (FORMAT csv, ESCAPE 'ab')",
    "COPY copied FROM STDIN (FORMAT binary, DELIMITER ',')",
    "COPY copied FROM STDIN (FORMAT binary, NULL 'x')",
    "COPY copied FROM STDIN (FORMAT csv, FORMAT text)",
    "COPY copied FROM STDIN (FORCE_QUOTE (a))",
    "COPY copied TO STDOUT (FORCE_QUOTE (a))",
    "COPY copied FROM STDIN (NULL E'a\\nb')",
    "COPY copied FROM STDIN (nonsense)",
    "COPY copied FROM STDIN (HEADER maybe)",
    "COPY copied FROM STDIN (ENCODING 'nonsense')",
    "COPY copied FROM STDIN (ENCODING)",
    "COPY copied FROM STDIN (FORMAT)",
    "COPY nowhere FROM STDIN",
    "COPY nowhere TO STDOUT",
    "COPY copied (a, z) FROM STDIN",
    "COPY copied (a, a) FROM STDIN",
    "COPY (DELETE FROM copied) TO STDOUT",
    "COPY copied FROM STDIN (FORMAT csv, FORCE_NOT_NULL (z))",
]


@pytest.mark.parametrize("sql", BAD_OPTIONS)
def test_bad_options(pair: WirePair, sql: str) -> None:
    ours, theirs = pair.both(query(sql))
    assert sqlstates_of(ours) == sqlstates_of(theirs)
    assert len(sqlstates_of(theirs)) == 1


def sqlstates_of(answers: list[object]) -> list[object]:
    return [m[1]["C"] for m in answers if isinstance(m, tuple) and m[0] == "E"]


EXCHANGES: Final[dict[str, tuple[int, list[bytes]]]] = {
    "failed by the client": (
        2,
        [
            query("COPY strict FROM STDIN"),
            message("d", b"1\tx\n"),
            message("f", b"no more\0"),
            query("SELECT count(*) FROM strict"),
        ],
    ),
    "not null": (1, [query("COPY strict FROM STDIN"), message("d", b"\\N\tx\n"), message("c")]),
    "defaults": (
        2,
        [
            query("COPY strict (x) FROM STDIN"),
            message("d", b"1\n"),
            message("c"),
            query("TABLE strict"),
        ],
    ),
    "extended": (
        2,
        [
            parse("", "COPY strict FROM STDIN"),
            bind("", ""),
            message("D", b"P\0"),
            execute(),
            message("d", b"1\tx\n"),
            message("c"),
            SYNC,
            query("TABLE strict"),
        ],
    ),
    "extended out": (
        1,
        [parse("", "COPY (SELECT 1, 'x') TO STDOUT"), bind("", ""), execute(), SYNC],
    ),
    "among others": (
        2,
        [
            query("INSERT INTO strict VALUES (1); COPY strict FROM STDIN; SELECT 7"),
            message("d", b"2\tx\n"),
            message("c"),
            query("SELECT count(*) FROM strict"),
        ],
    ),
    "undone with its block": (
        4,
        [
            query("BEGIN"),
            query("COPY strict FROM STDIN"),
            message("d", b"2\tx\n"),
            message("c"),
            query("ROLLBACK"),
            query("SELECT count(*) FROM strict"),
        ],
    ),
    "fails a block": (
        4,
        [
            query("BEGIN"),
            query("COPY strict FROM STDIN"),
            message("d", b"x\ty\n"),
            message("c"),
            query("SELECT 1"),
            query("ROLLBACK"),
        ],
    ),
    "read only": (
        3,
        [query("BEGIN READ ONLY"), query("COPY strict FROM STDIN"), query("ROLLBACK")],
    ),
    "stray messages": (1, [message("d", b"x"), message("c"), query("SELECT 1")]),
}


@pytest.mark.parametrize(("rounds", "script"), EXCHANGES.values(), ids=EXCHANGES.keys())
def test_exchanges(pair: WirePair, rounds: int, script: list[bytes]) -> None:
    ours, theirs = pair.both(*script, rounds=rounds)
    assert ours == theirs
