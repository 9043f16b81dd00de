"""The real psql: scripts, \\copy, describing commands, errors with a caret."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running_server import HeadwaterServer

PSQL = shutil.which("psql")
TIMEOUT_S = 60.0

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(PSQL is None, reason="psql is not installed"),
]
Psql = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def psql(headwater_server: HeadwaterServer) -> Psql:
    def run(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        assert PSQL is not None
        return subprocess.run(
            [PSQL, "-X", "-q", "-d", headwater_server.dsn, *arguments],
            input=script,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env={**os.environ, "PGCLIENTENCODING": "UTF8"},
            check=False,
        )

    return run


def test_aligned_output(psql: Psql) -> None:
    result = psql("SELECT 1 AS one, 'é' AS two, NULL AS three;")
    assert result.stderr == ""
    assert result.stdout == (" one | two | three \n-----+-----+-------\n   1 | é   | \n(1 row)\n\n")


def test_script_with_transactions(psql: Psql) -> None:
    result = psql(
        """
        DROP TABLE IF EXISTS s;
        CREATE TABLE s (a int, b text DEFAULT 'd');
        BEGIN;
        INSERT INTO s VALUES (1, 'x');
        INSERT INTO s (a) VALUES (2);
        COMMIT;
        BEGIN;
        INSERT INTO s VALUES (3, 'undone');
        ROLLBACK;
        SELECT * FROM s ORDER BY a;
        """,
        "-A",
        "-t",
    )
    assert result.stdout.split() == ["1|x", "2|d"]


def test_copy_from_and_to_a_file(psql: Psql, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    target = tmp_path / "out.csv"
    source.write_text('a,b\n1,x\n2,"y, z"\n3,\n')
    result = psql(
        f"""
        DROP TABLE IF EXISTS c;
        CREATE TABLE c (a int, b text);
        \\copy c FROM '{source}' (FORMAT csv, HEADER)
        \\copy (SELECT * FROM c ORDER BY a) TO '{target}' (FORMAT csv, HEADER)
        SELECT count(*), count(b) FROM c;
        """,
        "-A",
        "-t",
    )
    assert result.stdout.split() == ["3|2"], result.stderr
    assert target.read_text() == 'a,b\n1,x\n2,"y, z"\n3,\n'


def test_error_points_at_the_place(psql: Psql) -> None:
    result = psql("SELECT 1,\n       nowhere;")
    assert 'ERROR:  column "nowhere" does not exist' in result.stderr
    assert "LINE 2:        nowhere;\n               ^" in result.stderr


def test_prepare_execute_and_variables(psql: Psql) -> None:
    result = psql(
        """
        PREPARE p (int) AS SELECT $1 + 1;
        EXECUTE p (41);
        DEALLOCATE p;
        SET application_name = 'mine';
        SHOW application_name;
        SELECT current_setting('application_name');
        RESET application_name;
        SHOW application_name;
        """,
        "-A",
        "-t",
    )
    assert result.stdout.split() == ["42", "mine", "mine", "psql"], result.stderr


def test_cursor(psql: Psql) -> None:
    result = psql(
        """
        BEGIN;
        DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 9) g ORDER BY g;
        FETCH 2 FROM c;
        MOVE 3 IN c;
        FETCH c;
        CLOSE c;
        COMMIT;
        """,
        "-A",
        "-t",
    )
    assert result.stdout.split() == ["1", "2", "6"], result.stderr


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("\\dt", "described"),
        ("\\d described", "character varying(5)"),
        ("\\dv", "described_view"),
        ("\\l", "materialize"),
        ("\\dn", "public"),
        ("\\du", "materialize"),
        ("\\conninfo", "materialize"),
        ("\\gdesc", ""),
    ],
)
def test_describing_commands(psql: Psql, command: str, expected: str) -> None:
    psql(
        """
        DROP TABLE IF EXISTS described CASCADE;
        CREATE TABLE described (a int NOT NULL, b varchar(5) DEFAULT 'x');
        CREATE VIEW described_view AS SELECT a FROM described;
        """
    )
    result = psql(command + "\n")
    assert result.returncode == 0
    assert "ERROR" not in result.stderr
    assert expected in result.stdout


def test_gdesc(psql: Psql) -> None:
    result = psql("SELECT 1 AS a, 'x'::text AS b \\gdesc\n", "-A", "-t")
    assert result.stdout.split() == ["a|integer", "b|text"], result.stderr


def test_several_statements_of_one_command_are_one_transaction(psql: Psql) -> None:
    psql("DROP TABLE IF EXISTS m; CREATE TABLE m (a int);")
    psql("", "-c", "INSERT INTO m VALUES (1); SELECT 1 / (SELECT 0); INSERT INTO m VALUES (2)")
    assert psql("SELECT count(*) FROM m", "-A", "-t").stdout.split() == ["0"]
    psql("", "-c", "INSERT INTO m VALUES (1); INSERT INTO m VALUES (2)")
    assert psql("SELECT count(*) FROM m", "-A", "-t").stdout.split() == ["2"]
