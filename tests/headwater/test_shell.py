"""`headwater sql`, against a real PostgreSQL: it speaks plain PostgreSQL protocol."""

import sys
from pathlib import Path

import pytest

from headwater.embedded_postgres import EmbeddedPostgres
from headwater.settings import ListenAddress
from headwater.shell import ShellTarget, run_shell
from headwater.shell_tables import format_table
from headwater.statement_end import is_complete


@pytest.fixture
def target(embedded_postgres: EmbeddedPostgres) -> ShellTarget:
    address = embedded_postgres.address
    host = ListenAddress(str(address.socket_directory), address.port)
    return ShellTarget(host, address.user, "postgres")


def test_a_result(target: ShellTarget, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_shell(target, ["SELECT 1 AS a, 'x' AS name UNION ALL SELECT 22, NULL"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        " a  | name",
        "----+------",
        "  1 | x",
        " 22 | NULL",
        "(2 rows)",
    ]


def test_several_statements_in_one_text(
    target: ShellTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_shell(target, ["CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); TABLE t"]) == 0
    )
    assert capsys.readouterr().out.split("\n")[:3] == ["CREATE TABLE", "INSERT 0 1", " a"]


def test_an_error_points_at_its_place(
    target: ShellTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_shell(target, ["SELECT 1,\n  nonsense", "SELECT 2"]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        'ERROR: column "nonsense" does not exist (42703)',
        "LINE 2:   nonsense",
        "          ^",
    ]
    assert captured.out == ""


def test_standard_input(
    target: ShellTarget,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.sql"
    script.write_text("SELECT 1 AS a;\nSELECT 2 AS b;\n")
    with script.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run_shell(target, []) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "(1 row)" in line] == [
        "(1 row)",
        "(1 row)",
    ]


def test_copy_out_and_in(
    target: ShellTarget,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    data = tmp_path / "data.csv"
    data.write_text("1,x\n2,y\n")
    with data.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        commands = [
            "CREATE TEMP TABLE c (a int, b text)",
            "COPY c FROM STDIN (FORMAT csv)",
            "COPY c TO STDOUT",
        ]
        assert run_shell(target, commands) == 0
    assert capsys.readouterr().out.splitlines() == ["CREATE TABLE", "COPY 2", "1\tx", "2\ty"]


def test_copy_among_other_statements_is_refused(
    target: ShellTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_shell(target, ["SELECT 1; COPY (SELECT 1) TO STDOUT"]) == 1
    assert "COPY" in capsys.readouterr().err


def test_an_open_transaction_is_not_committed(
    target: ShellTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_shell(target, ["BEGIN", "CREATE TABLE left_open (a int)"]) == 0
    assert run_shell(target, ["SELECT to_regclass('left_open')"]) == 0
    assert "NULL" in capsys.readouterr().out


def test_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_shell(ShellTarget(ListenAddress("127.0.0.1", 1), "a", "b"), ["SELECT 1"]) == 2
    assert "Start it with `headwater`" in capsys.readouterr().err


def test_tables_with_wide_letters_line_breaks_and_control_characters() -> None:
    assert format_table(["名前", "b"], [["x\ny", "\x1b[2J"], ["日本語", None]], [False, False]) == [
        "  名前  |    b",
        "--------+---------",
        " x      | \\x1b[2J",
        " y      |",
        " 日本語 | NULL",
        "(2 rows)",
    ]


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("select 1;", True),
        ("select 1", False),
        ("select ';", False),
        ("select 'it''s;';", True),
        ("select E'\\';", False),
        ('select ";', False),
        ("select $$;$$", False),
        ("select $$;$$;", True),
        ("select $a$ $$; $a$;", True),
        ("select $a$ ;", False),
        ("select $1;", True),
        ("select 1; -- done", True),
        ("select 1 -- ;", False),
        ("select 1; /* a /* b */", False),
        ("select 1; /* a /* b */ */", True),
        ("select 1; select 2", False),
        ("", False),
    ],
)
def test_where_statements_end(text: str, complete: bool) -> None:
    assert is_complete(text) is complete
