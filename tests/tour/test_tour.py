"""The newcomer's tour with a real psql: load real data, ask real questions, and compare every
answer with that of a real PostgreSQL on the same data, row for row."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from benchmarks import nycflights
from headwater.embedded_postgres import EmbeddedPostgres
from headwater.postgres_binaries import find_binaries
from tests.running_server import HeadwaterServer
from tests.tour.questions import QUESTIONS
from tests.tour.views import CHANGES, INDEXED, VIEWS

pytestmark = pytest.mark.tour
QUERY_TIMEOUT_S: Final = 60.0


class Psql:
    """psql against one database; answers come as CSV, NULL shown as `∅`."""

    def __init__(self, environment: Mapping[str, str], program: Path) -> None:
        self._environment = {"PATH": os.defpath, "PGTZ": "UTC", **environment}
        self._program = program

    def run(self, script: str) -> str:
        outcome = subprocess.run(
            [self._program, "-X", "-q", "--csv", "-P", "null=∅", "-v", "ON_ERROR_STOP=1"],
            env=self._environment,
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=QUERY_TIMEOUT_S,
        )
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout


@pytest.fixture(scope="module")
def psql_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's psql if there is one, else the one of the embedded PostgreSQL."""
    installed = shutil.which("psql")
    if installed is not None:
        return Path(installed)
    return find_binaries(None, tmp_path_factory.mktemp("binaries")).directory / "psql"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    return nycflights.load_script(nycflights.extract(tmp_path_factory.mktemp("nycflights")))


@pytest.fixture(scope="module")
def headwater(headwater_server: HeadwaterServer, psql_program: Path, script: str) -> Psql:
    psql = Psql(
        {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(headwater_server.sql_port),
            "PGUSER": "materialize",
            "PGDATABASE": "materialize",
        },
        psql_program,
    )
    psql.run(script)
    return psql


@pytest.fixture(scope="module")
def postgres(embedded_postgres: EmbeddedPostgres, psql_program: Path, script: str) -> Psql:
    address = embedded_postgres.address
    environment = {
        "PGHOST": str(address.socket_directory),
        "PGPORT": str(address.port),
        "PGUSER": address.user,
    }
    Psql({**environment, "PGDATABASE": "postgres"}, psql_program).run("CREATE DATABASE tour;")
    psql = Psql({**environment, "PGDATABASE": "tour"}, psql_program)
    psql.run(script)
    return psql


def whole(psql: Psql, table: str) -> list[str]:
    """Every row of a table, in an order that does not depend on the server."""
    return sorted(psql.run(f"COPY {table} TO STDOUT;").splitlines())


@pytest.mark.parametrize("table", nycflights.ROW_COUNTS)
def test_every_row_is_loaded(headwater: Psql, table: str) -> None:
    answer = headwater.run(f"SELECT count(*) FROM {table};")
    assert answer.split() == ["count", str(nycflights.ROW_COUNTS[table])]


@pytest.mark.parametrize("table", nycflights.ROW_COUNTS)
def test_every_value_is_the_same(headwater: Psql, postgres: Psql, table: str) -> None:
    assert whole(headwater, table) == whole(postgres, table)


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_those_of_postgres(headwater: Psql, postgres: Psql, question: str) -> None:
    statement = f"{QUESTIONS[question]};"
    expected = postgres.run(statement)
    assert len(expected.splitlines()) > 1, "a question without an answer proves nothing"
    assert headwater.run(statement) == expected


def test_psql_describes_the_tables(headwater: Psql) -> None:
    listing = headwater.run("\\dt")
    assert [line.split(",")[1] for line in listing.splitlines()[1:]] == sorted(
        nycflights.ROW_COUNTS
    )
    columns = headwater.run("\\d airlines").splitlines()
    assert columns == ["Column,Type,Collation,Nullable,Default", *_AIRLINES_COLUMNS]


_AIRLINES_COLUMNS: Final = ("carrier,text,,not null,", "name,text,,not null,")


def test_views_follow_every_change(headwater: Psql, postgres: Psql) -> None:
    for name, query in VIEWS.items():
        postgres.run(f"CREATE MATERIALIZED VIEW {name} AS {query};")
        if name in INDEXED:
            headwater.run(f"CREATE VIEW {name} AS {query}; CREATE DEFAULT INDEX ON {name};")
        else:
            headwater.run(f"CREATE MATERIALIZED VIEW {name} AS {query};")
    for change in CHANGES:
        before = [whole(headwater, f"(SELECT * FROM {name})") for name in VIEWS]
        for psql in (headwater, postgres):
            psql.run(f"{change};")
        # Each run of psql is a connection of its own.
        after = [whole(headwater, f"(SELECT * FROM {name})") for name in VIEWS]
        postgres.run("".join(f"REFRESH MATERIALIZED VIEW {name};" for name in VIEWS))
        assert after == [whole(postgres, f"(SELECT * FROM {name})") for name in VIEWS], change
        assert after != before, change


def test_everything_is_there_after_a_crash(
    headwater_server: HeadwaterServer, headwater: Psql, postgres: Psql, psql_program: Path
) -> None:
    headwater_server.kill()
    headwater_server.start()
    again = Psql(
        {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(headwater_server.sql_port),
            "PGUSER": "materialize",
            "PGDATABASE": "materialize",
        },
        psql_program,
    )
    for table in nycflights.ROW_COUNTS:
        count = f"SELECT count(*) FROM {table};"
        assert again.run(count) == postgres.run(count)
    for view in VIEWS:
        assert whole(again, f"(SELECT * FROM {view})") == whole(postgres, f"(SELECT * FROM {view})")
    for question in QUESTIONS.values():
        assert again.run(f"{question};") == postgres.run(f"{question};")
